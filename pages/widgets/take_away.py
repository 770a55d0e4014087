"""What a person takes along from a finished run: files, the command line that reproduces it, and how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine.charts import numbers
from engine.charts.tables import block_table, linear_table
from engine.command import command
from engine.record import RunRecord

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

ZEROS = (
    "The zeros are stored like any other number, so the pruned model takes the same memory and the same time as the dense one. "
    "Sparsity saves either only with a sparse format and kernels that use it."
)


def draw_take_away(engine: BackgroundEngine, record: RunRecord) -> None:
    """Downloads, the command line, the protocol."""
    st.markdown(f":material/memory: {ZEROS}")
    st.subheader("Take it with you", anchor=False)
    _draw_downloads(engine, record)
    if record.recipe:
        st.caption("The same run from a terminal, with the same key and the same result:")
        st.code(command(record.recipe), language="bash", wrap_lines=True)
    with st.expander("How this was measured", icon=":material/science:"):
        st.table(pd.DataFrame(_protocol(record), columns=["What", "Value"]), hide_index=True, border="horizontal")


def _draw_downloads(engine: BackgroundEngine, record: RunRecord) -> None:
    key = str(record.key)
    files = [
        ("Record", record.model_dump_json(indent=2), f"{key}.json", "application/json"),
        ("Blocks", block_table(record).to_csv(index=False), f"{key}-blocks.csv", "text/csv"),
        ("Linears", linear_table(record).to_csv(index=False), f"{key}-linears.csv", "text/csv"),
        ("Masks", lambda: _masks(engine, record), f"{key}-masks.safetensors", "application/octet-stream"),
    ]
    with st.container(horizontal=True):
        for label, data, name, kind in files:
            ending = name.rsplit(".", 1)[1]
            st.download_button(f"{label} ({ending})", data, name, kind, key=f"take.{label}", icon=":material/download:", on_click="ignore")


def _masks(engine: BackgroundEngine, record: RunRecord) -> bytes:
    """A bool tensor a linear, named as in the model, True = kept; read from the run's folder only when someone wants it."""
    from safetensors.torch import save  # (imports torch, which the page has by then)

    assert record.key and record.model, "a finished run has both"
    return save(engine.store.folder(record.key).masks(record.model.path))


def _protocol(record: RunRecord) -> list[tuple[str, str]]:
    """Rows of a table: what, and its value."""
    rows = [("Perplexity", record.protocol.perplexity), ("Calibration", record.protocol.statistics)]
    for windows in (record.protocol.calibration, record.protocol.evaluation):
        if windows:
            rows.append((f"Fingerprint of the {windows.role} tokens", windows.fingerprint))
    if record.model:
        model = record.model
        rows.append(("Model", f"{model.architecture}, {numbers.count(model.parameters)} weights in {model.dtype}, {numbers.size(model.bytes)}"))
    rows += [(f"Time, {phase}", numbers.seconds(seconds)) for phase, seconds in record.timings.items()]
    rows.append(("Most memory of the process", numbers.size(record.peak_host)))
    if record.peak_device is not None:
        rows.append(("Most memory on the device", numbers.size(record.peak_device)))
    if record.environment:
        machine = record.environment
        rows.append(("Machine", f"{machine.device_name} ({machine.device}), {machine.threads} threads, {machine.platform}"))
        rows.append(
            ("Software", f"Prunescope {machine.prunescope}, torch {machine.torch}, transformers {machine.transformers}, Python {machine.python}")
        )
    return [*rows, ("Started", record.started or numbers.NOTHING), ("Key", str(record.key))]

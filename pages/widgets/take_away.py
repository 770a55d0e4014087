"""What a person takes along from a finished run: files, the command line that reproduces it, and how it was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine.charts import numbers
from engine.charts.tables import block_table, linear_table
from engine.command import command
from engine.record import RunRecord

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine
    from engine.jobs.views import RunView

POLL = 0.5
HELD = {"resident": "held whole in memory", "streamed": "read block by block from the disk"}
SAVE_HELP = "Safetensors with tokenizer, configuration and a model card, in the run's folder on the machine that computes."


def draw_take_away(engine: BackgroundEngine, view: RunView) -> None:
    """Downloads, the model as a directory, the command line, the protocol; of a run without weights, its numbers."""
    record = view.record
    st.subheader("Take it with you", anchor=False)
    _draw_downloads(engine, record, with_masks=view.has_weights)
    if view.has_weights:
        _draw_saving(engine, str(record.key))
    if record.recipe:
        st.caption("The same run from a terminal, with the same key and the same result:")
        st.code(command(record.recipe), language="bash", wrap_lines=True)
    with st.expander("How this was measured", icon=":material/science:"):
        st.table(pd.DataFrame(_protocol(record), columns=["What", "Value"]), hide_index=True, border="horizontal")


def _draw_downloads(engine: BackgroundEngine, record: RunRecord, *, with_masks: bool) -> None:
    key = str(record.key)
    files: list[tuple[str, str | Callable[[], bytes], str, str]] = [
        ("Record", record.model_dump_json(indent=2), f"{key}.json", "application/json"),
        ("Blocks", block_table(record).to_csv(index=False), f"{key}-blocks.csv", "text/csv"),
        ("Linears", linear_table(record).to_csv(index=False), f"{key}-linears.csv", "text/csv"),
    ]
    if with_masks:
        files.append(("Masks", lambda: _masks(engine, record), f"{key}-masks.safetensors", "application/octet-stream"))
    with st.container(horizontal=True):
        for label, data, name, kind in files:
            ending = name.rsplit(".", 1)[1]
            st.download_button(f"{label} ({ending})", data, name, kind, key=f"take.{label}", icon=":material/download:", on_click="ignore")


def _draw_saving(engine: BackgroundEngine, key: str) -> None:
    """The pruned model as a directory that `from_pretrained` reads: written only when someone wants it."""
    wanted = st.session_state.setdefault("saving", set())
    if key not in wanted:
        st.button("Save the model as a directory", key="save", icon=":material/save:", help=SAVE_HELP, on_click=wanted.add, args=(key,))
        return
    pending = engine.save(key).state == "pending"
    st.fragment(_draw_saved, run_every=POLL if pending else None)(engine, key, pending)


def _draw_saved(engine: BackgroundEngine, key: str, was_pending: bool) -> None:
    view = engine.save(key)
    if was_pending and view.state != "pending":
        st.rerun()
    if view.state == "pending":
        st.caption(":material/hourglass_top: The model is being written.")
    elif view.saved is None:
        st.error(view.message, icon=":material/error:")
    else:
        size = numbers.size(view.saved.bytes)
        st.caption(f":material/check: Saved, {size}. Load it with `AutoModelForCausalLM.from_pretrained`, or prune it again:")
        st.code(view.saved.directory, language=None, wrap_lines=True)


def _masks(engine: BackgroundEngine, record: RunRecord) -> bytes:
    """A bool tensor a linear, named as in the model, True = kept; read from the run's folder only when someone wants it."""
    from safetensors.torch import save  # (imports torch, which the page has by then)

    assert record.key and record.model, "a finished run has both"
    return save(engine.store.find(record.key).masks(record.model.path))


def _protocol(record: RunRecord) -> list[tuple[str, str]]:
    """Rows of a table: what, and its value."""
    rows = [("Perplexity", record.protocol.perplexity), ("Calibration", record.protocol.statistics)]
    rows += [(f"Perplexity on {Path(windows.corpus).name}", record.protocol.perplexity_on(windows)) for windows in record.protocol.evaluations[1:]]
    for windows in (record.protocol.calibration, *record.protocol.evaluations):
        if windows:
            rows.append((f"Tokens of {Path(windows.corpus).name} ({windows.role})", f"{windows.tokens:,}, fingerprint {windows.fingerprint}"))
            rows += [(f"{name[:1].upper()}{name[1:]} of {windows.corpus}", value) for name, value in windows.identity.items()]
    if record.model:
        model = record.model
        weights = f"{numbers.count(model.parameters)} weights in {model.dtype}, {numbers.size(model.bytes)}"
        rows.append(("Model", f"{model.architecture}, {weights}, {HELD[model.residence]}"))
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

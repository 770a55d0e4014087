"""What a person takes along from a finished run: files, the command line that reproduces it, and how it was
measured.

What stands in place of a pruned model that is not on this machine: a recorded run is its numbers alone, and
one click computes the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.charts.report import drawing_bytes, report
from engine.charts.tables import block_table, environment_rows, linear_table, measurement_rows
from engine.export.command_line import command
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets.explore import session
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView


def draw_compute_here(engine: BackgroundEngine, view: RunView) -> None:
    """Say what is missing, and offer to compute it."""
    recipe = view.record.recipe
    if recipe is None:
        return
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        took = numbers.seconds(view.record.elapsed)
        st.markdown(
            f"This run is here as numbers, without its weights. To let it write, or to save it, compute it here (it took {took}).",
            width="stretch",
        )
        st.button(
            "Compute it here",
            key="compute",
            icon=":material/play_arrow:",
            on_click=session.try_again,
            args=(engine, recipe),
        )


POLL = 0.5
REPORT_HELP = "One file that opens offline: the charts to move in, the numbers with their protocol, the recipe, and citations as BibTeX."
SAVE_HELP = "Safetensors with tokenizer, configuration and a model card, in the run's folder on the machine that computes."


def draw_take_away(engine: BackgroundEngine, view: RunView) -> None:
    """Downloads, the model as a directory, the command line, the protocol; of a run without weights, its
    numbers.
    """
    record = view.record
    st.subheader("Take it with you", anchor=False)
    _draw_downloads(engine, record, with_masks=view.has_weights)
    if view.has_weights:
        _draw_saving(engine, str(record.key))
    if record.recipe:
        st.caption("The same run from a terminal, with the same key and the same result:")
        st.code(command(record.recipe), language="bash", wrap_lines=True)
    with st.expander("How this was measured", icon=":material/science:"):
        st.table(
            pd.DataFrame([*measurement_rows(record), *environment_rows(record)], columns=["What", "Value"]),
            hide_index=True,
            border="horizontal",
        )


def _draw_downloads(engine: BackgroundEngine, record: RunRecord, *, with_masks: bool) -> None:
    key = str(record.key)
    files: list[tuple[str, str | Callable[[], bytes], str, str]] = [
        ("Record", record.model_dump_json(indent=2), f"{key}.json", "application/json"),
        ("Blocks", block_table(record).to_csv(index=False), f"{key}-blocks.csv", "text/csv"),
        ("Linears", linear_table(record).to_csv(index=False), f"{key}-linears.csv", "text/csv"),
    ]
    if with_masks:
        files.append(
            ("Masks", lambda: _masks(engine, record), f"{key}-masks.safetensors", "application/octet-stream")
        )
    with st.container(horizontal=True):
        for label, data, name, kind in files:
            ending = name.rsplit(".", 1)[1]
            st.download_button(
                f"{label} ({ending})",
                data,
                name,
                kind,
                key=f"take.{label}",
                icon=":material/download:",
                on_click="ignore",
            )
        st.download_button(
            f"Report (html, {numbers.size(drawing_bytes())})",
            lambda: report(record).encode(),
            f"{key}.html",
            "text/html",
            key="take.Report",
            icon=":material/article:",
            on_click="ignore",
            help=REPORT_HELP,
        )


def _draw_saving(engine: BackgroundEngine, key: str) -> None:
    """The pruned model as a directory that `from_pretrained` reads: written only when someone wants it."""
    wanted = st.session_state.setdefault("saving", set())
    if key not in wanted:
        st.button(
            "Save the model as a directory",
            key="save",
            icon=":material/save:",
            help=SAVE_HELP,
            on_click=wanted.add,
            args=(key,),
        )
        return
    pending = engine.save(key).pending
    st.fragment(_draw_saved, run_every=POLL if pending else None)(engine, key, pending)


def _draw_saved(engine: BackgroundEngine, key: str, was_pending: bool) -> None:
    answer = engine.save(key)
    if answer.pending:
        st.caption(":material/hourglass_top: The model is being written.")
    elif answer.value is None:
        st.error(answer.message, icon=":material/error:")
    else:
        size = numbers.size(answer.value.bytes)
        st.caption(
            f":material/check: Saved, {size}. Load it with `AutoModelForCausalLM.from_pretrained`, or prune it again:"
        )
        st.code(answer.value.directory, language=None, wrap_lines=True)
    if was_pending and not answer.pending:
        redraw_page("saving")


def _masks(engine: BackgroundEngine, record: RunRecord) -> bytes:
    """A bool tensor a linear, named as in the model, True = kept; read from the run's folder only when
    someone wants it.
    """
    from safetensors.torch import save  # (imports torch, which the page has by then)

    assert record.key and record.model, "a finished run has both"
    return save(engine.store.find(record.key).masks(record.model.path))

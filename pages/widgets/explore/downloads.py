"""What a finished run offers to take away: files, the model as a directory, the command that reproduces the
run, and how its numbers were measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.charts.report import drawing_bytes, report
from engine.charts.tables import block_table, environment_rows, linear_table, measurement_rows, to_csv
from engine.export.command_line import command
from engine.export.exported_record import exported
from engine.jobs.views import RunView, Saved
from engine.record import RunRecord
from pages.widgets.literal import literal
from pages.widgets.live import live_answer
from pages.widgets.public_mode import draw_refusal, for_visitor

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

REPORT_HELP = (
    "A single file that opens offline, with interactive charts, the numbers and their protocol, the recipe, "
    "and citations as BibTeX."
)
NO_MASKS = "Masks can be downloaded by who started the run, in the tab where it was started."
SAVE_HELP = (
    "Safetensors with tokenizer, configuration and a model card, in the run's folder on the machine that "
    "computes."
)


def draw_downloads(engine: BackgroundEngine, view: RunView) -> None:
    """Draw everything; masks and the model only if the run has weights."""
    record = view.record
    st.subheader("Export", anchor=False)
    with_masks = view.has_weights and (view.recorded or engine.may_change(str(record.key)))
    _draw_files(engine, record, with_masks=with_masks)
    if view.has_weights:
        if not with_masks:
            st.caption(f":material/lock: {NO_MASKS}")
        _draw_save(engine, str(record.key))
    if record.recipe:
        _draw_when_open(
            "On the command line", "command", ":material/terminal:", partial(_draw_command, record)
        )
    _draw_when_open(
        "How this was measured", "measured", ":material/science:", partial(_draw_measurement, record)
    )


def _draw_when_open(label: str, key: str, icon: str, draw: Callable[[], None]) -> None:
    """Draw an expander whose contents are only made while it is open: for a code block alone, the browser
    loads a highlighter, which delays the charts above by half a second.
    """
    with st.expander(label, icon=icon, key=f"take.{key}", on_change="rerun") as expander:
        if expander.open:
            draw()


def _draw_command(record: RunRecord) -> None:
    assert record.recipe is not None, "only then is there a command"
    st.caption("The same run, with the same key and result:")
    st.code(command(record.recipe), language="bash", wrap_lines=True)


def _draw_measurement(record: RunRecord) -> None:
    rows = [*measurement_rows(record), *environment_rows(record)]
    table = pd.DataFrame(rows, columns=["What", "Value"]).map(literal)  # cells are Markdown
    st.table(table, hide_index=True, border="horizontal")


def _draw_files(engine: BackgroundEngine, record: RunRecord, *, with_masks: bool) -> None:
    key = str(record.key)
    # Masks and report take a while, so they are made only when their button is clicked.
    files: list[tuple[str, str | Callable[[], bytes], str, str]] = [
        ("Record", exported(record).model_dump_json(indent=2), "json", "application/json"),
        ("Blocks", to_csv(block_table(record)), "csv", "text/csv"),
        ("Linears", to_csv(linear_table(record)), "csv", "text/csv"),
    ]
    if with_masks:
        files.append(
            ("Masks", for_visitor(lambda: engine.masks(key)), "safetensors", "application/octet-stream")
        )
    with st.container(horizontal=True):
        for name, data, extension, kind in files:
            suffix = "" if name == "Record" else f"-{name.lower()}"
            st.download_button(
                f"{name} ({extension})",
                data,
                f"{key}{suffix}.{extension}",
                kind,
                key=f"take.{name}",
                icon=":material/download:",
                on_click="ignore",
            )
        st.download_button(
            f"Report (html, {numbers.size(drawing_bytes())})",
            for_visitor(lambda: report(record).encode()),
            f"{key}.html",
            "text/html",
            key="take.Report",
            icon=":material/article:",
            on_click="ignore",
            help=REPORT_HELP,
        )


def _draw_save(engine: BackgroundEngine, key: str) -> None:
    """Draw a button that writes the pruned model as a directory for `from_pretrained`, then the result."""
    if draw_refusal(engine, engine.save):
        return
    requested = st.session_state.setdefault("saving", set())  # keys, so that another run shows its own button
    if key not in requested:
        st.button(
            "Save model as a directory",
            key="save",
            icon=":material/save:",
            help=SAVE_HELP,
            on_click=requested.add,
            args=(key,),
        )
        return
    live_answer(
        "saving",
        lambda: engine.save(key),  # asked again at every poll; the engine saves once
        _draw_saved,
        waiting=_draw_saving,
    )


def _draw_saving() -> None:
    st.caption(":material/hourglass_top: Saving the model.")


def _draw_saved(saved: Saved) -> None:
    st.caption(
        f":material/check: Saved, {numbers.size(saved.bytes)}. Load it with "
        "`AutoModelForCausalLM.from_pretrained`, or prune it again:"
    )
    st.code(saved.directory, language=None, wrap_lines=True)
    if saved.note:
        st.caption(f":material/info: {literal(saved.note)}")

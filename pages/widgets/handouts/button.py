"""The buttons that make reports, tables and handouts: nothing is made before its button is clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.charts.report import drawing_bytes, expected_bytes, runs_report
from engine.charts.report.handout import Section, handout
from engine.charts.report.runs_report import WITHOUT_CHARTS
from engine.export.run_table import FORMATS, run_rows
from engine.numbers import plural
from engine.store.summary import RunSummary
from engine.store.talk import Talk
from pages.widgets.handouts.comparison import comparison
from pages.widgets.handouts.lesson import about, lesson_sections
from pages.widgets.handouts.runs import labelled_runs
from pages.widgets.handouts.talk import talk_sections
from pages.widgets.learn.lesson import Lesson
from pages.widgets.public_mode import for_visitor

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

REPORT_HELP = (
    "One file that opens offline: a table, perplexity against sparsity, each run with its recipe and how it "
    "was measured, and citations as BibTeX. Making it takes a few seconds."
)
A_VIEW = 100_000
"""About how many bytes a view of a talk takes, or a lesson."""
TABLES = {"csv": "CSV", "latex": "LaTeX", "markdown": "Markdown"}


def draw_handout(label: str, make: Callable[[], str], name: str, key: str, help_text: str, size: int) -> None:
    """Draw a button that makes a handout and downloads it.

    Args:
        make: returns the page; it is called after the click, outside of the script run.
        name: of the file, without its extension.
        size: about how many bytes it has.
    """
    st.download_button(
        f"{label} (html, about {size / 1e6:.1f} MB)",
        for_visitor(lambda: make().encode()),
        f"{name}.html",
        "text/html",
        key=key,
        icon=":material/article:",
        on_click="ignore",
        help=help_text,
    )


def draw_export(engine: BackgroundEngine, runs: Sequence[RunSummary], key: str) -> None:
    """Draw a menu that exports finished runs: as a report, and as a table in each format."""
    finished = [run for run in runs if run.state == "finished" and run.record is not None]
    with _menu(key, disabled=not finished) as menu:
        if not menu.open:
            return
        rest = len(runs) - len(finished)
        left_out = f" Left out: {plural(rest, 'run')} that did not finish." if rest else ""
        st.markdown(f"**{plural(len(finished), 'run')}**.{left_out}")
        draw_handout(
            "Report",
            lambda: runs_report(labelled_runs(engine, finished, [run.key for run in finished])),
            "runs",
            f"export.{key}.report",
            REPORT_HELP,
            expected_bytes(len(finished)),
        )
        _draw_tables(finished, key)


def draw_comparison_export(engine: BackgroundEngine, section: str) -> None:
    """Draw a menu that exports what Compare shows: as a handout, and its runs as a table in each format."""
    with _menu("compare", disabled=False) as menu:
        if not menu.open:
            return
        # the address has every filter of the page
        parameters = {name: ",".join(st.query_params.get_all(name)) for name in st.query_params}
        blocks, keys = comparison(engine, parameters)
        if not blocks:
            st.caption("Nothing is shown yet, so there is nothing to export.")
            return
        runs = engine.runs()
        st.markdown(f"**{section}**, {plural(len(set(keys)), 'run')}.")
        draw_handout(
            "Handout",
            lambda: handout(
                f"Comparison: {section.lower()}",
                [Section(section, blocks, runs=labelled_runs(engine, runs, keys))],
            ),
            "comparison",
            "export.compare.handout",
            "One file that opens offline: what this section shows, the recipes of the runs and how they were "
            "measured, and citations as BibTeX. Making it takes a few seconds.",
            drawing_bytes() + WITHOUT_CHARTS * len(keys),
        )
        _draw_tables([run for run in runs if run.key in set(keys)], "compare")


def _menu(key: str, *, disabled: bool) -> Any:  # a popover, which Streamlit does not export
    # Without `on_change`, Streamlit does not report whether a popover is open.
    return st.popover(
        "Export", icon=":material/download:", key=f"export.{key}", disabled=disabled, on_change="rerun"
    )


def _draw_tables(runs: Sequence[RunSummary], key: str) -> None:
    rows = run_rows((run.record, run.label.name) for run in runs if run.record is not None)
    st.caption("As a table: pruner, sparsity, perplexity, ratio and time.")
    with st.container(horizontal=True):
        for name, (extension, write) in FORMATS.items():
            st.download_button(
                TABLES[name],
                write(rows),
                f"runs.{extension}",
                "text/csv" if name == "csv" else "text/plain",
                key=f"export.{key}.{name}",
                icon=":material/table:",
                on_click="ignore",
            )


def draw_lesson_handout(lesson: Lesson) -> None:
    """Draw the button that makes the handout of a lesson, with the controls as they are in the address."""
    parameters = st.query_params.to_dict()
    draw_handout(
        "Handout of this lesson",
        lambda: handout(lesson.title, lesson_sections(lesson, parameters), about=about(lesson)),
        f"lesson-{lesson.name}",
        "learn.handout",
        "One file that opens offline: all steps with their texts and charts, the questions, and the answers "
        "at the end. Making it takes up to 15 seconds.",
        drawing_bytes() + A_VIEW,
    )


def draw_talk_handout(engine: BackgroundEngine, talk: Talk) -> None:
    """Draw a menu that makes the handout of a talk; the speaker's notes are in it only on request, and never
    for visitors.
    """
    with st.popover("Handout", icon=":material/article:", key="present.handout", disabled=not talk.views):
        st.markdown(
            "One file that listeners open offline: what each view shows, with interactive charts, the "
            "recipes of the runs, and citations. Views that are live only name their link."
        )
        notes = engine.public is None and st.toggle("With the speaker's notes", key="present.handout.notes")
        draw_handout(
            "Make it",
            lambda: handout(talk.name, talk_sections(engine, talk, notes=notes)),
            talk.name,
            "present.handout.make",
            "This takes half a minute at most, mostly for texts and masks that the worker has to compute.",
            drawing_bytes() + A_VIEW * len(talk.views),
        )

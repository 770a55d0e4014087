"""The views of a talk as sections of a handout: what each shows, as far as a file can show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.charts.overlay.pair import dense_reference
from engine.charts.report.handout import Block, RunPart, Section
from engine.charts.run_charts import chart_parts
from engine.errors import PrunescopeError
from engine.export.handout_blocks import Text
from engine.recipe import pin
from engine.store.talk import HOME_PAGE, Talk, View
from pages.widgets.explore import address
from pages.widgets.explore.compare_with import DENSE
from pages.widgets.explore.fields import check, defaults
from pages.widgets.explore.session import EVERYTHING, NUMBERS
from pages.widgets.handouts.comparison import comparison
from pages.widgets.handouts.generate import written_texts
from pages.widgets.handouts.lesson import step_blocks
from pages.widgets.handouts.microscope import microscope_blocks
from pages.widgets.handouts.runs import labelled_runs
from pages.widgets.learn.lesson import LESSON, STEP
from pages.widgets.learn.lessons import LESSONS
from pages.widgets.literal import literal, with_lists

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def talk_sections(engine: BackgroundEngine, talk: Talk, *, notes: bool) -> list[Section]:
    """Return a section per view.

    Args:
        notes: whether they contain the speaker's notes.
    """
    return [_section(engine, view, with_lists(view.notes) if notes else "") for view in talk.views]


def _section(engine: BackgroundEngine, view: View, notes: str) -> Section:
    make = MAKERS.get(view.page)
    try:
        blocks, keys = make(engine, view.parameters) if make else ([], [])
    except PrunescopeError as error:  # a run that was deleted, a file that is gone
        blocks, keys = [Text(literal(error))], []
    runs = labelled_runs(engine, engine.runs(), keys)
    return Section(view.title, blocks, runs=runs, notes=notes, link=view.link or "the first page")


Made = tuple[list[Block], list[str]]
"""The blocks, and the keys of the runs behind them whose recipes are listed, too."""


def _explore(engine: BackgroundEngine, parameters: Mapping[str, str]) -> Made:
    """Return the run of the address, or the one that its recipe would be."""
    key = parameters.get(address.RUN) or _key_in_form(parameters)
    runs = engine.runs()
    if key is None or not any(run.key == key and run.state == "finished" for run in runs):
        return [], []
    focus = parameters.get(address.FOCUS, EVERYTHING)
    compared = parameters.get(address.WITH, "")
    others = labelled_runs(engine, runs, [compared] if any(run.key == compared for run in runs) else [])
    blocks: list[Block] = []
    for run in labelled_runs(engine, runs, [key]):
        other = dense_reference(run.record) if compared == DENSE else None
        charts = {name for makers in chart_parts(run.record).values() for name in makers}
        shown = () if focus == NUMBERS else (focus,) if focus in charts else None
        blocks.append(RunPart(run, shown, others[0].record if others else other))
    return blocks, [str(one.record.key) for one in others]


def _key_in_form(parameters: Mapping[str, str]) -> str | None:
    """Return the key of the recipe in the form; None if it is not valid."""
    fields, _ = address.read(parameters, defaults())
    recipe = check(fields, None).recipe
    return None if recipe is None else pin(recipe).key


def _microscope(engine: BackgroundEngine, parameters: Mapping[str, str]) -> Made:
    blocks = microscope_blocks(engine, parameters)
    key = parameters.get("run")
    return blocks, [key] if key and blocks else []


def _learn(engine: BackgroundEngine, parameters: Mapping[str, str]) -> Made:
    """Return the step of a lesson, or the whole lesson if the address names no step."""
    lesson = next((lesson for lesson in LESSONS if lesson.name == parameters.get(LESSON)), None)
    if lesson is None:
        return [], []
    blocks: list[Block] = []
    for step in lesson.steps:
        if parameters.get(STEP, step.name) == step.name:
            blocks += [Text(f"### {step.title}"), *step_blocks(step, parameters)]
    return blocks, []


MAKERS: dict[str, Callable[[BackgroundEngine, Mapping[str, str]], Made]] = {
    HOME_PAGE: _explore,
    "compare": comparison,
    "microscope": _microscope,
    "generate": written_texts,
    "learn": _learn,
}
"""By page; a view of another page is shown by its link only."""

"""The views of a talk as sections of a handout: what each shows, as far as a file can show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.charts.overlay.pair import dense_reference
from engine.charts.report.handout import Block, RunPart, Section
from engine.charts.run_charts import chart_parts
from engine.errors import PrunescopeError
from engine.export.handout_blocks import Text
from engine.jobs.requests import TextRequest
from engine.recipe import pin
from engine.store.summary import RunSummary
from engine.store.talk import HOME_PAGE, Talk, View
from pages.widgets.explore import address
from pages.widgets.explore.compare_with import DENSE
from pages.widgets.explore.fields import check, defaults
from pages.widgets.explore.session import EVERYTHING, NUMBERS
from pages.widgets.generate.lines import sparsity_lines
from pages.widgets.generate.run_choice import SIDE_BY_SIDE, WALK
from pages.widgets.generate.text import PROMPT, TOKENS
from pages.widgets.handouts.comparison import comparison
from pages.widgets.handouts.lesson import step_blocks
from pages.widgets.handouts.microscope import microscope_blocks
from pages.widgets.handouts.runs import labelled_runs
from pages.widgets.learn.lesson import LESSON, STEP
from pages.widgets.learn.lessons import LESSONS
from pages.widgets.literal import literal, with_lists
from pages.widgets.live import completed
from pages.widgets.run_picker import finished_runs, usual_keys

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

MOST_TOKENS = 200
"""Of a text, as Generate's slider ends."""


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


def _generate(engine: BackgroundEngine, parameters: Mapping[str, str]) -> Made:
    """Return what the models of some runs write; it waits for the worker's answers."""
    runs = finished_runs(engine.runs())
    writers = _writers(runs, parameters)
    prompt, tokens = parameters.get("prompt", PROMPT), parameters.get("tokens", "")
    length = min(int(tokens), MOST_TOKENS) if tokens.isdigit() else TOKENS
    requests = [TextRequest(run.key, prompt, length) for run in writers]
    answers = completed(
        lambda: [engine.text(request) for request in requests],
        lambda answers: sum(answer.pending for answer in answers),
    )
    # without those that were refused, or take too long
    texts = [(run, answer.value) for run, answer in zip(writers, answers, strict=True) if answer.value]
    if not texts:
        return [], []
    blocks: list[Block] = [
        Text(f"**Prompt**: {literal(prompt)}"),
        Text(f"**Dense**: {literal(texts[0][1].dense)}"),
        *(Text(f"**{literal(run.title)}**: {literal(written.pruned)}") for run, written in texts),
    ]
    return blocks, [run.key for run, _ in texts]


def _writers(runs: Sequence[RunSummary], parameters: Mapping[str, str]) -> list[RunSummary]:
    """Return the runs whose texts are shown: those of the address, else the line of the slider."""
    if parameters.get("part", WALK) == WALK:
        lines = sparsity_lines(runs)
        line = lines.get(parameters.get("walk", "")) or next(iter(lines.values()), ())
        return [stop.run for stop in line if stop.run is not None and stop.run.has_weights]
    named = [key for key in parameters.get("runs", "").split(",") if key]
    by_key = {run.key: run for run in runs if run.has_weights}
    return [by_key[key] for key in named or usual_keys(runs, *SIDE_BY_SIDE) if key in by_key]


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
    "generate": _generate,
    "learn": _learn,
}
"""By page; a view of another page is shown by its link only."""

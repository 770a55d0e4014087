"""What the Microscope shows of one linear, as blocks of a handout. It waits for the worker's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine import numbers
from engine.analysis.microscope.types import Picture, Study
from engine.analysis.microscope.zoom import parse_span
from engine.charts.microscope.groups import group_boxes
from engine.charts.microscope.rows_and_columns import norms_against_sparsity, sparsity_profiles, worst_rows
from engine.charts.microscope.scores import score_histogram
from engine.charts.microscope.weight_map import weight_map
from engine.charts.report.handout import Block
from engine.events import LinearPruned
from engine.export.handout_blocks import Text, Value
from engine.jobs.requests import LinearRequest
from engine.pruning.axes import SCORES
from engine.recipe import Recipe
from engine.record import RunRecord
from pages.widgets.literal import literal
from pages.widgets.live import completed
from pages.widgets.microscope.lens import group_width
from pages.widgets.microscope.view import first_run
from pages.widgets.run_picker import finished_runs

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def microscope_blocks(engine: BackgroundEngine, parameters: Mapping[str, str]) -> list[Block]:
    """Return the map and the cards of a linear; nothing if its run has no weights here.

    Raises:
        PrunescopeError: there is no such run.
    """
    key = parameters.get("run") or first_run(finished_runs(engine.runs()))
    view = engine.view(key) if key else None
    if view is None or view.record.recipe is None or not view.has_weights or view.state != "finished":
        return []
    block, linear = _place(view.record, parameters)
    request = LinearRequest(str(key), block, linear.name)
    spans = [
        parse_span(parameters[name], length) if name in parameters else None
        for name, length in (("rows", linear.rows), ("columns", linear.columns))
    ]
    picture, study = completed(
        lambda: (engine.picture(request, *spans), engine.inspect(request)),
        lambda answers: sum(answer.pending for answer in answers),
    )
    if picture.value is None:
        return []
    recipe = view.record.recipe
    return [
        Text(f"{literal(view.record.title)}, block {block}, {literal(linear.name)}."),
        Value("Weights", f"{linear.rows:,} × {linear.columns:,}"),
        Value("Removed", numbers.percent(linear.sparsity, 2)),
        Value("Output error", numbers.percent(linear.output_error)),
        weight_map(picture.value, study.value and study.value.norms, group_width(recipe)),
        *(_cards(study.value, recipe, picture.value) if study.value else ()),
        sparsity_profiles(picture.value),
    ]


def _place(record: RunRecord, parameters: Mapping[str, str]) -> tuple[int, LinearPruned]:
    """Return the block and the linear of the address, or those with the largest error."""
    linears = {(block.index, linear.name): linear for block in record.blocks for linear in block.linears}
    assert record.worst is not None, "a finished run has pruned something"
    block, name = record.worst
    if parameters.get("block", "").isdigit():
        block = int(parameters["block"])
    place = (block, parameters.get("linear", name))
    return (place[0], linears[place]) if place in linears else (record.worst[0], linears[record.worst])


def _cards(study: Study, recipe: Recipe, picture: Picture) -> list[Block]:
    groups = [] if study.groups is None else [group_boxes(study.groups)]
    scores = [] if study.scores is None else [score_histogram(study.scores, SCORES.named(recipe.score).title)]
    norms = norms_against_sparsity(study.norms, picture.column_removed, picture.shape[0])
    return [*groups, *scores, norms, worst_rows(study)]

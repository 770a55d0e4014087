"""A run as a section of a page: its numbers, charts, recipe, measurement and papers, without paths of the
machine that computed it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.published import Published, published
from engine.charts.headline import Number, run_numbers
from engine.charts.report.parts import Figure, Table, figure, table
from engine.charts.run_charts import chart_parts
from engine.charts.tables import (
    Rows,
    block_table,
    environment_rows,
    evaluation_table,
    linear_table,
    measurement_rows,
)
from engine.charts.tasks import task_scores
from engine.export.citations import cited
from engine.export.command_line import command
from engine.export.redaction import paths, shareable
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.registry import Paper


@dataclass(frozen=True)
class RunSection:
    """A run, ready to be shown.

    Attributes:
        id: beginning of the names of its charts, unique on the page.
        title: the user's name of the run, else the recipe in a few words.
        note: the user's note.
        record, recipe: without paths.
        charts: by the title of their part; parts without charts are left out.
        paths: names of the files that the command needs.
        recipe_key: the key of the recipe, also of an imported run.
        tables: all blocks, and all linears, or none.
    """

    id: str
    title: str
    note: str
    record: RunRecord
    recipe: Recipe
    numbers: list[Number]
    published: tuple[Published, ...]
    narrow_calibration: str
    evaluations: Table | None
    charts: dict[str, list[Figure]]
    paths: list[str]
    command: str
    recipe_key: str
    recipe_json: str
    tables: list[Table]
    measured: Rows
    environment: Rows
    papers: list[Paper]

    @property
    def figures(self) -> Iterator[Figure]:
        """All charts."""
        return chain.from_iterable(self.charts.values())


def run_section(
    record: RunRecord,
    *,
    id: str = "",
    name: str = "",
    note: str = "",
    charts: Collection[str] | None = None,
    other: RunRecord | None = None,
    tables: bool = True,
) -> RunSection:
    """Return a run as a section.

    Args:
        id: letters and digits, if the page has several runs.
        name, note: of the user.
        charts: names of the charts to show, of `chart_parts`; None for all.
        other: a second run to draw into the charts, see `chart_parts`.
        tables: whether to add the tables of all blocks and linears, which are large.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to report.
    """
    if record.recipe is None or record.model is None:
        raise ValueError("A report needs a run with a recipe and a model.")
    # Everything below uses the redacted record; only the names of the files come from the original.
    shared = shareable(record)
    recipe = shared.recipe
    assert recipe is not None, "redaction keeps the recipe"
    return RunSection(
        id=id,
        title=name or shared.title,
        note=note,
        record=shared,
        recipe=recipe,
        numbers=run_numbers(shared),
        published=published(shared),
        narrow_calibration=narrow_calibration_of(recipe),
        evaluations=table(evaluation_table(shared), "Dense and pruned on every text")
        if shared.evaluations
        else None,
        charts=_charts(shared, other and shareable(other), f"{id}-" if id else "", charts),
        paths=[Path(path).name for path in paths(record.recipe)],
        command=command(recipe),
        recipe_key=record.recipe.key if record.imported else str(record.key),
        recipe_json=json.dumps(recipe.model_dump(mode="json"), indent=2, ensure_ascii=False),
        tables=[table(block_table(shared), "All blocks"), table(linear_table(shared), "All linears")]
        if tables
        else [],
        measured=measurement_rows(shared),
        environment=environment_rows(shared),
        papers=cited(recipe),
    )


def _charts(
    record: RunRecord, other: RunRecord | None, prefix: str, names: Collection[str] | None
) -> dict[str, list[Figure]]:
    """Return the charts that Explore shows, by part, or those of them that are named."""
    parts = {
        title: [
            figure(f"{prefix}{name}", make(record))
            for name, make in makers.items()
            if names is None or name in names
        ]
        for title, makers in chart_parts(record, other).items()
    }
    if record.tasks.dense and names is None:
        tasks = figure(f"{prefix}tasks", task_scores(record.tasks.dense, record.tasks.pruned))
        parts = {"Zero-shot tasks": [tasks], **parts}
    return {title: figures for title, figures in parts.items() if figures}

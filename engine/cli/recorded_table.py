"""`record --table`: the results of the bundled runs as Markdown, a table per model: pruners by sparsities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.analysis.calibration_text import narrow_calibration
from engine.analysis.comparison.points import Point, points
from engine.analysis.comparison.protocols import by_protocol, finished_runs, titles
from engine.numbers import short_percent
from engine.store.summary import RunSummary


def tables(runs: Iterable[RunSummary]) -> str:
    """Return a table of perplexities, with their ratios to the dense model's, for each protocol."""
    groups = by_protocol(finished_runs((run.record, run.own) for run in runs))
    return "\n\n".join(_table(title, points(groups[one])) for title, one in titles(groups).items())


def _table(title: str, families: Mapping[str, Sequence[Point]]) -> str:
    every = [point for family in families.values() for point in family]
    shapes = sorted({(point.is_grouped, point.sparsity, point.shape) for point in every})
    names = [shape if grouped else short_percent(sparsity) for grouped, sparsity, shape in shapes]
    run = every[0].runs[0].record
    rows = [["pruner", *names], ["---"] * (1 + len(names))]
    for name, family in sorted(families.items()):
        cells = {(point.is_grouped, point.sparsity, point.shape): _cell(point) for point in family}
        rows.append([name, *(cells.get(shape, "") for shape in shapes)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    measured = f"Perplexity: {run.protocol.perplexity}; {run.protocol.statistics}."
    dense = f"The dense model has {every[0].runs[0].dense:.2f}; in brackets: pruned / dense."
    narrow = narrow_calibration(every[0].runs[0].recipe.calibration, every[0].runs[0].recipe.evaluations)
    return "\n".join([f"**{title}**", "", f"{measured} {dense} {narrow}".rstrip(), "", *lines])


def _cell(point: Point) -> str:
    return f"{point.perplexity:.2f} (× {point.ratio:.2f})"

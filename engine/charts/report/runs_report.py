"""The report of several runs: a table, the curves, the runs one by one, and the papers of all their methods.

The file has about the size of the drawing library, which is in it once, plus 10 kB per run: the runs' own
charts are left out if there are more than `MOST_WITH_CHARTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.analysis.comparison.points import points
from engine.analysis.comparison.protocols import by_protocol, finished_runs, titles
from engine.charts.compare.curves import perplexity_curves
from engine.charts.report.parts import Figure, Table, figure
from engine.charts.report.run_section import run_section
from engine.charts.report.template import drawing_bytes, render
from engine.export.redaction import shareable
from engine.export.run_table import run_rows, run_table
from engine.record import RunRecord
from engine.record.outline import outline

MOST_WITH_CHARTS = 12
"""Runs whose own charts and tables, about 0.1 MB each, are part of a report."""


WITH_CHARTS, WITHOUT_CHARTS = 80_000, 8_000
"""About how many bytes a run takes in a report."""


@dataclass(frozen=True)
class LabelledRun:
    """A run with the name and the note that its user has given it."""

    record: RunRecord
    name: str = ""
    note: str = ""


def runs_report(runs: Sequence[LabelledRun]) -> str:
    """Return runs as one self-contained HTML file, in their order.

    Raises:
        ValueError: there are no runs, or one has no recipe or no model.
    """
    if not runs:
        raise ValueError("A report needs at least one run.")
    charts = None if len(runs) <= MOST_WITH_CHARTS else ()
    sections = [
        run_section(run.record, id=f"run{place}", name=run.name, note=run.note, charts=charts, tables=False)
        for place, run in enumerate(runs, start=1)
    ]
    curves = list(curve_figures([run.record for run in runs]))
    table, notes = table_of(runs)
    return render(
        "runs",
        [*(item for _, item in curves), *(item for section in sections for item in section.figures)],
        title=f"{len(runs)} runs" if len(runs) > 1 else sections[0].title,
        runs=sections,
        table=table,
        notes=notes,
        curves=curves,
        most_with_charts=MOST_WITH_CHARTS,
        # of different runs the same paper, once
        papers=list(dict.fromkeys(paper for section in sections for paper in section.papers)),
    )


def expected_bytes(runs: int) -> int:
    """Return about how large a report of this many runs is."""
    return drawing_bytes() + runs * (WITH_CHARTS if runs <= MOST_WITH_CHARTS else WITHOUT_CHARTS)


def table_of(runs: Sequence[LabelledRun]) -> tuple[Table, list[str]]:
    """Return the table of runs, a row each, and what their perplexities were measured on."""
    found = run_table(run_rows((run.record, run.name) for run in runs))
    return Table("The runs", found.columns, found.rows), found.notes


def curve_figures(records: Sequence[RunRecord], prefix: str = "curves") -> Iterator[tuple[str, Figure]]:
    """Yield perplexity against sparsity, a chart for each protocol that has two runs or more, with the
    protocol's title.
    """
    shared = [outline(shareable(record)) for record in records]
    # Whoever reads the report has computed none of them.
    groups = by_protocol(finished_runs((record, False) for record in shared))
    # of all protocols, so that a family looks the same in every chart
    order = list(dict.fromkeys(name for group in groups.values() for name in points(group)))
    for place, (title, protocol) in enumerate(titles(groups).items(), start=1):
        if len(groups[protocol]) > 1:
            yield title, figure(f"{prefix}{place}", perplexity_curves(points(groups[protocol]), order=order))

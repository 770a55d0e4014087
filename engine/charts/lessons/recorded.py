"""Recorded runs of the bundled model beside a lesson: perplexity over sparsity, by what pruned it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.lines import line_chart
from engine.charts.numbers import listed, perplexity
from engine.record import RunRecord


def recorded_perplexities(runs: Mapping[str, Sequence[RunRecord]], at: float) -> Chart:
    """Perplexities over the sparsity, with a line for each name; the runs of all names are finished and at the same sparsities.

    Args:
        at: the sparsity that is marked, and whose numbers are said.
    """
    first = next(iter(runs.values()))
    shares = [record.recipe.sparsity for record in first if record.recipe]
    place = min(range(len(shares)), key=lambda place: abs(shares[place] - at))
    lines = {name: [record.pruned.perplexity for record in records if record.pruned] for name, records in runs.items()}
    told = f"At {100 * shares[place]:.0f} %: {listed([f'{name} {perplexity(values[place])}' for name, values in lines.items()])}."
    return line_chart(
        [100 * share for share in shares],
        lines,
        axes=("Sparsity, %", "Perplexity of the pruned model"),
        title="In the bundled model: recorded runs",
        alt=f"Line chart of perplexity against sparsity, recorded runs of the bundled model. {told}",
        caption=f"{told} Perplexity: {first[0].protocol.perplexity}; dense {perplexity(first[0].dense.perplexity if first[0].dense else None)}.",
        at=100 * shares[place],
        scale=1,
        hover="%{y:,.1f}",
        log_values=True,
    )

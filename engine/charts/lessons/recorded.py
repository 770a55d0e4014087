"""Recorded runs of the bundled model beside a lesson: perplexity over sparsity, by what pruned it, and what
an addition changes about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.plots import line_chart
from engine.numbers import listed, percent, perplexity
from engine.record import RunRecord


def recorded_perplexities(runs: Mapping[str, Sequence[RunRecord]], at: float) -> Chart:
    """Perplexities over the sparsity, with a line for each name; the runs of all names are finished and at
    the same sparsities.

    Args:
        at: the sparsity that is marked, and whose numbers are said.
    """
    first = next(iter(runs.values()))
    shares = _shares(first)
    place = _nearest(shares, at)
    lines = {name: _perplexities(records) for name, records in runs.items()}
    told = f"At {percent(shares[place], 0)}: {listed([f'{name} {perplexity(values[place])}' for name, values in lines.items()])}."
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


def recorded_changes(
    pairs: Mapping[str, tuple[Sequence[RunRecord], Sequence[RunRecord]]], at: float
) -> Chart:
    """By how much an addition changes the perplexity: for each name the runs without it and with it, as in
    `recorded_perplexities`.
    """
    first = next(iter(pairs.values()))[0]
    shares = _shares(first)
    place = _nearest(shares, at)
    found = {name: (_perplexities(before), _perplexities(after)) for name, (before, after) in pairs.items()}
    lines = {
        name: [one / other - 1 for other, one in zip(*both, strict=True)] for name, both in found.items()
    }
    told = listed(
        [
            f"{name} {perplexity(before[place])} to {perplexity(after[place])}"
            for name, (before, after) in found.items()
        ]
    )
    return line_chart(
        [100 * share for share in shares],
        lines,
        axes=("Sparsity, %", "Change of the perplexity, %"),
        title="What it changes in the bundled model: recorded runs",
        alt=f"Line chart of the change of perplexity against sparsity, recorded runs. At {percent(shares[place], 0)}: {told}.",
        caption=f"Below 0 it helps. At {percent(shares[place], 0)}: {told}. Perplexity: {first[0].protocol.perplexity}.",
        at=100 * shares[place],
    )


def _shares(records: Sequence[RunRecord]) -> list[float]:
    return [record.recipe.sparsity for record in records if record.recipe]


def _perplexities(records: Sequence[RunRecord]) -> list[float]:
    return [record.pruned.perplexity for record in records if record.pruned]


def _nearest(shares: Sequence[float], at: float) -> int:
    return min(range(len(shares)), key=lambda place: abs(shares[place] - at))

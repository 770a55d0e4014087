"""Charts of recorded runs of the bundled model next to a lesson: perplexity against sparsity per pruner, and
how an addition changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.charts.chart import Chart
from engine.charts.lessons.plots import line_chart
from engine.numbers import listed, percent, perplexity
from engine.record import RunRecord


def recorded_perplexities(runs: Mapping[str, Sequence[RunRecord]], at: float) -> Chart:
    """Plot perplexity against sparsity, a line per name.

    Args:
        runs: finished runs by name; all names have the same sparsities.
        at: the sparsity to mark and to quote.
    """
    first = next(iter(runs.values()))
    shares = _shares(first)
    marked = _nearest(shares, at)
    lines = {name: _perplexities(records) for name, records in runs.items()}
    values = listed([f"{name} {perplexity(line[marked])}" for name, line in lines.items()])
    summary = f"At {percent(shares[marked], 0)}: {values}."
    dense = perplexity(first[0].dense.perplexity if first[0].dense else None)
    return line_chart(
        [100 * share for share in shares],
        lines,
        axes=("Sparsity, %", "Perplexity of the pruned model"),
        title="Recorded runs of the bundled model",
        alt=f"Line chart of perplexity against sparsity, recorded runs of the bundled model. {summary}",
        caption=f"{summary} Perplexity: {first[0].protocol.perplexity}; dense {dense}.",
        at=100 * shares[marked],
        scale=1,  # perplexities, not shares
        hover="%{y:,.1f}",
        log_values=True,  # perplexities grow by orders of magnitude
    )


def recorded_changes(
    pairs: Mapping[str, tuple[Sequence[RunRecord], Sequence[RunRecord]]], at: float
) -> Chart:
    """Plot by how much an addition changes the perplexity.

    Args:
        pairs: by name, the finished runs without the addition and those with it, at the same sparsities.
        at: the sparsity to mark and to quote.
    """
    first = next(iter(pairs.values()))[0]
    shares = _shares(first)
    marked = _nearest(shares, at)
    values = {name: (_perplexities(before), _perplexities(after)) for name, (before, after) in pairs.items()}
    # relative change; below 0 is better
    lines = {name: [new / old - 1 for old, new in zip(*both, strict=True)] for name, both in values.items()}
    changes = listed(
        [
            f"{name} {perplexity(before[marked])} to {perplexity(after[marked])}"
            for name, (before, after) in values.items()
        ]
    )
    summary = f"At {percent(shares[marked], 0)}: {changes}."
    return line_chart(
        [100 * share for share in shares],
        lines,
        axes=("Sparsity, %", "Change of the perplexity, %"),
        title="Effect on the bundled model: recorded runs",
        alt=f"Line chart of the change of perplexity against sparsity, recorded runs. {summary}",
        caption=f"Below 0 the addition helps. {summary} Perplexity: {first[0].protocol.perplexity}.",
        at=100 * shares[marked],
    )


def _shares(records: Sequence[RunRecord]) -> list[float]:
    return [record.recipe.sparsity for record in records if record.recipe]


def _perplexities(records: Sequence[RunRecord]) -> list[float]:
    return [record.pruned.perplexity for record in records if record.pruned]


def _nearest(shares: Sequence[float], at: float) -> int:
    return min(range(len(shares)), key=lambda index: abs(shares[index] - at))

"""The lines of the sparsity slider: the runs of one pruner by sparsity, starting with the dense model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import numbers
from engine.analysis.comparison.points import Point, curve, points
from engine.analysis.comparison.protocols import by_protocol, finished_runs
from engine.record import MARK
from engine.store.summary import RunSummary

LEAST = 2
"""Runs that a line needs."""
FIRST = "Wanda"


@dataclass(frozen=True)
class Stop:
    """A position on a line; `run` is None at the first one, the dense model."""

    sparsity: float
    perplexity: float
    title: str
    run: RunSummary | None

    @property
    def label(self) -> str:
        """The slider's label."""
        # one decimal only if it is not 0
        return numbers.percent(self.sparsity, 1 if round(1000 * self.sparsity) % 10 else 0)


def sparsity_lines(runs: Sequence[RunSummary]) -> dict[str, tuple[Stop, ...]]:
    """Return all lines by name: Wanda first, then those of the evaluation protocol with the most runs, then
    the others, named with their protocol.
    """
    by_key = {run.key: run for run in runs}
    groups = by_protocol(finished_runs((run.record, run.own) for run in runs))
    lines: dict[str, tuple[Stop, ...]] = {}
    for place, (protocol, group) in enumerate(groups.items()):
        for name, family in points(group).items():
            line = curve(family)
            if len(line) >= LEAST:
                # groups come largest first; the first one needs no protocol
                lines[name if place == 0 else f"{name} · {protocol.title}"] = (
                    _dense(line[0]),
                    *(_stop(point, by_key) for point in line),
                )
    # stable: the others keep their order
    return dict(sorted(lines.items(), key=lambda item: item[0] != FIRST))


def _dense(point: Point) -> Stop:
    return Stop(0.0, point.runs[0].dense, f"Dense{MARK if point.imported else ''}", None)


def _stop(point: Point, runs: dict[str, RunSummary]) -> Stop:
    """Return one run of a point, preferably one that has weights here."""
    with_weights = [run for run in point.runs if runs[run.key].has_weights]
    run = (with_weights or list(point.runs))[0]
    return Stop(
        point.sparsity, run.perplexity, f"{run.recipe.title}{MARK if run.imported else ''}", runs[run.key]
    )

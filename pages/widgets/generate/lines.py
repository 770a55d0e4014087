"""The lines that can be walked: the runs of one way to prune over the sparsities, the dense model at their
beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import numbers
from engine.analysis.comparison.points import Point, curve, points
from engine.analysis.comparison.protocols import by_protocol, finished_runs
from engine.store.runs import RunSummary

LEAST = 2
"""Runs that a walk needs."""
FIRST = "Wanda"


@dataclass(frozen=True)
class Stop:
    """A place on a line.

    Attributes:
        run: None at the beginning, which is the dense model.
    """

    sparsity: float
    perplexity: float
    title: str
    run: RunSummary | None

    @property
    def label(self) -> str:
        """What the slider calls it."""
        return numbers.percent(self.sparsity, 1 if round(1000 * self.sparsity) % 10 else 0)


def walkable(runs: Sequence[RunSummary]) -> dict[str, tuple[Stop, ...]]:
    """Every line by its name: those of the protocol with most runs first, those of others with their
    protocol.
    """
    by_key = {run.key: run for run in runs}
    groups = by_protocol(finished_runs((run.record, not run.recorded) for run in runs))
    found: dict[str, tuple[Stop, ...]] = {}
    for place, (protocol, group) in enumerate(groups.items()):
        for name, family in points(group).items():
            line = curve(family)
            if len(line) >= LEAST:
                found[name if place == 0 else f"{name} · {protocol.title}"] = (
                    _dense(line[0]),
                    *(_stop(point, by_key) for point in line),
                )
    return dict(sorted(found.items(), key=lambda item: item[0] != FIRST))


def _dense(point: Point) -> Stop:
    return Stop(0.0, point.runs[0].dense, "Dense", None)


def _stop(point: Point, runs: dict[str, RunSummary]) -> Stop:
    """One run of a point: the first whose weights are here, or else the first."""
    here = [run for run in point.runs if runs[run.key].has_weights]
    run = (here or list(point.runs))[0]
    return Stop(point.sparsity, run.perplexity, run.recipe.title, runs[run.key])

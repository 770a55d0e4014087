"""What the rest of a sweep costs before it is started: the number of missing runs, their time and their
memory.

The time of a run is the median of what runs of the same kind took on this machine, or the estimate if there
were none. Runs of a sweep share the loaded model, the windows and the dense pass, so both are too high rather
than too low.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from engine.analysis.comparison.grid import MISSING, RunStatus
from engine.analysis.comparison.sweep import Cell
from engine.cost.estimate import Cost
from engine.pruning.patterns import is_n_of_m
from engine.recipe import Recipe
from engine.record.outline import Outline

RunKind = tuple[object, ...]
ALIKE = (
    "model", "revision", "dtype", "device", "calibration", "evaluation", "tasks", "samples", "length",
    "score", "update", "refinement", "bias", "allocation",
)  # fmt: skip
"""Fields of a recipe that its time depends on, besides whether its pattern is N:M."""


@dataclass(frozen=True)
class SweepCost:
    """The cost of a sweep.

    Attributes:
        runs: total number, without those that are refused.
        finished: how many of them are finished.
        active: keys of those that are queued or running.
        missing: recipes that a start would submit: neither finished nor active.
        seconds: time of all that are not finished, one after another; None if unknown.
        measured: how many of these times come from runs on this machine.
        memory: peak bytes on the host; None if unknown.
        cost: of the run that needs most, None if unknown.
    """

    runs: int
    finished: int
    active: tuple[str, ...]
    missing: tuple[Recipe, ...]
    seconds: float | None = None
    measured: int = 0
    memory: int | None = None
    cost: Cost | None = None


def sweep_cost(
    cells: Sequence[Cell],
    statuses: Mapping[str, RunStatus],
    times: Mapping[RunKind, float],
    estimate: Callable[[Recipe], Cost] | None,
) -> SweepCost:
    """Return the current cost of a sweep.

    Args:
        statuses: by the runs' keys.
        times: seconds of runs on this machine, by `run_kind`.
        estimate: returns a recipe's cost; None while the model is not known.
    """
    recipes = [cell.recipe for cell in cells if cell.recipe is not None]
    states = {recipe.key: statuses.get(recipe.key, MISSING).state for recipe in recipes}
    rest = [recipe for recipe in recipes if states[recipe.key] != "finished"]
    costs = [estimate(recipe) for recipe in rest] if estimate else []
    # a run that does not fit is shown even if another one needs more host memory
    most = next((cost for cost in costs if not cost.fits), None) or max(
        costs, key=lambda cost: cost.host_bytes, default=None
    )
    known = [times.get(run_kind(recipe)) for recipe in rest]
    estimates: list[float | None] = [cost.seconds for cost in costs] if costs else [None for _ in rest]
    spent = [guess if time is None else time for time, guess in zip(known, estimates, strict=True)]
    return SweepCost(
        runs=len(recipes),
        finished=len(recipes) - len(rest),
        active=tuple(recipe.key for recipe in rest if states[recipe.key] in ("running", "queued")),
        missing=tuple(recipe for recipe in rest if states[recipe.key] not in ("running", "queued")),
        # One unknown time makes the sum unknown.
        seconds=None if None in spent else sum(time for time in spent if time is not None),
        measured=sum(time is not None for time in known),
        memory=max((cost.host_bytes for cost in costs), default=None),
        cost=most,
    )


def run_kind(recipe: Recipe) -> RunKind:
    """Return what runs that take about as long have in common."""
    return (*(getattr(recipe, name) for name in ALIKE), is_n_of_m(recipe.pattern))


def median_times(records: Iterable[Outline]) -> dict[RunKind, float]:
    """Return the median time of finished runs by kind, in seconds.

    Resumed runs do not count, because their time is only that of the rest.
    """
    times: dict[RunKind, list[float]] = {}
    for record in records:
        if record.recipe is not None and record.state == "finished" and record.resumed is None:
            times.setdefault(run_kind(record.recipe), []).append(record.elapsed)
    return {kind: median(values) for kind, values in times.items()}

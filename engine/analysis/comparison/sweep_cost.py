"""What a sweep still costs before it is started: how many runs are missing, and their time and memory.

A run's time is what runs of the same kind took here (the median over one's own), and the estimate where there
is none. Runs of one sweep share the loaded model, the windows and the dense pass, so both are rather too much
than too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from engine.analysis.comparison.grid import MISSING, Standing
from engine.analysis.comparison.sweep import Cell
from engine.cost.estimate import Cost
from engine.pruning.patterns import is_n_of_m
from engine.recipe import Recipe
from engine.record import RunRecord

Kind = tuple[object, ...]
ALIKE = (
    "model", "revision", "dtype", "device", "calibration", "evaluation", "tasks", "samples", "length", "score", "update", "refinement", "allocation"
)  # fmt: skip
"""Fields of a recipe that its time depends on, beside whether its pattern is N:M."""


@dataclass(frozen=True)
class Outlay:
    """A sweep's cost.

    Attributes:
        runs: how many it has, without those that are refused.
        there: how many of them are finished already.
        going: keys of those that wait or go on.
        missing: recipes that a start would submit: neither finished nor on their way.
        seconds: of all that are not finished, one after the other; None where it is not known.
        measured: how many of these times come from runs that were made here.
        memory: bytes at the peak on the host; None where it is not known.
        cost: of the run that needs most, None where it is not known.
    """

    runs: int
    there: int
    going: tuple[str, ...]
    missing: tuple[Recipe, ...]
    seconds: float | None = None
    measured: int = 0
    memory: int | None = None
    cost: Cost | None = None


def outlay(
    cells: Sequence[Cell],
    standings: Mapping[str, Standing],
    times: Mapping[Kind, float],
    estimate: Callable[[Recipe], Cost] | None,
) -> Outlay:
    """The cost of a sweep as it stands.

    Args:
        times: of runs made here, by `kind`.
        estimate: a recipe's cost; None where the model is not known yet.
    """
    recipes = [cell.recipe for cell in cells if cell.recipe is not None]
    states = {recipe.key: standings.get(recipe.key, MISSING).state for recipe in recipes}
    rest = [recipe for recipe in recipes if states[recipe.key] != "finished"]
    missing = tuple(recipe for recipe in rest if states[recipe.key] not in ("running", "queued"))
    costs = [estimate(recipe) for recipe in rest] if estimate else []
    most = next((cost for cost in costs if not cost.fits), None) or max(
        costs, key=lambda cost: cost.host_bytes, default=None
    )
    known = [times.get(kind(recipe)) for recipe in rest]
    guesses: list[float | None] = [cost.seconds for cost in costs] if costs else [None for _ in rest]
    spent = [guess if time is None else time for time, guess in zip(known, guesses, strict=True)]
    return Outlay(
        runs=len(recipes),
        there=len(recipes) - len(rest),
        going=tuple(recipe.key for recipe in rest if states[recipe.key] in ("running", "queued")),
        missing=missing,
        seconds=None if None in spent else sum(time for time in spent if time is not None),
        measured=sum(time is not None for time in known),
        memory=max((cost.host_bytes for cost in costs), default=None),
        cost=most,
    )


def kind(recipe: Recipe) -> Kind:
    """What runs that take about as long have in common."""
    return (*(getattr(recipe, name) for name in ALIKE), is_n_of_m(recipe.pattern))


def times(records: Iterable[RunRecord]) -> dict[Kind, float]:
    """The median time of finished runs by kind, seconds; runs that were taken up again say nothing of the
    whole.
    """
    found: dict[Kind, list[float]] = {}
    for record in records:
        if record.recipe is not None and record.state == "finished" and record.resumed is None:
            found.setdefault(kind(record.recipe), []).append(record.elapsed)
    return {its: median(values) for its, values in found.items()}

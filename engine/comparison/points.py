"""Finished runs as points of curves: perplexity against sparsity, one curve for each way to prune.

Perplexities are compared only under one protocol: the same model, evaluation windows (by fingerprint), number type, and the same amount of the same
calibration text. Runs that differ in nothing but the seed of the calibration windows are one point with a spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from engine.pruning.methods import AXES
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.validation import default_group


@dataclass(frozen=True)
class Measured:
    """A finished run with a perplexity.

    Attributes:
        own: whether it was computed here rather than recorded.
    """

    key: str
    recipe: Recipe
    record: RunRecord
    own: bool

    @property
    def perplexity(self) -> float:
        assert self.record.pruned is not None, "only measured runs are made"
        return self.record.pruned.perplexity

    @property
    def dense(self) -> float:
        assert self.record.dense is not None, "only measured runs are made"
        return self.record.dense.perplexity

    @property
    def ratio(self) -> float:
        assert self.record.ratio is not None, "only measured runs are made"
        return self.record.ratio


def measured(runs: Iterable[tuple[RunRecord | None, bool]]) -> list[Measured]:
    """The finished runs that have a perplexity, of records and whether each is one's own."""
    return [
        Measured(str(record.key), record.recipe, record, own)
        for record, own in runs
        if record is not None and record.state == "finished" and record.recipe is not None and record.pruned is not None and record.ratio is not None
    ]


@dataclass(frozen=True)
class Protocol:
    """What a perplexity was measured on, and what the pruner was shown. Only points of one protocol belong in one drawing."""

    model: str
    revision: str | None
    dtype: str | None
    evaluation: str
    fingerprint: str
    calibration: str
    samples: int
    length: int

    @property
    def title(self) -> str:
        """In a line."""
        texts = f"{Path(self.evaluation).name}, calibrated on {self.samples} × {self.length} tokens of {Path(self.calibration).name}"
        return f"{Path(self.model).name} in {self.dtype} on {texts}"


def protocol(run: Measured) -> Protocol:
    """The protocol of a run; its windows' fingerprint says which tokens were predicted."""
    recipe, record = run.recipe, run.record
    evaluation, calibration = record.protocol.evaluation, record.protocol.calibration
    return Protocol(
        recipe.model,
        recipe.revision,
        record.protocol.dtype,
        evaluation.corpus if evaluation else "",
        evaluation.fingerprint if evaluation else "",
        recipe.calibration,
        recipe.samples,
        calibration.length if calibration else recipe.length or 0,
    )


def by_protocol(runs: Iterable[Measured]) -> dict[Protocol, list[Measured]]:
    """The runs of each protocol, the largest group first."""
    groups: dict[Protocol, list[Measured]] = {}
    for run in runs:
        groups.setdefault(protocol(run), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: len(item[1]), reverse=True))


def family(recipe: Recipe) -> str:
    """The way to prune in words, all but how much: pruner, top-up, and what differs from their defaults."""
    name = PRESETS[recipe.pruner].title if recipe.pruner else " + ".join(x for x in (recipe.score, recipe.update, recipe.refinement) if x != "none")
    top_up = "" if recipe.allocation == "uniform" else f" with {recipe.methods['allocation'].title}"
    return f"{name}{top_up}{_unusual(recipe)}"


def _unusual(recipe: Recipe) -> str:
    """What a recipe sets otherwise than its methods would."""
    usual = {f"{method.name}.{one.name}": one.coerced(one.default) for method in recipe.methods.values() for one in method.parameters}
    drawn = "manual."  # ratios that somebody drew: the name of the top-up says that, and there are too many for a name
    other = [f"{name.split('.', 1)[1]} {_short(value)}" for name, value in recipe.settings.items() if usual[name] != value and drawn not in name]
    if recipe.group is not None and recipe.group != default_group({axis: getattr(recipe, axis) for axis in AXES}):
        other.append(f"per {recipe.group}")
    if recipe.permutation not in (None, "none"):
        other.append(str(recipe.permutation))
    return f" ({', '.join(other)})" if other else ""


def _short(value: object) -> str:
    text = ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 12 else f"{text[:11]}…"


@dataclass(frozen=True)
class Point:
    """The runs of one way to prune at one sparsity, over their seeds.

    Attributes:
        shape: the pattern, `unstructured` or `n:m`.
        sparsity: what was asked, a share.
        runs: one a seed, in the order of the seeds.
    """

    family: str
    shape: str
    sparsity: float
    runs: tuple[Measured, ...]

    @property
    def perplexity(self) -> float:
        """Mean over the seeds."""
        return fmean(run.perplexity for run in self.runs)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds, None for one."""
        return stdev(run.perplexity for run in self.runs) if len(self.runs) > 1 else None

    @property
    def ratio(self) -> float:
        """To the dense perplexity, mean over the seeds."""
        return fmean(run.ratio for run in self.runs)

    @property
    def own(self) -> bool:
        """Whether a run of one's own is among them."""
        return any(run.own for run in self.runs)

    @property
    def is_grouped(self) -> bool:
        """Whether it is an N:M pattern."""
        return ":" in self.shape


def points(runs: Iterable[Measured]) -> dict[str, tuple[Point, ...]]:
    """The points of each family by sparsity, unstructured ones first; runs of one protocol are expected."""
    cells: dict[tuple[str, str, float], list[Measured]] = {}
    for run in runs:
        cells.setdefault((family(run.recipe), run.recipe.pattern, run.recipe.sparsity), []).append(run)
    found: dict[str, list[Point]] = {}
    for (name, shape, sparsity), members in cells.items():
        found.setdefault(name, []).append(Point(name, shape, sparsity, tuple(sorted(members, key=lambda run: run.recipe.seed))))
    return {name: tuple(sorted(mine, key=lambda point: (point.is_grouped, point.sparsity, point.shape))) for name, mine in found.items()}


def curve(family_points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that a line may join: the unstructured ones."""
    return tuple(point for point in family_points if not point.is_grouped)

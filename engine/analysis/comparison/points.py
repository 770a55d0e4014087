"""Finished runs as points of curves: perplexity against sparsity, one curve for each way to prune.

Perplexities are compared only under one protocol: the same model, evaluation windows (by fingerprint), number
type, and the same amount of the same calibration text. Runs that differ in nothing but the seed of the
calibration windows are one point with a spread.

The cliff of a curve: the sparsity at which the perplexity has become twice that of the dense model.

Between two measured points the logarithm of the ratio is taken to be a straight line in the sparsity, for
perplexity grows about exponentially there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from pathlib import Path
from statistics import fmean, stdev

from engine.numbers import short_percent
from engine.pruning.patterns import is_n_of_m
from engine.recipe import Recipe, with_allocation
from engine.record import RunRecord
from engine.validation import default_group

SHORT = 12
"""Letters of a parameter's value that a family's name has room for."""


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
        if record is not None
        and record.state == "finished"
        and record.recipe is not None
        and record.pruned is not None
        and record.ratio is not None
    ]


@dataclass(frozen=True)
class Protocol:
    """What a perplexity was measured on, and what the pruner was shown. Only points of one protocol belong in
    one drawing.

    Attributes:
        evaluation: the corpus, and `fingerprint` that of the tokens that were predicted.
        calibration: the corpus, and `text` the fingerprint of its file where it is one.
        samples, length: calibration windows and tokens a window.
    """

    model: str
    revision: str | None
    dtype: str | None
    evaluation: str
    fingerprint: str
    calibration: str
    text: str
    samples: int
    length: int

    @property
    def title(self) -> str:
        """In a line; two protocols may share it, where only a file's content or a model's revision differs."""
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
        recipe.digests.get("calibration", ""),
        recipe.samples,
        calibration.length if calibration else recipe.length or 0,
    )


def by_protocol(runs: Iterable[Measured]) -> dict[Protocol, list[Measured]]:
    """The runs of each protocol in their own order, the largest group first."""
    groups: dict[Protocol, list[Measured]] = {}
    for run in runs:
        groups.setdefault(protocol(run), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: len(item[1]), reverse=True))


def titles(protocols: Iterable[Protocol]) -> dict[str, Protocol]:
    """Protocols by a title each; those that would share one also say their evaluation text's fingerprint and
    the model's revision.
    """
    known = list(protocols)
    twice = {one.title for one in known if sum(other.title == one.title for other in known) > 1}
    long = {
        one: f"{one.title} [{one.fingerprint[:6]} {(one.revision or '')[:6]} {one.text[:6]}]" for one in known
    }
    return {long[one] if one.title in twice else one.title: one for one in known}


def family(recipe: Recipe) -> str:
    """The way to prune in words, all but how much: pruner, top-up, and what differs from their defaults."""
    return f"{recipe.pruner_title}{with_allocation(recipe.allocation)}{_unusual(recipe)}"


def _unusual(recipe: Recipe) -> str:
    """What a recipe sets otherwise than its methods would: their parameters, the comparison group, the
    permutation.
    """
    known = [
        (f"{method.name}.{parameter.name}", parameter)
        for method in recipe.methods.values()
        for parameter in method.parameters
    ]
    given = [(parameter, recipe.settings[name]) for name, parameter in known if name in recipe.settings]
    other = [
        f"{parameter.name} {_short(value)}"
        for parameter, value in given
        if value != parameter.coerced(parameter.default)
    ]
    if recipe.group is not None and recipe.group != default_group(recipe.model_dump()):
        other.append(f"per {recipe.group}")
    if recipe.permutation not in (None, "none"):
        other.append(str(recipe.permutation))
    return f" ({', '.join(other)})" if other else ""


def _short(value: object) -> str:
    """A value in a few letters; long ones end with a mark of their own, so that two never look the same."""
    text = ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= SHORT else f"{text[:8]}… #{hashlib.sha256(text.encode()).hexdigest()[:4]}"


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
    def achieved(self) -> float | None:
        """Share of the prunable weights that is gone, mean over the seeds; None where a run does not say."""
        found = [run.record.sparsity.achieved for run in self.runs]
        return fmean(share for share in found if share is not None) if None not in found else None

    @property
    def title(self) -> str:
        """`Wanda 60%` or `Wanda 2:4`."""
        return f"{self.family} {self.shape if self.is_grouped else short_percent(self.sparsity)}"

    @property
    def own(self) -> bool:
        """Whether a run of one's own is among them."""
        return any(run.own for run in self.runs)

    @property
    def is_grouped(self) -> bool:
        """Whether it is an N:M pattern."""
        return is_n_of_m(self.shape)


def points(runs: Iterable[Measured]) -> dict[str, tuple[Point, ...]]:
    """The points of each family by sparsity, unstructured ones first; runs of one protocol are expected. Of
    two with one seed the first counts.
    """
    cells: dict[tuple[str, str, float], list[Measured]] = {}
    for run in runs:
        members = cells.setdefault((family(run.recipe), run.recipe.pattern, run.recipe.sparsity), [])
        if all(
            other.recipe.seed != run.recipe.seed for other in members
        ):  # the same run with other tasks or on another device is no second draw
            members.append(run)
    found: dict[str, list[Point]] = {}
    for (name, shape, sparsity), members in cells.items():
        found.setdefault(name, []).append(
            Point(name, shape, sparsity, tuple(sorted(members, key=lambda run: run.recipe.seed)))
        )
    return {
        name: tuple(sorted(mine, key=lambda point: (point.is_grouped, point.sparsity, point.shape)))
        for name, mine in found.items()
    }


def curve(family_points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that a line may join: the unstructured ones."""
    return tuple(point for point in family_points if not point.is_grouped)


FACTOR = 2.0


@dataclass(frozen=True)
class Cliff:
    """Where a curve crosses `FACTOR` times the dense perplexity.

    Attributes:
        sparsity: a share.
        perplexity: there.
        known: whether the crossing lies between two measured points; else the first point is beyond it
            already.
    """

    sparsity: float
    perplexity: float
    known: bool


def cliff(points: Sequence[Point]) -> Cliff | None:
    """The first crossing of a family's unstructured points, by sparsity; None where all stay below."""
    ordered = sorted(points, key=lambda point: point.sparsity)
    if ordered and ordered[0].ratio >= FACTOR:
        return Cliff(ordered[0].sparsity, ordered[0].perplexity, known=False)
    for before, after in pairwise(ordered):
        if after.ratio >= FACTOR:
            share = (
                0.0
                if after.ratio == inf
                else (log(FACTOR) - log(before.ratio)) / (log(after.ratio) - log(before.ratio))
            )
            sparsity = before.sparsity + share * (after.sparsity - before.sparsity)
            return Cliff(sparsity, FACTOR * before.perplexity / before.ratio, known=True)
    return None

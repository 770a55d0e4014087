"""The four axes that a pruner is composed of: what a method on each one declares, receives and returns.

A new method is one file in the folder of its axis and one import in that folder's `__init__`. Everything that
the rest of the program needs to know about it is declared here, so that no caller depends on its name or its
parameters' names. All methods are pure functions of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import torch

from engine.events import QUANTILES, Event, RowSpread
from engine.pruning.effort import Effort
from engine.pruning.patterns import Group, Pattern, Sparsity, Unstructured, make_pattern
from engine.pruning.statistics import Need, Statistics
from engine.pruning.weights import masked
from engine.registry import Method, Registry, Touched

if TYPE_CHECKING:
    from torch import Tensor


class RunningScore(Protocol):
    """A score that can be computed for some of the columns only."""

    def __call__(self, weight: Tensor, statistics: Statistics, *, columns: slice) -> Tensor: ...


class MaskSource(Protocol):
    """Where an update gets its mask from: `FrozenMask`, `RunningMask` or `RepeatedMask`."""

    @property
    def step(self) -> int | None:
        """How many columns must be requested together while the weights change; None for any number."""

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        """Return the mask `[out, columns]` of these columns, given their current weights `[out, columns]`."""


@dataclass(frozen=True)
class FrozenMask:
    """A mask `[out, in]` that was decided on the dense weights, before the update."""

    mask: Tensor
    step: int | None = None

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        return self.mask[:, columns]


@dataclass(frozen=True)
class RunningMask:
    """A mask that is decided a few columns at a time, on their current weights, as SparseGPT does it.

    It requires a running score, a pattern that decides a few columns at a time and no refinement. A
    comparison group of a whole row or layer needs all scores at once, so its mask is always frozen.
    """

    score: RunningScore
    statistics: Statistics
    pattern: Pattern
    sparsity: float
    _ties: list[Tensor] = field(default_factory=list, init=False)

    @property
    def step(self) -> int | None:
        return self.pattern.step

    @property
    def ties(self) -> Tensor:
        """`Selection.ties` of all columns decided so far."""
        return torch.stack(self._ties).sum(0)

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        selection = self.pattern.select(self.score(weight, self.statistics, columns=columns), self.sparsity)
        self._ties.append(selection.ties)
        return selection.keep


class RepeatedMask:
    """A mask that an update decides several times, on the whole weight as updated so far.

    It works with any pattern and any score of single weights. A refinement needs a final mask, so with one
    the mask is frozen.

    Args:
        score: returns scores `[out, in]` for a weight `[out, in]`.
        sparsity: one number, or one per row, `[out]` float64.

    Attributes:
        scores: of each weight when it was last decided about, `[out, in]`.
        ties: `Selection.ties` of the last decision.
    """

    step = None

    def __init__(
        self,
        score: Callable[[Tensor, Statistics], Tensor],
        statistics: Statistics,
        pattern: Pattern,
        sparsity: Sparsity,
    ) -> None:
        self._score, self._statistics = score, statistics
        self._pattern, self._sparsity = pattern, sparsity
        self.scores, self.ties = torch.empty(0), torch.zeros(2, dtype=torch.int64)

    def keep(self, columns: slice, weight: Tensor) -> Tensor:
        assert weight.shape[1] == self._statistics.width, "the scores need the whole weight"
        return self._decided(self._score(weight, self._statistics))[:, columns]

    def gradual(self, weight: Tensor, share: float) -> Tensor:
        """Return the mask `[out, in]` of a weight `[out, in]` at a share of the sparsity, at most 1.

        Of an N:M pattern the weights that lose in their groups are removed, the lowest of the linear first.
        """
        if share == 1:
            return self.keep(slice(None), weight)
        scores = self._score(weight, self._statistics)
        if self._pattern.fixed_sparsity is None:
            return self._pattern.keep(scores, self._sparsity * share)
        final = self._decided(scores)
        # `masked_fill` takes several times as long on a random mask.
        scores = masked(scores, ~final) + masked(torch.full_like(scores, torch.inf), final)
        return Unstructured(Group.LAYER).keep(scores, self._sparsity * share)

    def remaining(self, weight: Tensor, keep: Tensor, start: int) -> Tensor:
        """Return the mask `[out, in]` of a weight `[out, in]` whose columns before `start` are decided, as
        `keep` says: the others lose as many as are left to remove of their comparison groups.
        """
        scores = self._score(weight, self._statistics)
        decided = torch.where(keep[:, :start], torch.inf, -torch.inf).to(scores)
        before = self.scores
        mask = self._decided(torch.cat([decided, scores[:, start:]], dim=1))
        self.scores = torch.cat([before[:, :start], scores[:, start:]], dim=1) if start else scores
        return mask

    def _decided(self, scores: Tensor) -> Tensor:
        selection = self._pattern.select(scores, self._sparsity)
        self.scores, self.ties = scores, selection.ties
        return selection.keep


@dataclass(frozen=True)
class Updated:
    """What an update returns.

    Attributes:
        weight: the new weight `[out, in]`, exactly 0 where pruned.
        keep: the mask `[out, in]`.
        warnings: sentences about approximations, for instance a raised damping.
    """

    weight: Tensor
    keep: Tensor
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shares:
    """What an allocation returns: the sparsity of each block, of each linear, or of each row.

    Attributes:
        blocks: the sparsity of each block.
        rows: sparsities per row, `[out]` float64, by block and linear; a linear that is missing loses its
            own or its block's ratio in every row.
        clipped: blocks whose ratio was clipped to a limit.
        consumers: by block and linear, the linear that reads its rows as input columns; empty if no method
            looked.
        linears: sparsities per linear, by block; a linear that is missing loses its block's ratio.
    """

    blocks: tuple[float, ...]
    rows: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    clipped: tuple[int, ...] = ()
    consumers: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)
    linears: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def of(self, block: int, linear: str) -> float | Tensor:
        """Return the sparsity of a linear: one number, or one per row `[out]`."""
        own = self.linears.get(block, {}).get(linear, self.blocks[block])
        return self.rows.get(block, {}).get(linear, own)

    def spreads(self) -> tuple[tuple[RowSpread, ...], ...]:
        """Return how each block's linears distribute their sparsity over their rows; empty if no method
        looked at rows.
        """
        levels = torch.tensor(QUANTILES, dtype=torch.float64)  # `quantile` requires the dtype of its input
        return tuple(
            tuple(
                RowSpread(
                    name=name,
                    consumer=self.consumers.get(index, {}).get(name),
                    quantiles=tuple(rows.quantile(levels).tolist()),
                )
                for name, rows in self.rows[index].items()
            )
            for index in sorted(self.rows)
        )


@dataclass(frozen=True)
class Refined:
    """What a refinement returns.

    All numbers are tensors without dimensions on the weight's device, so that nothing waits for them.

    Attributes:
        keep: the mask `[out, in]`; each row (and each group of an N:M pattern) keeps as many as before.
        swaps: how many pairs of entries were exchanged.
        drift_before: mean over the rows of the error that the method lowers, `Refinement.measure`, before the
            swaps; None for a method that does not measure it.
        drift_after: the same after the swaps.
    """

    keep: Tensor
    swaps: Tensor = field(default_factory=lambda: torch.tensor(0))
    drift_before: Tensor | None = None
    drift_after: Tensor | None = None

    @property
    def measured(self) -> dict[str, Tensor]:
        """The numbers that are known, by name."""
        found = {"swaps": self.swaps, "drift_before": self.drift_before, "drift_after": self.drift_after}
        return {name: value for name, value in found.items() if value is not None}


class Invariance(StrEnum):
    """What leaves a score's mask as it is, or changes it along."""

    SCALE = "twice the weights"
    ROWS = "another order of the rows"
    COLUMNS = "another order of the columns"


@dataclass(frozen=True, kw_only=True)
class Score(Method):
    """`function(weight [out, in], statistics, **parameters)` returns scores `[out, in]`; higher = kept.

    Attributes:
        invariances: what does not change its mask; `engine.laws` checks it.
        default_group: the comparison group that it was published with.
        running: whether it can be computed for a slice of the columns (`columns=`) on weights that a running
            update has already changed.
        joint: whether it decides whole groups of an N:M pattern at once; the function then also receives `n`
            and `m`.
        numbers: numbers that it reads or writes per weight besides a product or two, for the estimate of a
            run's duration.
        refuses: for a joint score, why it cannot be used with `(n, m)`; None if it can.
        scratch: bytes per weight that it takes at its peak, besides the scores and one more temporary.
        label: what titles of runs call it in place of its name and its pruner; empty for those.
        declares: for these parameters, which of these attributes have other values.
        uses_place: whether it also receives `place`, where the linear is in the model.
    """

    function: Callable[..., Tensor]
    needs: frozenset[Need] = frozenset()
    invariances: frozenset[Invariance] = frozenset()
    default_group: Group
    running: bool = False
    joint: bool = False
    numbers: float = 0.0
    refuses: Callable[[int, int], str | None] = lambda n, m: None
    scratch: int = 0
    label: str = ""
    declares: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda parameters: {}
    uses_place: bool = False

    def with_parameters(self, parameters: Mapping[str, Any]) -> Score:
        """Return the score with what it declares for these parameters."""
        return replace(self, **self.declares(parameters))


@dataclass(frozen=True, kw_only=True)
class Update(Method):
    """`function(weight [out, in] float32, statistics, source, **parameters)` returns an `Updated`.

    Attributes:
        touches: `weights` if kept weights may change; None if the mask alone describes the result.
        running: whether, for these parameters, it proceeds column by column, so that a running score is
            evaluated on the weights as updated so far.
        decides_as: the name of a cheaper update that decides the same masks in that case; None if there is
            none.
        repeated: whether, for these parameters, it decides the mask several times on the whole weight as
            updated so far, with any score that rates single weights.
        group: the comparison group that it was published with; replaces a score's own group.
        effort: what it computes for a linear of `(rows, columns)` at a sparsity, not counting the statistics.
        memory: bytes per weight of the linear that its temporaries always take, for the estimate of a run's
            memory.
    """

    function: Callable[..., Updated]
    needs: frozenset[Need] = frozenset()
    touches: Touched | None = "weights"
    running: Callable[[Mapping[str, Any]], bool] = lambda parameters: False
    decides_as: str | None = None
    repeated: Callable[[Mapping[str, Any]], bool] = lambda parameters: False
    group: Group | None = None
    effort: Callable[[int, int, float], Effort] = lambda rows, columns, sparsity: Effort()
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class Allocation(Method):
    """`function(context, **parameters)` yields what it measures as events and returns the `Shares`.

    The mean of the shares, weighted by size, is the target. `context` is an
    `engine.pruning.search.AllocationContext`.

    Attributes:
        measure: the quantity that its `BlockMeasured` events carry, with its unit; empty if it measures none.
        objective: what its search minimises, and `strengths`: what the number does that each step varies;
            empty if it does not search.
        passes: for these parameters, how many additional forward passes it takes, and over how many windows
            (None for all).
        candidates: how often it prunes the whole model for these parameters.
        judged: the shares of its windows on which it judges candidates by their predictions.
        even: whether all blocks always get the same sparsity.
        from_user: whether the user states the ratios, so that it cannot run without settings.
        linears: whether the linears of a block get sparsities of their own.
        rows: whether, for these parameters, rows get sparsities of their own.
        whole_rows: settings with which rows do not, for an allocation where `rows` can be true.
        group: the comparison group that it was published with; replaces a score's own group if that is the
            whole layer.
        refuses: what is wrong with `(parameters, sizes, target)` for a model with these block sizes: the
            parameter's name and a sentence, or None.
    """

    function: Callable[..., Generator[Event, None, Shares]]
    measure: str = ""
    objective: str = ""
    strengths: str = ""
    passes: Callable[[Mapping[str, Any]], tuple[float, int | None]] = lambda parameters: (0, None)
    candidates: Callable[[Mapping[str, Any]], float] = lambda parameters: 0
    judged: tuple[float, ...] = ()
    even: bool = False
    from_user: bool = False
    linears: bool = False
    rows: Callable[[Mapping[str, Any]], bool] = lambda parameters: False
    whole_rows: Mapping[str, Any] = field(default_factory=dict)
    group: Group | None = None
    refuses: Callable[[Mapping[str, Any], Sequence[int], float], tuple[str, str] | None] = (
        lambda parameters, sizes, target: None
    )


@dataclass(frozen=True, kw_only=True)
class Refinement(Method):
    """`function(keep [out, in], weight, statistics, *, group, **parameters)` returns a `Refined`.

    `group` is m if swaps must stay within each m consecutive columns (N:M), None if they may go anywhere in
    the row. A function that reads the scores that made the mask gets them as `scores`, `[out, in]`.

    Attributes:
        touches: `mask` if it may swap entries; None if it never does anything.
        attention_only: whether, for these parameters, the block's other linears are left as they are.
        numbers: numbers that it reads or writes per weight, for the estimate of a run's duration.
        effort: what else it computes for a linear of `(rows, columns)`, and whether swaps stay within groups
            of columns (N:M).
        reads_scores: whether, for these parameters, the function reads the scores that made the mask.
        measure: the error of a row that it lowers, and whose mean it reports before and after the swaps.
        measured: what that error is, in a sentence.
    """

    function: Callable[..., Refined]
    needs: frozenset[Need] = frozenset()
    touches: Touched | None = "mask"
    attention_only: Callable[[Mapping[str, Any]], bool] = lambda parameters: False
    numbers: float = 0.0
    effort: Callable[[int, int, bool], Effort] = lambda rows, columns, in_groups: Effort()
    measure: str = "drift |e|"
    measured: str = "Drift: how far the expected output of a row moves, mean over the rows."
    reads_scores: Callable[[Mapping[str, Any]], bool] = lambda parameters: False


def _unknown(*_: object, **__: object) -> NoReturn:
    raise NotImplementedError("A method that this version does not have can be named, but not computed.")


SCORES: Registry[Score] = Registry(
    "score", lambda **known: Score(function=_unknown, default_group=Group.LAYER, **known)
)
UPDATES: Registry[Update] = Registry(
    "update", lambda **known: Update(function=_unknown, touches=None, **known)
)
ALLOCATIONS: Registry[Allocation] = Registry(
    "allocation", lambda **known: Allocation(function=_unknown, **known)
)
REFINEMENTS: Registry[Refinement] = Registry(
    "refinement", lambda **known: Refinement(function=_unknown, touches=None, **known)
)
AXES: dict[str, Registry[Any]] = {axis.axis: axis for axis in (SCORES, ALLOCATIONS, UPDATES, REFINEMENTS)}


def decides_in_steps(score: Score, pattern: Pattern, refinement: Refinement) -> bool:
    """Return whether a mask can be decided a few columns at a time, while the update changes the weights."""
    return score.running and not refinement.touches and pattern.step is not None


def can_decide_in_steps(fields: Mapping[str, Any]) -> bool:
    """Return `decides_in_steps` for the fields of a recipe, False if this version cannot read its pattern."""
    try:
        pattern = make_pattern(fields["pattern"], fields["group"], fields["permutation"])
    except ValueError:
        return False
    score, refinement = SCORES.named(fields["score"]), REFINEMENTS.named(fields["refinement"])
    return decides_in_steps(score, pattern, refinement)

"""A plan: the chosen method of every axis bound to its parameters, and how they prune one linear together.

An expert that received too few tokens from the router is pruned by magnitude, in the same pattern and group,
without update or refinement, and a warning says so. Too few means fewer than half its number of inputs, or
fewer than twice that number if the methods use a Hessian. Measured on the bundled model's MLP linears at
50 %, as the output error on other text relative to magnitude in the same group: Wanda with 1/8, 1/2 and 2
tokens per input 1.05, 1.00, 0.97; SparseGPT with 1/2, 1, 2 and 4 tokens 1.75, 1.32, 1.00, 0.92; Wanda with
MRP 1.65, 1.18, 0.96, 0.87. Ordinary linears see every calibration token that the recipe requests, so they
never fall back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from zlib import crc32

import torch
from torch import Tensor

from engine.events import Event
from engine.models.block import NOWHERE, Place
from engine.pruning import presets  # noqa: F401  (importing it fills the registries)
from engine.pruning.axes import (
    ALLOCATIONS,
    REFINEMENTS,
    SCORES,
    UPDATES,
    Allocation,
    FrozenMask,
    Refined,
    Refinement,
    RepeatedMask,
    RunningMask,
    RunningScore,
    Score,
    Shares,
    Update,
    decides_in_steps,
)
from engine.pruning.patterns import UNSTRUCTURED, Group, Pattern, Sparsity, make_pattern
from engine.pruning.search import AllocationContext
from engine.pruning.selection import Selection
from engine.pruning.statistics import Need, Reordered, Statistics
from engine.pruning.weights import masked
from engine.registry import Method

TOKENS_PER_INPUT, TOKENS_PER_INPUT_WITH_HESSIAN = 0.5, 2.0
"""Tokens that an expert must have seen for each of its inputs; see the measurements above."""


@dataclass(frozen=True)
class Outcome:
    """One pruned linear.

    Attributes:
        weight: the new weight `[out, in]`, exactly 0 where pruned.
        keep: the mask `[out, in]`.
        ties: weights that the scores did not decide about, see `engine.pruning.selection.Selection`.
        warnings: sentences about approximations.
        unrefined: the mask as the score decided it, before refinement; None if it was decided while the
            weights changed.
        refined: what the refinement did.
        scores: `[out, in]`, each at its moment of decision, if the whole mask was decided several times.
    """

    weight: Tensor
    keep: Tensor
    ties: Tensor
    warnings: tuple[str, ...] = ()
    unrefined: Tensor | None = None
    refined: Refined | None = None
    scores: Tensor | None = None


@dataclass(frozen=True)
class Plan:
    """One choice on each axis, with its parameters as `parameters[axis][name]`.

    Attributes:
        compensated: paths of the linears whose bias replaces what the removed weights contributed on average.
    """

    score: Score
    pattern: Pattern
    allocation: Allocation
    update: Update
    refinement: Refinement
    parameters: Mapping[str, Mapping[str, Any]]
    compensated: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        *,
        score: str,
        pattern: str = UNSTRUCTURED,
        group: Group | None = None,
        permutation: str | None = None,
        allocation: str = "uniform",
        update: str = "none",
        refinement: str = "none",
        settings: Mapping[str, Any] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Plan:
        """Return the plan for these names; `settings` are `method.parameter`, and missing ones take their
        defaults.

        Args:
            digests: by axis, of the method file that a method comes from; the present one if it is missing.

        Raises:
            MethodError: a method file is not loaded with that content.
        """
        digest = (digests or {}).get
        chosen_score = SCORES.version(score, digest("score"))
        chosen = {
            "score": chosen_score,
            "allocation": ALLOCATIONS.version(allocation, digest("allocation")),
            "update": UPDATES.version(update, digest("update")),
            "refinement": REFINEMENTS.version(refinement, digest("refinement")),
        }
        parameters = {axis: _parameters(method, settings or {}) for axis, method in chosen.items()}
        chosen["score"] = chosen_score.with_parameters(parameters["score"])
        return cls(
            **chosen,  # type: ignore[arg-type]  # each axis has its own class
            pattern=make_pattern(pattern, group or chosen_score.default_group, permutation),
            parameters=parameters,
        )

    @property
    def needs(self) -> frozenset[Need]:
        """The statistics that the chosen methods declare."""
        return self.score.needs | self.update.needs | self.refinement.needs

    @property
    def decides_while_updating(self) -> bool:
        """Whether the mask is decided on weights that the update has changed, instead of once on the dense
        weights.
        """
        return self._decides_in_steps or self._decides_repeatedly

    @property
    def _decides_in_steps(self) -> bool:
        """Whether the update decides the mask a few columns at a time."""
        return decides_in_steps(self.score, self.pattern, self.refinement) and self.update.running(
            self.parameters["update"]
        )

    @property
    def _decides_repeatedly(self) -> bool:
        """Whether the update decides the whole mask several times."""
        # Permuted columns would form other groups each time, and a refinement needs a final mask.
        fixed = self.score.joint or self.pattern.permuted or self.refinement.touches is not None
        return not fixed and self.update.repeated(self.parameters["update"])

    def allocate(self, context: AllocationContext) -> Generator[Event, None, Shares]:
        """Return the sparsity of each block (and row); yield what the method measures as events."""
        return self.allocation.function(context, **self.parameters["allocation"])

    def prune(
        self,
        weight: Tensor,
        statistics: Statistics,
        sparsity: Sparsity,
        place: Place = NOWHERE,
    ) -> Outcome:
        """Prune one linear's weight `[out, in]` (any dtype; the arithmetic is float32).

        Args:
            weight: is not changed.
            statistics: those that `needs` lists.
            sparsity: one number, or one per row `[out]`.
            place: where the linear is. Methods that draw at random use its path as part of their seed.
        """
        weight = weight.to(torch.float32)
        if statistics.routed and statistics.tokens < self.fewest_tokens(statistics.width):
            return self._prune_by_magnitude(weight, statistics, sparsity)
        score = partial(self.score.function, **self._score_parameters(place))
        if self.decides_while_updating:
            source = self._source(score, statistics, sparsity)
            updated = self.update.function(weight, statistics, source, **self._arguments("update"))
            seen = source.scores if isinstance(source, RepeatedMask) else None
            return Outcome(updated.weight, updated.keep, source.ties, updated.warnings, scores=seen)
        scores = score(weight, statistics)  # [out, in]
        selection = self.pattern.select(scores, sparsity)
        # As large as the weight, so released if nothing reads them any more.
        read = scores if self.refinement.reads_scores(self.parameters["refinement"]) else None
        del scores
        refined = self._refine(selection, weight, statistics, read, place.attention)
        frozen = FrozenMask(refined.keep)
        updated = self.update.function(weight, statistics, frozen, **self._arguments("update"))
        return Outcome(
            updated.weight,
            updated.keep,
            selection.ties,
            updated.warnings,
            unrefined=selection.keep,
            refined=refined,
        )

    def _source(
        self, score: Callable[..., Tensor], statistics: Statistics, sparsity: Sparsity
    ) -> RunningMask | RepeatedMask:
        """Return where an update gets a mask from that is decided while the weights change."""
        if self._decides_repeatedly:
            return RepeatedMask(score, statistics, self.pattern, sparsity)
        # One number: sparsities per row need groups of rows, and those decide on all columns at once.
        return RunningMask(cast(RunningScore, score), statistics, self.pattern, cast(float, sparsity))

    def fewest_tokens(self, width: int) -> int:
        """Return how many tokens an expert with `width` inputs must have seen for the chosen methods to beat
        magnitude.
        """
        if not self.needs:  # without data there is nothing that tokens could improve
            return 0
        per_input = TOKENS_PER_INPUT_WITH_HESSIAN if Need.HESSIAN in self.needs else TOKENS_PER_INPUT
        return max(1, round(width * per_input))

    def _prune_by_magnitude(self, weight: Tensor, statistics: Statistics, sparsity: Sparsity) -> Outcome:
        selection = self.pattern.select(weight.abs(), sparsity)
        plural = "" if statistics.tokens == 1 else "s"
        warning = (
            f"the router sent it {statistics.tokens} token{plural}, fewer than the "
            f"{self.fewest_tokens(statistics.width)} that the chosen methods need for its {statistics.width} "
            "inputs, so it was pruned by magnitude alone"
        )
        keep = selection.keep
        return Outcome(masked(weight, keep), keep, selection.ties, (warning,))

    def _score_parameters(self, place: Place) -> dict[str, Any]:
        parameters = self._arguments("score")
        if self.score.uses_seed:
            # Linears of the same shape get different draws. Not `hash`, which differs between processes.
            parameters["seed"] = crc32(f"{parameters['seed']} {place.path}".encode())
        if self.score.uses_place:
            parameters["place"] = place
        if self.score.joint:
            parameters |= self.pattern.n_and_m
        return parameters

    def _arguments(self, axis: str) -> dict[str, Any]:
        """Return the parameters that the function of the axis receives."""
        own = {"score": self.score, "update": self.update, "refinement": self.refinement}[axis].parameters
        return {item.name: self.parameters[axis][item.name] for item in own if not item.for_plan}

    def _refine(
        self,
        selection: Selection,
        weight: Tensor,
        statistics: Statistics,
        scores: Tensor | None,
        attention: bool,
    ) -> Refined:
        """Refine a mask.

        Args:
            scores: those that made it, `[out, in]`, for a refinement that reads them.
        """
        keep, order = selection.keep, selection.order
        refinement, parameters = self.refinement, self.parameters["refinement"]
        if not refinement.touches or (refinement.attention_only(parameters) and not attention):
            return Refined(keep)
        own = {"group": self.pattern.group_width, **self._arguments("refinement")}
        if order is None:
            given = {} if scores is None else {"scores": scores}
            return refinement.function(keep, weight, statistics, **own, **given)
        # Swaps must stay within the groups that the permutation formed: refine in the permuted order, then
        # put the columns back.
        moved = Reordered(statistics, order)
        given = {} if scores is None else {"scores": scores[:, order]}
        refined = refinement.function(keep[:, order], weight[:, order], moved, **own, **given)
        return replace(refined, keep=refined.keep[:, order.argsort()])  # argsort: the inverse


def _parameters(method: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        parameter.name: settings.get(f"{method.name}.{parameter.name}", parameter.default)
        for parameter in method.parameters
    }

"""How a run's methods decided the mask of one linear: the plan runs again, and its scores are recorded.

The run's own code computes everything. If the mask is decided once, on the dense weights, the update and the
refinement are left out, because they do not affect the scores. If it is decided during the update, the update
runs, and each weight's score is the one at its moment of decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.models.block import NOWHERE, Place
from engine.pruning.axes import REFINEMENTS, UPDATES
from engine.pruning.patterns import Pattern, Sparsity
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics


@dataclass(frozen=True)
class Decision:
    """What a plan decided about a weight `[out, in]`.

    Attributes:
        scores: `[out, in]`, each at its moment of decision.
        keep: the resulting mask, before any refinement.
        ties: see `engine.pruning.selection.Selection`.
        order: the order of the columns in which the groups of an N:M pattern were formed; None for their own.
        warnings: sentences about approximations.
    """

    scores: Tensor
    keep: Tensor
    ties: Tensor
    order: Tensor | None = None
    warnings: tuple[str, ...] = ()


def decide(
    plan: Plan,
    weight: Tensor,
    statistics: Statistics,
    sparsity: Sparsity,
    place: Place = NOWHERE,
) -> Decision:
    """Prune a dense weight `[out, in]` as `Plan.prune` does, and return its scores and mask.

    Raises:
        NumericsError: raised by the methods.
    """
    weight = weight.to(torch.float32)
    scores = weight.abs()  # the fallback if there is too little text for the methods

    def recording(part: Tensor, observed: Statistics, **parameters: Any) -> Tensor:
        result = plan.score.function(part, observed, **parameters)
        # an update scores a few columns at a time, and passes which
        scores[:, parameters.get("columns", slice(None))] = result.float()
        return result

    recorded = replace(plan, score=replace(plan.score, function=recording))
    # Then `Plan.prune` falls back to magnitude and never calls the score. The plan must stay complete for
    # that: without its update it may need fewer statistics, and would accept fewer tokens.
    update = plan.update.decides_as if plan.decides_while_updating else "none"
    too_few = statistics.routed and statistics.tokens < plan.fewest_tokens(statistics.width)
    if update is not None and not too_few:
        parameters: dict[str, Mapping[str, Any]] = {**plan.parameters, "update": {}, "refinement": {}}
        recorded = replace(
            recorded, update=UPDATES[update], refinement=REFINEMENTS["none"], parameters=parameters
        )
    outcome = recorded.prune(weight, statistics, sparsity, place)
    scores = scores if outcome.scores is None else outcome.scores
    order = plan.pattern.order(scores)  # `prune` does not return it, but it follows from the scores
    return Decision(scores, outcome.keep, outcome.ties, order, outcome.warnings)


def cuts(decision: Decision, pattern: Pattern) -> Tensor:
    """Return the highest removed score of each comparison group, `[groups with removed weights]`."""
    removed = decision.scores.masked_fill(decision.keep, -torch.inf)
    highest = torch.cat([part.amax(1) for part in pattern.split(removed, decision.order)])  # [groups]
    return highest[highest > -torch.inf]  # without the groups that keep everything


def group_count(shape: tuple[int, int], pattern: Pattern) -> int:
    """Return the number of comparison groups of a weight of this shape."""
    # `meta` tensors have shapes but no memory.
    return sum(len(part) for part in pattern.split(torch.empty(shape, device="meta")))

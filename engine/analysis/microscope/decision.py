"""How a run's methods decided the mask of one linear: the plan does again what it did then, and the score is
listened to.

Nothing is computed in a second way. Where the mask was decided once on the dense weights, the update and the
refinement are left out, for neither has a say in the scores; where it was decided on running weights, the
update runs, and each weight's score is the one it had when its turn came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.pruning.axes import REFINEMENTS, UPDATES
from engine.pruning.patterns import Pattern, Sparsity
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics


@dataclass(frozen=True)
class Decision:
    """What a plan decided about a weight `[out, in]`.

    Attributes:
        scores: `[out, in]`, each as it was when it was decided upon.
        keep: the mask that follows from them, before any refinement.
        order: the columns in the order in which the groups of an N:M pattern were formed; None where that is
            their own.
        warnings: sentences about approximations.
    """

    scores: Tensor
    keep: Tensor
    order: Tensor | None = None
    warnings: tuple[str, ...] = ()


def decide(
    plan: Plan,
    weight: Tensor,
    statistics: Statistics,
    sparsity: Sparsity,
    *,
    path: str,
    attention: bool = True,
) -> Decision:
    """Prune a dense weight `[out, in]` as `Plan.prune` does, and listen.

    Raises:
        NumericsError: as the methods do.
    """
    weight = weight.to(torch.float32)
    scores = weight.abs()  # what counts where the methods are given too little text to use

    def listening(given: Tensor, seen: Statistics, **parameters: Any) -> Tensor:
        found = plan.score.function(given, seen, **parameters)
        scores[:, parameters.get("columns", slice(None))] = found.float()
        return found

    listened = replace(plan, score=replace(plan.score, function=listening))
    too_few = statistics.routed and statistics.tokens < plan.fewest_tokens(statistics.width)
    if not plan.decides_while_updating and not too_few:
        parameters: dict[str, Mapping[str, Any]] = {**plan.parameters, "update": {}, "refinement": {}}
        listened = replace(
            listened, update=UPDATES["none"], refinement=REFINEMENTS["none"], parameters=parameters
        )
    outcome = listened.prune(weight, statistics, sparsity, path=path, attention=attention)
    order = plan.pattern.order(scores)
    return Decision(scores, outcome.keep, order, outcome.warnings)


def cuts(decision: Decision, pattern: Pattern) -> Tensor:
    """The highest removed score of each comparison group that lost anything, `[groups that did]`."""
    gone = decision.scores.masked_fill(decision.keep, -torch.inf)
    highest = torch.cat([part.amax(1) for part in pattern.split(gone, decision.order)])
    return highest[highest > -torch.inf]


def group_count(shape: tuple[int, int], pattern: Pattern) -> int:
    """How many comparison groups a weight of `shape` has."""
    return sum(len(part) for part in pattern.split(torch.empty(shape, device="meta")))

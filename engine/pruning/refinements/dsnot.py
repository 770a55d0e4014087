"""DSnoT: swap pruned and kept weights in each row until the row's expected error is close to zero. No weight
changes its value.

Costs one more pass over the activations for their mean and variance; `swaps` describes the rest. Only the
expected output is considered: a row whose errors cancel on average counts as good, however large they are for
single tokens.

The published code differs in two ways. For N:M it prunes by the score that made the mask instead of Wanda's
(`prune_by=score`). And when a row has used up its kept weights of the wanted sign, its pointer walks on into
those of the other sign, from the strongest downwards; part of its collapse on narrow rows is that overrun.
Here such a row stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import REFINEMENTS, Refined, Refinement
from engine.pruning.refinements.swaps import PARAMETERS, Criteria, Rules, attention_only, swapped
from engine.pruning.statistics import Need, Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


NEEDS = frozenset({Need.INPUT_NORM, Need.INPUT_SUM, Need.INPUT_VARIANCE})


def dsnot(
    keep: Tensor,
    weight: Tensor,
    statistics: Statistics,
    *,
    group: int | None,
    scores: Tensor | None = None,
    prune_by: str,
    cycles: int,
    threshold: float,
    same_sign: str,
    lower: str,
) -> Refined:
    """Return the mask `[out, in]` after the swaps (arXiv 2310.08915, section 3).

    With `c_ij = W_ij m_j` and a row's error `e_i`, the sum of c over what is pruned, it grows the pruned
    entry with the largest `sign(e_i) c_ij / v_j` and prunes the kept entry of the opposite sign with the
    lowest `|W_ij| a_j`, or with `prune_by=score` the lowest of `scores`; with `group`, the lowest entry of
    the same group.
    """
    rules = Rules.of(
        weight.shape[1], group, cycles=cycles, threshold=threshold, same_sign=same_sign, lower=lower
    )
    return swapped(
        keep, dsnot_criteria(weight, statistics, scores if prune_by == "score" else None), rules, group
    )


def dsnot_criteria(weight: Tensor, statistics: Statistics, scores: Tensor | None = None) -> Criteria:
    """Return the criteria that DSnoT chooses by, for a weight `[out, in]`.

    Args:
        scores: what to prune by, `[out, in]`; None for Wanda's, whatever score made the mask.
    """
    change = weight * statistics.input_sum  # c_ij = W_ij m_j, [out, in]
    return Criteria(
        change=change,
        value=change,
        variance=statistics.input_variance,
        score=weight.abs() * statistics.input_norm if scores is None else scores,
    )


REFINEMENTS.add(
    Refinement(
        name="dsnot",
        title="DSnoT",
        explanation="Repeatedly restores a pruned weight and removes a kept one, until the row's expected "
        "output is what it was.",
        helps="From about 60 % on, in wide models. In narrow models many swaps do harm, so use few, or "
        "refine the attention only.",
        formula=r"e_i = \sum_{j \text{ pruned}} W_{ij} m_j, \quad \text{grow } \arg\max_j "
        r"\operatorname{sign}(e_i) \frac{W_{ij} m_j}{v_j}, "
        r"\quad \text{prune } \arg\min_{j :\, \operatorname{sign}(e_i) W_{ij} m_j < 0} |W_{ij}| \lVert "
        r"X_{:j} \rVert_2",
        paper=papers.DSNOT,
        parameters=(
            Parameter(
                name="prune_by",
                kind="choice",
                default="wanda",
                choices=("wanda", "score"),
                explanation="what the weights to remove are ranked by: Wanda's score, as in the paper, or "
                "the score that made the mask, as in the published code for N:M",
                before="wanda",
            ),
            *PARAMETERS,
        ),
        function=dsnot,
        numbers=400,  # measured on a CPU
        needs=NEEDS,
        attention_only=attention_only,
        reads_scores=lambda parameters: bool(parameters["prune_by"] == "score"),
    )
)

"""R2-DSnoT: DSnoT whose choices also depend on a weight's share of its row and column (relative importance),
and on a norm of that share (regularisation).

Costs as much as DSnoT plus one or two passes over the weight. The error that the swaps reduce is still the
true one. Growing by relative importance adds nothing on the bundled model: over RIA per row, which has a
perplexity of 62.9 at 60 %, DSnoT gives 60.5 and this 60.7 (138.5, 123.9 and 123.4 at 70 %).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import REFINEMENTS, Refined, Refinement
from engine.pruning.refinements.dsnot import NEEDS
from engine.pruning.refinements.swaps import PARAMETERS, Criteria, Rules, attention_only, swapped
from engine.pruning.scores.ria import ALPHA, relative_importance
from engine.pruning.statistics import Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


def r2_dsnot(
    keep: Tensor,
    weight: Tensor,
    statistics: Statistics,
    *,
    group: int | None,
    relative_grow: str,
    relative_prune: str,
    alpha: float,
    gamma1: float,
    gamma2: float,
    p: float,
    cycles: int,
    threshold: float,
    same_sign: str,
    lower: str,
) -> Refined:
    """Return the mask `[out, in]` after the swaps (arXiv 2501.18980, section 4).

    With the relative importance D it grows the pruned entry with the largest `sign(e_i) sign(W_ij) D_ij m_j /
    v_j + gamma1 R_ij`, among those that lower |e_i|, and prunes the lowest `|W_ij| a_j^alpha + gamma2 R_ij`
    (D instead of |W| with `relative_prune`), R being the relative norm `|W_ij| (1 / ||W_:j||_p + 1 /
    ||W_i:||_p)`. Without relative importance, with gammas 0 and alpha 1, it is DSnoT.
    """
    criteria = r2_dsnot_criteria(
        weight,
        statistics,
        relative_grow=relative_grow,
        relative_prune=relative_prune,
        alpha=alpha,
        gamma1=gamma1,
        gamma2=gamma2,
        p=p,
    )
    rules = Rules.of(
        weight.shape[1], group, cycles=cycles, threshold=threshold, same_sign=same_sign, lower=lower
    )
    return swapped(keep, criteria, rules, group)


def r2_dsnot_criteria(
    weight: Tensor,
    statistics: Statistics,
    *,
    relative_grow: str,
    relative_prune: str,
    alpha: float,
    gamma1: float,
    gamma2: float,
    p: float,
) -> Criteria:
    """Return the criteria that R2-DSnoT chooses by, for a weight `[out, in]`."""
    # D; for p = 1 the relative norm is the relative importance.
    importance = relative_norm(weight, 1) if "yes" in (relative_grow, relative_prune) else None
    change = weight * statistics.input_sum
    # Only the choice uses D. `change` stays the true one, because the error is tracked with it.
    value = (
        change
        if importance is None or relative_grow == "no"
        else weight.sign() * importance * statistics.input_sum
    )
    size = weight.abs() if importance is None or relative_prune == "no" else importance
    score = size * statistics.input_norm.pow(alpha)
    regular = relative_norm(weight, p) if gamma1 or gamma2 else None  # R
    return Criteria(
        change=change,
        value=value,
        variance=statistics.input_variance,
        score=score if regular is None else score + gamma2 * regular,
        bonus=None if regular is None else gamma1 * regular,
    )


def relative_norm(weight: Tensor, p: float) -> Tensor:
    """Return `|W_ij| (1 / ||W_:j||_p + 1 / ||W_i:||_p)`, `[out, in]`; a norm of 0 gives 0."""
    size = weight.abs()
    return relative_importance(weight, size.norm(p=p, dim=0), size.norm(p=p, dim=1))


REFINEMENTS.add(
    Refinement(
        name="r2-dsnot",
        title="R²-DSnoT",
        explanation="A variant of DSnoT that prefers to restore weights that matter to their row and "
        "column, not only to the expected output.",
        helps="As DSnoT; on the bundled model it is no better. Because shares count, the largest weights of "
        "the strongest columns do not always come first.",
        formula=r"\text{grow } \arg\max_j \operatorname{sign}(e_i W_{ij}) D_{ij} \frac{m_j}{v_j} + \gamma_1 "
        r"R_{ij}, \quad "
        r"\text{prune } \arg\min_{j :\, \operatorname{sign}(e_i) W_{ij} m_j < 0} |W_{ij}| \lVert X_{:j} "
        r"\rVert_2^{\alpha} + \gamma_2 R_{ij}, \quad "
        r"D_{ij} = \frac{|W_{ij}|}{\lVert W_{i:} \rVert_1} + \frac{|W_{ij}|}{\lVert W_{:j} \rVert_1}",
        paper=papers.SYMMETRIC,
        parameters=(
            Parameter(
                name="relative_grow",
                kind="choice",
                default="yes",
                choices=("yes", "no"),
                explanation="whether restored weights are chosen by relative importance",
            ),
            Parameter(
                name="relative_prune",
                kind="choice",
                default="no",
                choices=("no", "yes"),
                explanation="whether removed weights are chosen by relative importance",
            ),
            ALPHA,
            Parameter(
                name="gamma1",
                kind="float",
                default=0.0,
                minimum=0.0,
                maximum=1000.0,
                explanation="weight of the relative norm when restoring",
            ),
            Parameter(
                name="gamma2",
                kind="float",
                default=0.0,
                minimum=0.0,
                maximum=1000.0,
                explanation="weight of the relative norm when removing",
            ),
            Parameter(
                name="p",
                kind="float",
                default=1.0,
                minimum=0.1,
                maximum=10.0,
                explanation="order of the relative norm; used if a gamma is not 0",
            ),
            *PARAMETERS,
        ),
        function=r2_dsnot,
        numbers=400,  # measured on a CPU
        needs=NEEDS,
        attention_only=attention_only,
    )
)

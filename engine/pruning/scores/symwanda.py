"""SymWanda: the symmetric family, which rates a weight by the strength of both its input and its output.

Its objective is `||X (W' - W)|| + ||(W' - W) Y||`; the forms differ in their choice of X and Y. Costs Wanda's
statistics, and for the `output` and `general` forms also one pass over every linear's output.

Weights compete within a row by default, as Wanda's do. The output norm is one number per row: as a factor
(`output`) it cancels there, and magnitude remains; as a summand (`general`) it does not, it evens out the
differences between the inputs. Across a whole linear it decides how much each row loses. On the bundled model
at 60 % the general form has a perplexity of 63.9 per row and 67.5 per layer, the default of earlier versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.scores.ria import ALPHA, relative_importance
from engine.pruning.statistics import Need, Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


FORMS = ("general", "input", "output", "symmetric", "relative")


def symwanda(
    weight: Tensor,
    statistics: Statistics,
    *,
    form: str,
    alpha_in: float,
    alpha_out: float,
    p: float,
    alpha: float,
) -> Tensor:
    """Return `|W_ij| (alpha_in a_j + alpha_out b_i)`, `[out, in]`, or the variant that `form` names (arXiv
    2501.18980, section 3).

    `input` is Wanda, `output` uses only the output norms b, `[out]`; `symmetric` uses `||W_:j||_2 +
    ||W_i:||_2`; `relative` is `|W_ij| (1 / ||W_:j||_p + 1 / ||W_i:||_p) a_j^alpha`, which is RIA for p = 1.
    """
    size = weight.abs()
    if form == "relative":
        columns, rows = size.norm(p=p, dim=0), size.norm(p=p, dim=1)
        return relative_importance(weight, columns, rows) * statistics.input_norm.pow(alpha)
    if form == "symmetric":
        return size * (size.norm(dim=0) + size.norm(dim=1)[:, None])
    if form == "input":
        return size * statistics.input_norm
    if form == "output":
        return size * statistics.output_norm[:, None]
    return size * (alpha_in * statistics.input_norm + alpha_out * statistics.output_norm[:, None])


SCORES.add(
    Score(
        name="symwanda",
        title="SymWanda",
        explanation="Rates each weight by the strength of its input and of its output neuron together.",
        helps="Within a row, the output's norm evens out the differences between the inputs; alone "
        "(form=output) it cancels there, and magnitude remains. With the whole linear as the comparison "
        "group, rows with strong outputs keep more, which is worse on the bundled model.",
        formula=r"|W_{ij}| \left( \alpha_{in} \lVert X_{:j} \rVert_2 + \alpha_{out} \lVert (X W^\top)_{:i} "
        r"\rVert_2 \right)",
        paper=papers.SYMMETRIC,
        parameters=(
            Parameter(
                name="form",
                kind="choice",
                default="general",
                choices=FORMS,
                explanation="variant of the score; general is the formula above, input is Wanda",
            ),
            Parameter(
                name="alpha_in",
                kind="float",
                default=1.0,
                minimum=0.0,
                maximum=10.0,
                explanation="weight of the input (general form)",
            ),
            Parameter(
                name="alpha_out",
                kind="float",
                default=1.0,
                minimum=0.0,
                maximum=10.0,
                explanation="weight of the output (general form)",
            ),
            Parameter(
                name="p",
                kind="float",
                default=1.0,
                minimum=0.1,
                maximum=10.0,
                explanation="order of the norm (relative form); 1 gives RIA",
            ),
            ALPHA,
        ),
        function=symwanda,
        # for every form, because they decide how many tokens an expert needs (`Plan.fewest_tokens`)
        needs=frozenset({Need.INPUT_NORM, Need.OUTPUT_NORM}),
        default_group=Group.ROW,
    )
)

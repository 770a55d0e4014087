"""stochRIA: relative importance from a random sample of each row and column.

The random numbers are drawn on the CPU whatever the device, so that a seed means the same everywhere. Drawing
the samples costs more than the shorter sums save: the method shows that a tenth of a row is as informative as
all of it, not that it is faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.pruning import papers
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group
from engine.pruning.scores.ria import ALPHA, relative_importance
from engine.pruning.statistics import Need, Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


def stochria(weight: Tensor, statistics: Statistics, *, beta: float, alpha: float, seed: int) -> Tensor:
    """Return RIA, `[out, in]`, whose row sums run over tau random columns and whose column sums over tau
    random rows (arXiv 2501.18980, section 4).

    `tau = max(1, floor(beta * min(out, in)))`, drawn without replacement, separately for each row and column;
    the sums are not rescaled. A sample that sums to 0 contributes 0. The paper's equation has no activations;
    the factor `a_j^alpha` follows RIA, and `alpha = 0` gives the equation as it is printed.
    """
    count = max(1, int(beta * min(weight.shape)))
    # Rows are drawn before columns: another order would change what a seed means.
    generator = torch.Generator().manual_seed(seed)
    size = weight.abs()
    rows = sampled_sums(size, count, generator)  # [out]
    columns = sampled_sums(size.T, count, generator)  # [in]
    return relative_importance(weight, columns, rows) * statistics.input_norm.pow(alpha)


def sampled_sums(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return the sum over `count` random entries of each row of `values`, `[rows, entries]`, drawn without
    replacement.
    """
    keys = torch.rand(values.shape, generator=generator).to(values.device, non_blocking=True)
    # The largest of independent keys are a sample without replacement, for all rows at once.
    chosen = keys.topk(count, dim=1, sorted=False).indices  # [rows, count]
    return values.gather(1, chosen).sum(1)


SCORES.add(
    Score(
        name="stochria",
        title="StochRIA",
        explanation="RIA computed from a random tenth of each row and column, to test how much of the layer "
        "a weight must be compared with.",
        helps="To see how little of the layer RIA needs. The spread over seeds shows how much is chance. The "
        "activations' factor follows RIA; alpha 0 gives the paper's equation, which has none.",
        formula=r"|W_{ij}| \left( \frac{1}{\sum_{i' \in S_j} |W_{i'j}|} + \frac{1}{\sum_{j' \in S_i} "
        r"|W_{ij'}|} \right) \lVert X_{:j} \rVert^\alpha",
        paper=papers.SYMMETRIC,
        parameters=(
            Parameter(
                name="beta",
                kind="float",
                default=0.1,
                minimum=0.001,
                maximum=1.0,
                explanation="sample size as a fraction of the shorter side",
            ),
            ALPHA,
            Parameter(
                name="seed",
                kind="int",
                default=0,
                minimum=0,
                maximum=2**31 - 1,
                explanation="chooses the samples",
            ),
        ),
        uses_seed=True,
        function=stochria,
        numbers=200,  # measured on a CPU
        needs=frozenset({Need.INPUT_NORM}),
        default_group=Group.LAYER,
    )
)

"""A score that the user writes, such as `abs(W) * a ** 0.5 / row_sum(abs(W))`, see `engine.pruning.formulas`.

Only the statistics that the formula names are collected: `b` takes a pass over the linear's outputs, `u` the
Hessian and its factor. It is computed once, on the dense weights of a block, also if an update follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import FormulaError
from engine.hardware.transfers import require
from engine.models.block import Place
from engine.pruning.axes import SCORES, Score
from engine.pruning.formulas.computing import Formula
from engine.pruning.formulas.reading import EXAMPLE, read, trial_fault
from engine.pruning.formulas.vocabulary import Layer
from engine.pruning.patterns import Group
from engine.pruning.statistics import Statistics
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


def formula(weight: Tensor, statistics: Statistics, *, expression: str, seed: int, place: Place) -> Tensor:
    """Return the formula's values, `[out, in]`.

    Raises:
        FormulaError: one of them is NaN or infinite.
    """
    parsed = read(expression)
    scores = parsed.of(Layer(weight, statistics, seed, place))
    finite = scores.isfinite()
    # Tensors without dimensions: an error that is raised later must not hold the scores until then.
    wrong, first = (~finite).sum(), finite.flatten().int().argmin()
    value = scores.flatten()[first]
    columns, size = weight.shape[1], weight.numel()
    require(
        wrong == 0, lambda: _not_finite(parsed, place, int(wrong), size, divmod(int(first), columns), value)
    )
    return scores


def _not_finite(
    parsed: Formula, place: Place, wrong: int, size: int, first: tuple[int, int], value: Tensor
) -> FormulaError:
    where = place.path or "a linear"
    return FormulaError(
        f"The formula {parsed.text} is not finite for {wrong:,} of the {size:,} weights of {where}, first "
        f"{float(value)} at row {first[0]}, column {first[1]}. Use max(..., 1e-9) in denominators and "
        "logarithms, abs(...) before roots, and smaller powers."
    )


def _declared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    parsed = read(parameters["expression"])
    return {
        "needs": parsed.needs,
        "numbers": parsed.numbers,
        "scratch": parsed.scratch,
        "formula": parsed.latex,
        "label": parsed.short,
    }


SCORES.add(
    Score(
        name="formula",
        title="Formula",
        explanation="A score of your own: a formula of the weight and of what the calibration text shows "
        "about its input and output.",
        helps="To try an idea against the published scores. The names and functions are listed below.",
        formula=read(EXAMPLE).latex,
        parameters=(
            Parameter(
                name="expression",
                kind="text",
                default=EXAMPLE,
                read=lambda text: read(text).text,
                trial=trial_fault,
                explanation="the formula, for instance abs(W) * a ** 0.5 / row_sum(abs(W))",
            ),
            Parameter(
                name="seed",
                kind="int",
                default=0,
                minimum=0,
                maximum=2**31 - 1,
                explanation="seed of rand",
            ),
        ),
        uses_seed=True,
        uses_place=True,
        function=formula,
        declares=_declared,
        default_group=Group.ROW,
    )
)

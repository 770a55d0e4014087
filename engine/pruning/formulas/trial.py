"""A formula tried on a few numbers as a linear may have them, to refuse at once what no run can use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

from engine.pruning.formulas.computing import Formula

if TYPE_CHECKING:
    from torch import Tensor


ROWS, COLUMNS = 12, 16
PLACES = ((0.0, 0.0), (5.0, 0.5), (10.0, 1.0))
"""Values of block and depth: a formula is refused only if it fails at all of them."""


def fault_of_values(formula: Formula) -> str | None:
    """Return what is wrong with a formula's values for numbers of usual sizes, without a full stop; None if
    it has usable ones.
    """
    tried = [formula(_values(*place)).expand(ROWS, COLUMNS) for place in PLACES]
    if all(not values.isfinite().any() for values in tried):
        return (
            "is not a finite number for any weight; avoid divisions by 0, roots and logarithms of negative "
            "numbers, and large powers and exponentials"
        )
    if all(values.isnan().any() for values in tried):
        return (
            "is not a number (NaN) for some weights; take abs(...) before roots, logarithms and fractional "
            "powers, because weights and means can be negative"
        )
    if all(bool((values == values[0, 0]).all()) for values in tried):
        return "has the same value for all weights, so it ranks none of them; use W or the inputs"
    return None


@cache
def _values(block: float, depth: float) -> dict[str, Tensor]:
    """Return all quantities, of the sizes that the bundled model has them in."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    norm = 0.5 + 10 * uniform(1, COLUMNS)
    return {
        "W": 0.1 * torch.randn(ROWS, COLUMNS, generator=generator),
        "a": norm,
        "b": 0.5 + 10 * uniform(ROWS, 1),
        "mean": uniform(1, COLUMNS) - 0.5,
        "var": 0.01 + uniform(1, COLUMNS),
        "h": 2 * norm.square(),
        "u": 0.05 + uniform(1, COLUMNS),
        "rand": uniform(ROWS, COLUMNS),
        "block": torch.full((1, 1), block),
        "depth": torch.full((1, 1), depth),
    }

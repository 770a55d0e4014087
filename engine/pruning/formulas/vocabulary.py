"""What a formula consists of: quantities, functions and operators, with their shapes, costs and LaTeX."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from engine.models.block import Place
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor


class Shape(NamedTuple):
    """Whether values differ between the rows and between the columns of a linear's weight."""

    rows: bool
    columns: bool

    @property
    def words(self) -> str:
        if self.rows and self.columns:
            return "one value per weight"
        if self.rows:
            return "one value per row"
        return "one value per column" if self.columns else "a single number"


NUMBER, PER_ROW, PER_COLUMN, PER_WEIGHT = (
    Shape(False, False),
    Shape(True, False),
    Shape(False, True),
    Shape(True, True),
)


@dataclass(frozen=True)
class Layer:
    """What a formula is computed for: a weight `[out, in]` float32, what is known about its inputs and
    outputs, and the seed of its random numbers.
    """

    weight: Tensor
    statistics: Statistics
    seed: int
    place: Place

    def random(self) -> Tensor:
        """Return numbers between 0 and 1, `[out, in]`."""
        # On the CPU whatever the device, so that a seed means the same everywhere.
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(self.weight.shape, generator=generator).to(self.weight.device)

    def token_mean(self) -> Tensor:
        """Return the mean of each input over all tokens, `[in]`."""
        return self.statistics.input_sum * (self.statistics.windows / max(1, self.statistics.tokens))

    def number(self, value: float) -> Tensor:
        return torch.full((1,), value, device=self.weight.device)


@dataclass(frozen=True)
class Name:
    """A quantity that a formula may use.

    Attributes:
        of: returns its values, `[out, in]`, `[out, 1]`, `[in]` or `[1]`.
        needs: the statistics that `of` reads.
    """

    shape: Shape
    latex: str
    unit: str
    meaning: str
    of: Callable[[Layer], Tensor]
    needs: frozenset[Need] = frozenset()


INPUT, NO_UNIT = "that of the inputs", "none"
NAMES: dict[str, Name] = {
    "W": Name(PER_WEIGHT, "W_{ij}", "that of the weights", "the weight", lambda layer: layer.weight),
    "a": Name(
        PER_COLUMN,
        r"\lVert X_{:j} \rVert_2",
        INPUT,
        "norm of the input, as in Wanda: over the tokens of a window, root mean square over the windows",
        lambda layer: layer.statistics.input_norm,
        frozenset({Need.INPUT_NORM}),
    ),
    "b": Name(
        PER_ROW,
        r"\lVert (X W^\top)_{:i} \rVert_2",
        "that of the outputs",
        "norm of the output, over tokens and windows as for a",
        lambda layer: layer.statistics.output_norm[:, None],
        frozenset({Need.OUTPUT_NORM}),
    ),
    "mean": Name(
        PER_COLUMN,
        r"\mu_j",
        INPUT,
        "mean of the input over all tokens",
        Layer.token_mean,
        frozenset({Need.INPUT_SUM}),
    ),
    "var": Name(
        PER_COLUMN,
        r"\sigma_j^2",
        f"{INPUT}, squared",
        "variance of the input within a window, averaged over the windows",
        lambda layer: layer.statistics.input_variance,
        frozenset({Need.INPUT_VARIANCE}),
    ),
    "h": Name(
        PER_COLUMN,
        "H_{jj}",
        f"{INPUT}, squared",
        "diagonal of SparseGPT's Hessian, which is 2 a ** 2",
        lambda layer: 2 * layer.statistics.input_norm.square(),  # so that no Hessian is needed
        frozenset({Need.INPUT_NORM}),
    ),
    "u": Name(
        PER_COLUMN,
        "U_{jj}",
        f"one over {INPUT}",
        "diagonal of the inverse Hessian's upper factor, as in SparseGPT: how well the inputs after this "
        "one can replace it; takes as long as SparseGPT's Hessian",
        lambda layer: layer.statistics.factor.upper.diagonal(),
        frozenset({Need.HESSIAN}),
    ),
    "rand": Name(
        PER_WEIGHT,
        r"\xi_{ij}",
        NO_UNIT,
        "random number from 0 to 1; depends on formula.seed and on the linear",
        Layer.random,
    ),
    "block": Name(
        NUMBER,
        r"\ell",
        NO_UNIT,
        "index of the block, from 0",
        lambda layer: layer.number(layer.place.block),
    ),
    "depth": Name(
        NUMBER,
        r"\tfrac{\ell}{L - 1}",
        NO_UNIT,
        "place of the block in the model, from 0 for the first to 1 for the last",
        lambda layer: layer.number(layer.place.depth),
    ),
}

ELEMENTWISE, SORTING = 3.0, 150.0
"""Numbers that an operation reads and writes per weight."""


@dataclass(frozen=True)
class Function:
    """What a formula may call.

    Attributes:
        compute: receives tensors that broadcast to `[out, in]`; the p of a norm as a number.
        arguments: how many it takes, at least and at most.
        shape: of the result; raises ValueError if the arguments do not fit.
        latex: LaTeX for the arguments' LaTeX.
        is_norm: whether its second argument is the p of a norm, which is a number.
        numbers: that it reads and writes per weight.
        scratch: bytes per weight that it takes while it computes, besides its arguments and its result.
    """

    compute: Callable[..., Tensor]
    arguments: tuple[int, int]
    shape: Callable[[list[Shape]], Shape]
    latex: Callable[..., str]
    meaning: str
    is_norm: bool = False
    numbers: float = ELEMENTWISE
    scratch: int = 0

    def call(self, name: str) -> str:
        """Return how it is called: `max(x, y)`."""
        if name == "where":
            return "where(x > y, u, v)"
        return f"{name}({', '.join(['x', 'p' if self.is_norm else 'y'][: self.arguments[1]])})"

    @property
    def result(self) -> str:
        """The shape of its result for one value per weight, in words."""
        return self.shape([PER_WEIGHT] * self.arguments[1]).words


def joined(shapes: list[Shape]) -> Shape:
    """Return the shape of values computed entry by entry from values of these shapes."""
    return Shape(any(shape.rows for shape in shapes), any(shape.columns for shape in shapes))


def _first(shapes: list[Shape]) -> Shape:
    return shapes[0]


def _over(direction: str) -> Callable[[list[Shape]], Shape]:
    """Return the shape rule of a function that combines the entries of each row or column."""

    def shape(shapes: list[Shape]) -> Shape:
        value = shapes[0]
        if not (value.columns if direction == "row" else value.rows):
            raise ValueError(
                f"combines the entries of each {direction}, but its argument is {value.words}, so there is "
                "nothing to combine"
            )
        return Shape(value.rows, False) if direction == "row" else Shape(False, value.columns)

    return shape


def _within(direction: str) -> Callable[[list[Shape]], Shape]:
    """Return the shape rule of a function that compares the entries of each row or column."""

    def shape(shapes: list[Shape]) -> Shape:
        _over(direction)(shapes)
        return shapes[0]

    return shape


def _norm(values: Tensor, p: float, dim: int) -> Tensor:
    size = values.abs()
    largest = size.amax(dim, keepdim=True)  # scaled by it, so that no power overflows
    scaled = size / largest.where(largest > 0, 1)
    return largest * scaled.pow(p).sum(dim, keepdim=True).pow(1 / p)


def _ranks(values: Tensor) -> Tensor:
    """Return the places of the entries of each row in ascending order, from 0 to 1; equal ones share the mean
    of theirs.
    """
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    first = torch.searchsorted(ordered, values)
    last = torch.searchsorted(ordered, values, right=True) - 1
    return first.add_(last).to(values.dtype) / (2 * max(1, values.shape[1] - 1))


def _normalized(values: Tensor) -> Tensor:
    mean = values.abs().mean()
    return values / mean.where(mean > 0, 1)


SORT_BYTES = 28
"""Of `_ranks`, per entry: the sorted values, their places, and the first and last place of each entry."""


def _direction(direction: str) -> dict[str, Function]:
    """Return the functions of the entries of each row (`row`) or column (`col`)."""
    dim, sign, index = (1, r"\sum_j", "j") if direction == "row" else (0, r"\sum_i", "i")
    of = "of each row" if direction == "row" else "of each column"
    count = r"\tfrac{1}{n_" + index + "}"
    over, within = _over(direction), _within(direction)
    return {
        f"{direction}_sum": Function(
            lambda x: x.sum(dim, keepdim=True), (1, 1), over, lambda x: f"{sign} {x}", f"sum {of}"
        ),
        f"{direction}_mean": Function(
            lambda x: x.mean(dim, keepdim=True),
            (1, 1),
            over,
            lambda x: f"{count} {sign} {x}",
            f"mean {of}",
        ),
        f"{direction}_norm": Function(
            lambda x, p=2.0: _norm(x, p, dim),
            (1, 2),
            over,
            lambda x, p="2": rf"\bigl( {sign} \lvert {x} \rvert^{{{p}}} \bigr)^{{1 / {p}}}",
            f"p-norm {of}; the second argument is p, 2 by default",
            is_norm=True,
            numbers=3 * ELEMENTWISE,
            scratch=8,
        ),
        f"{direction}_rank": Function(
            lambda x: _ranks(x) if dim else _ranks(x.T).T,
            (1, 1),
            within,
            lambda x: rf"\operatorname{{rank}}_{index}\left( {x} \right)",
            f"place among the entries {of}, from 0 for the lowest to 1 for the highest; equal ones share one",
            numbers=SORTING,
            scratch=SORT_BYTES,
        ),
    }


def _torch(name: str) -> Callable[..., Tensor]:
    """Return torch's function of this name, which is looked up when it is called."""

    def compute(*values: Tensor) -> Tensor:
        result: Tensor = getattr(torch, name)(*values)
        return result

    return compute


def _call(name: str) -> Callable[..., str]:
    return lambda *values: rf"\{name}\left( {', '.join(values)} \right)"


FUNCTIONS: dict[str, Function] = {
    "abs": Function(_torch("abs"), (1, 1), _first, lambda x: rf"\left| {x} \right|", "absolute value"),
    "sqrt": Function(_torch("sqrt"), (1, 1), _first, lambda x: rf"\sqrt{{{x}}}", "square root"),
    "log": Function(_torch("log"), (1, 1), _first, _call("log"), "natural logarithm"),
    "exp": Function(_torch("exp"), (1, 1), _first, _call("exp"), "exponential"),
    "min": Function(_torch("minimum"), (2, 2), joined, _call("min"), "the smaller of two values"),
    "max": Function(_torch("maximum"), (2, 2), joined, _call("max"), "the larger of two values"),
    "where": Function(
        _torch("where"),
        (3, 3),
        joined,
        lambda test, yes, no: rf"\begin{{cases}} {yes} & {test} \\ {no} & \text{{otherwise}} \end{{cases}}",
        "the second value where the comparison (<, <=, >, >=) holds, elsewhere the third",
    ),
    "rank": Function(
        lambda x: _ranks(x.reshape(1, -1)).reshape(x.shape),
        (1, 1),
        _first,
        lambda x: rf"\operatorname{{rank}}\left( {x} \right)",
        "place among all values of the linear, from 0 for the lowest to 1 for the highest; equal ones share "
        "one",
        numbers=SORTING,
        scratch=SORT_BYTES,
    ),
    "normalize": Function(
        _normalized,
        (1, 1),
        _first,
        lambda x: rf"\frac{{{x}}}{{\overline{{\left| {x} \right|}}}}",
        "divided by the mean absolute value over the linear",
    ),
    **_direction("row"),
    **_direction("col"),
}


def called(node: ast.AST) -> str | None:
    """Return the name that a node of a formula calls; None if it calls none."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name
    return None


OPERATORS: dict[type[ast.operator], tuple[Callable[..., Tensor], str]] = {
    ast.Add: (_torch("add"), "{} + {}"),
    ast.Sub: (_torch("sub"), "{} - {}"),
    ast.Mult: (_torch("mul"), r"{} \, {}"),
    ast.Div: (_torch("div"), r"\frac{{{}}}{{{}}}"),
    ast.Pow: (_torch("pow"), "{{{}}}^{{{}}}"),
}
COMPARISONS: dict[type[ast.cmpop], tuple[Callable[..., Tensor], str]] = {
    ast.Lt: (_torch("lt"), "<"),
    ast.LtE: (_torch("le"), r"\le"),
    ast.Gt: (_torch("gt"), ">"),
    ast.GtE: (_torch("ge"), r"\ge"),
}

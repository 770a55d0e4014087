"""A formula that was accepted: what it needs, what it costs, and its values."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.pruning.formulas.vocabulary import (
    COMPARISONS,
    ELEMENTWISE,
    FUNCTIONS,
    NAMES,
    OPERATORS,
    Layer,
    called,
)
from engine.pruning.statistics import Need

if TYPE_CHECKING:
    from torch import Tensor


FLOAT32 = 4  # bytes
OPERATIONS = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call)
MOST_LETTERS = 40
"""Letters of a formula that a title has room for."""


@dataclass(frozen=True)
class Formula:
    """An accepted formula.

    Attributes:
        text: in canonical form, equal for formulas that differ in spaces, superfluous parentheses and the
            spelling of numbers only.
        latex: what it looks like.
    """

    text: str
    latex: str
    tree: ast.expr

    @property
    def names(self) -> frozenset[str]:
        """The quantities that it uses."""
        used = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        return frozenset(used & set(NAMES))

    @property
    def needs(self) -> frozenset[Need]:
        """The statistics that it reads."""
        return frozenset().union(*(NAMES[name].needs for name in self.names))

    @property
    def numbers(self) -> float:
        """Numbers that it reads and writes per weight."""
        names = [called(node) for node in ast.walk(self.tree) if isinstance(node, OPERATIONS)]
        return sum(ELEMENTWISE if name is None else FUNCTIONS[name].numbers for name in names)

    @property
    def scratch(self) -> int:
        """Bytes per weight that are in use at the same time while it is computed."""
        return _scratch(self.tree)

    @property
    def short(self) -> str:
        """The formula for titles: `abs(W)·a^0.5`. A long one ends with a hash, so that two differ."""
        text = self.text.replace(" ** ", "^").replace(" * ", "·")
        if len(text) <= MOST_LETTERS:
            return text
        return f"{text[: MOST_LETTERS - 7]}… #{hashlib.sha256(text.encode()).hexdigest()[:4]}"

    def of(self, layer: Layer) -> Tensor:
        """Return the formula's values, `[out, in]`. They may contain NaN or infinity."""
        values = {name: NAMES[name].of(layer) for name in self.names}
        return self(values).expand_as(layer.weight).contiguous()

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the formula's values.

        Args:
            values: for each of `names` a tensor that broadcasts to `[out, in]`.

        Returns:
            A tensor with two dimensions that broadcasts to `[out, in]`. May contain NaN or infinity.
        """
        return _compute(self.tree, {name: _as_matrix(value) for name, value in values.items()})


def _as_matrix(value: Tensor) -> Tensor:
    return value.reshape(1, -1) if value.dim() < 2 else value


def _compute(node: ast.AST, values: Mapping[str, Tensor]) -> Tensor:
    match node:
        case ast.Name(id=name):
            result = values[name]
        case ast.UnaryOp(op=op, operand=operand):
            result = _compute(operand, values)
            if isinstance(op, ast.USub):
                result = -result
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if (power := number(right)) is not None:
            result = _compute(left, values).pow(power)  # as exact as the methods that use such a power
        case ast.BinOp(left=left, op=op, right=right):
            result = OPERATORS[type(op)][0](*_compute_all([left, right], values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            result = COMPARISONS[type(op)][0](*_compute_all([left, right], values))
        case ast.Call(func=ast.Name(id=name), args=[first, second]) if FUNCTIONS[name].is_norm:
            result = FUNCTIONS[name].compute(_compute(first, values), number(second))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            result = FUNCTIONS[name].compute(*_compute_all(arguments, values))
        case ast.Constant(value=int() | float() as value):
            result = torch.full((1, 1), float(value), device=next(iter(values.values())).device)
        case _:
            raise AssertionError(ast.dump(node))  # no other node is accepted
    return result


def number(node: ast.expr) -> float | None:
    """Return the value of a number with or without a sign; None for anything else."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None


def _compute_all(nodes: list[ast.expr], values: Mapping[str, Tensor]) -> list[Tensor]:
    # Those that take most memory first, while no other result is waiting.
    order = sorted(range(len(nodes)), key=lambda place: -_scratch(nodes[place]))
    found = {place: _compute(nodes[place], values) for place in order}
    return [found[place] for place in range(len(nodes))]


def _scratch(node: ast.AST) -> int:
    """Return the bytes per weight in use at the peak of computing a node in the order of `_compute_all`."""
    if isinstance(node, ast.Name | ast.Constant):
        return 0
    parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    peaks = sorted((peak for part in parts if (peak := _scratch(part))), reverse=True)
    name = called(node)
    own = 0 if name is None else FUNCTIONS[name].scratch
    # Finished parts wait while the next one is computed; then the result is added to all of them.
    waiting = [FLOAT32 * place + peak for place, peak in enumerate(peaks)]
    return max([*waiting, FLOAT32 * (len(peaks) + 1) + own])

"""Formulas as LaTeX."""

from __future__ import annotations

import ast

from engine.pruning.formulas.vocabulary import COMPARISONS, FUNCTIONS, NAMES, OPERATORS

ATOM, PRODUCT, SUM = 3, 2, 1
"""How tightly the parts of a rendered formula hold together."""


def latex(tree: ast.AST) -> str:
    """Return an accepted formula as LaTeX."""
    return _rendered(tree)[0]


def _rendered(node: ast.AST) -> tuple[str, int]:
    """Return an expression as LaTeX, and how tightly it holds together."""
    match node:
        case ast.BinOp():
            return _operation(node)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, arguments)
        case ast.UnaryOp(op=op, operand=operand):
            result = ("-" if isinstance(op, ast.USub) else "") + _grouped(operand, PRODUCT), SUM
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            result = f"{latex(left)} {COMPARISONS[type(op)][1]} {latex(right)}", SUM
        case ast.Name(id=name):
            result = NAMES[name].latex, ATOM
        case ast.Constant(value=int() | float() as value):
            result = f"{value:g}", ATOM
        case _:
            raise AssertionError(ast.dump(node))  # no other node is accepted
    return result


def _operation(node: ast.BinOp) -> tuple[str, int]:
    template = OPERATORS[type(node.op)][1]
    if isinstance(node.op, ast.Div):
        return template.format(latex(node.left), latex(node.right)), ATOM
    if isinstance(node.op, ast.Pow):
        # Always in parentheses, because names have indices and powers of their own.
        base = (
            latex(node.left) if isinstance(node.left, ast.Constant) else rf"\left( {latex(node.left)} \right)"
        )
        return template.format(base, latex(node.right)), ATOM
    level = PRODUCT if isinstance(node.op, ast.Mult) else SUM
    # The right side of a difference keeps its parentheses.
    tighter = level + isinstance(node.op, ast.Sub)
    return template.format(_grouped(node.left, level), _grouped(node.right, tighter)), level


def _call(name: str, arguments: list[ast.expr]) -> tuple[str, int]:
    if name.endswith(("_sum", "_mean")):  # a summation sign, which binds like a product
        return FUNCTIONS[name].latex(_grouped(arguments[0], PRODUCT)), PRODUCT
    return FUNCTIONS[name].latex(*map(latex, arguments)), ATOM


def _grouped(node: ast.AST, least: int) -> str:
    text, level = _rendered(node)
    return text if level >= least else rf"\left( {text} \right)"

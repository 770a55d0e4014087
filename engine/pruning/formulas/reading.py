"""Reading the formulas in which users write scores, such as `abs(W) * a ** 0.5 / row_sum(abs(W))`.

A formula may come from a link, so it is data: only a few characters are accepted, Python's parser reads them,
and every node of the tree must be a number or a part of the vocabulary. Nothing is executed as Python.
Accepting it also determines its shape: whether its values differ between rows, columns, or both.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from unicodedata import name as character_name

from engine.pruning.formulas.computing import OPERATIONS, Formula
from engine.pruning.formulas.rendering import latex
from engine.pruning.formulas.trial import fault_of_values
from engine.pruning.formulas.vocabulary import (
    COMPARISONS,
    FUNCTIONS,
    NAMES,
    NUMBER,
    OPERATORS,
    Shape,
    called,
    joined,
)

LONGEST = 400
"""Characters of a formula besides spaces, both as it is typed and as it is stored."""
MOST_OPERATIONS, MOST_RANKS = 64, 4
"""Operations and calls, and those among them that sort, so that a formula costs at most a few passes over the
weights."""
LARGEST_NUMBER, LARGEST_POWER = 1e30, 64

FOREIGN = re.compile(r"[^A-Za-z0-9_ \t\r\n.,+\-*/()<>=]")
RUN_ON_NUMBER = re.compile(r"(?<![\w.])(?>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[A-Za-z_]\w*")
"""A number and letters without an operator between them, such as `2a`, `0x1f` and `1j`."""
INSTEAD = {"^": "write ** for a power", "|": "write abs(...)", "×": "write *", "·": "write *", "÷": "write /"}
"""What to write for characters that are common elsewhere."""
EXAMPLE = "abs(W) * a"


TOO_LONG = f"but at most {LONGEST} are allowed (without spaces); shorten it"


@lru_cache(maxsize=256)
def parse(text: str) -> Formula:
    """Read a formula and try it on a few numbers.

    Raises:
        ValueError: it is not accepted; the message says why, without a full stop.
    """
    formula = read(text)
    if fault := trial_fault(formula.text):
        raise ValueError(fault)
    return formula


def trial_fault(text: str) -> str | None:
    """Return what is wrong with the values of a formula that can be read; None if they are usable."""
    fault = fault_of_values(read(text))
    return fault and f"the formula {fault}"


@lru_cache(maxsize=256)
def read(text: str) -> Formula:
    """Read a formula without trying it, which takes torch.

    Raises:
        ValueError: it cannot be read; the message says why, without a full stop.
    """
    try:
        tree = _simplified(_tree(text.strip()))
        _check_size(tree)  # first, because it bounds the depth
        shape = _check(tree)
        if not shape.columns:
            raise ValueError(
                f"yields {shape.words}, so it does not tell the weights of a row apart; use W or a quantity "
                f"of the columns ({', '.join(name for name, each in NAMES.items() if each.shape.columns)})"
            )
        canonical = ast.unparse(tree)
        if (length := _length(canonical)) > LONGEST:  # or its own link and recipe could not be read
            raise ValueError(f"has {length:,} characters with its numbers written out, {TOO_LONG}")
    except ValueError as error:
        raise ValueError(f"the formula {error}") from error.__cause__
    return Formula(canonical, latex(tree), tree)


def _length(text: str) -> int:
    return len("".join(text.split()))


def _tree(text: str) -> ast.expr:
    if not text:
        raise ValueError(f"is empty; write for instance {EXAMPLE}")
    if (length := _length(text)) > LONGEST:
        raise ValueError(f"has {length:,} characters, {TOO_LONG}")
    if found := FOREIGN.search(text):
        raise ValueError(_foreign(found[0]))
    if found := RUN_ON_NUMBER.search(text):
        raise ValueError(
            f"contains {_shortened(found[0])}; write an operator between a number and a name, and numbers as "
            "0.5 or 1e-3"
        )
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        where = f" near character {error.offset}" if error.offset else ""
        raise ValueError(f"cannot be read{where}: check its parentheses, commas and operators") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("is nested too deeply to be read; use fewer parentheses") from error


def _foreign(character: str) -> str:
    """Return what is wrong with a character; one that looks like another is named."""
    shown = character if character.isascii() and character.isprintable() else character_name(character, "")
    known = repr(shown) if len(shown) == 1 else shown or f"U+{ord(character):04X}"
    hint = INSTEAD.get(character, "use ASCII letters, digits, + - * / ** ( ) , < > and the names of the list")
    return f"contains the character {known}, which is not allowed; {hint}"


def _simplified(tree: ast.expr) -> ast.expr:
    """Write whole numbers without a fraction, so that 2 and 2.0 are the same formula."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and abs(node.value) < 1e15:
            node.value = int(node.value) if node.value == int(node.value) else node.value
    return tree


def _check_size(tree: ast.expr) -> None:
    names = [called(node) or "" for node in ast.walk(tree) if isinstance(node, OPERATIONS)]
    if (count := len(names)) > MOST_OPERATIONS:
        raise ValueError(f"has {count} operations, but at most {MOST_OPERATIONS} are allowed; shorten it")
    if (ranks := sum(name.endswith("rank") for name in names)) > MOST_RANKS:
        raise ValueError(
            f"ranks {ranks} times, but at most {MOST_RANKS} ranks are allowed, because each sorts all "
            "weights; use fewer"
        )


def _check(node: ast.AST) -> Shape:
    """Return the shape of an expression; raise ValueError if a part of it is not allowed."""
    match node:
        case ast.Constant():
            return _check_number(node)
        case ast.Name(id=name):
            return _check_name(name)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _check(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            if isinstance(op, ast.Pow):
                _check_power(right)
            return joined([_check(left), _check(right)])
        case ast.Compare():
            raise ValueError("compares outside where; write where(a > 1, ..., ...)")
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _check_call(name, arguments)
        case ast.Call(keywords=[_, *_]):
            raise ValueError(f"contains {_short(node)}, with a named argument; write the values alone")
    raise ValueError(
        f"contains {_short(node)}, which is not allowed; use numbers, the names {', '.join(NAMES)}, the "
        f"operators + - * / ** and the functions {', '.join(FUNCTIONS)}"
    )


def _check_number(node: ast.Constant) -> Shape:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise ValueError(f"contains {_short(node)}, which is not a number")
    if not abs(node.value) <= LARGEST_NUMBER:
        raise ValueError(f"contains a number above {LARGEST_NUMBER:g}; use a smaller one")
    return NUMBER


def _check_name(name: str) -> Shape:
    if name in NAMES:
        return NAMES[name].shape
    if name in FUNCTIONS:
        raise ValueError(f"names the function {name} without calling it; write {name}(...)")
    raise ValueError(f"contains {_shortened(name)}, which is not known; {_near(name, NAMES)}")


def _check_comparison(node: ast.expr) -> Shape:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            return joined([_check(left), _check(right)])
    raise ValueError("calls where without a comparison (<, <=, >, >=) first; write where(a > 1, ..., ...)")


def _check_call(name: str, arguments: list[ast.expr]) -> Shape:
    if name not in FUNCTIONS:
        raise ValueError(f"calls {_shortened(name)}, which is not a function here; {_near(name, FUNCTIONS)}")
    function = FUNCTIONS[name]
    least, most = function.arguments
    if not least <= len(arguments) <= most:
        count = str(least) if least == most else f"{least} or {most}"
        plural = "" if len(arguments) == 1 else "s"
        raise ValueError(f"calls {name} with {len(arguments)} value{plural}; it takes {count}")
    first = _check_comparison if name == "where" else _check
    shapes = [first(arguments[0]), *map(_check, arguments[1:])]
    if function.is_norm and len(arguments) > 1 and not 0 < _number(arguments[1]) <= LARGEST_POWER:
        raise ValueError(
            f"calls {name} with p = {_short(arguments[1])}; p is a number above 0, at most {LARGEST_POWER}"
        )
    try:
        return function.shape(shapes)
    except ValueError as error:
        raise ValueError(f"calls {name}, which {error}") from None


def _check_power(exponent: ast.expr) -> None:
    for node in ast.walk(exponent):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            raise ValueError("raises to a power that is itself a power; write one power")
        if isinstance(node, ast.Constant) and not abs(_number(node)) <= LARGEST_POWER:
            raise ValueError(f"raises to a power above {LARGEST_POWER}; use a smaller one")


def _number(node: ast.expr) -> float:
    """Return the value of a number in a formula; NaN if it is anything else."""
    value = node.value if isinstance(node, ast.Constant) else None
    return float(value) if isinstance(value, int | float) else float("nan")


def _near(name: str, known: Mapping[str, object]) -> str:
    near = [other for other in known if other.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    if not near:
        return f"choose from {', '.join(known)}"
    return f"the nearest {'name is' if len(near) == 1 else 'names are'} {' and '.join(near)}"


def _short(node: ast.AST) -> str:
    return _shortened(ast.unparse(node))


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"

"""Formulas: what is accepted, what is refused and how, their values against plain loops, their LaTeX."""

from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from engine.pruning.formulas.reading import LONGEST, MOST_OPERATIONS, parse
from engine.pruning.formulas.vocabulary import FUNCTIONS, NAMES

ROWS, COLUMNS = 3, 4
REFUSED = {
    "": "is empty",
    "   ": "is empty",
    "abs(W": "cannot be read",
    "W\n+ a": "cannot be read",
    "W +": "cannot be read",
    "W a": "cannot be read",
    "W; W": "character ';'",
    "W\0": r"character U\+0000",
    "W # a": "character '#'",
    "abs(W) * A": "the nearest name is a",
    "abs(w)": "the nearest name is W",
    "abs(weight)": "choose from W, a, b",
    "sqr(W)": "the nearest name.* sqrt",
    "eval(W)": "not a function here",
    "__import__(W)": "not a function here",
    "__import__('os').system('true')": "character",
    "W.__class__": "which is not allowed",
    "abs.__globals__": "which is not allowed",
    "abs(W).T.data": "which is not allowed",
    "[x for x in W]": r"character '\['",
    "abs(x for x in W)": "which is not allowed",
    "{W}": "character",
    "(lambda: W)()": "character ':'",
    "(lambda)(W)": "cannot be read",
    "W if a else b": "which is not allowed",
    "W[0]": "character",
    "(W := 1)": "character ':'",
    "W = 1": "cannot be read",
    "W and a": "which is not allowed",
    "not W": "which is not allowed",
    "await W": "which is not allowed",
    "(yield)": "which is not allowed",
    "(W, a)": "which is not allowed",
    "*W": "cannot be read|which is not allowed",
    "~W": "character '~'",
    "|W|": "write abs",
    "W ^ 2": r"write \*\* for a power",
    "W × a": r"MULTIPLICATION SIGN.*write \*",
    "W // a": "which is not allowed",
    "W % a": "character '%'",
    "W @ W": "character '@'",
    "W << 2": "which is not allowed",
    "f'{W}'": 'character "\'"',
    "abs(x=W)": "named argument",
    "abs(*W)": "which is not allowed",
    "abs(**W)": "named argument",
    "W * 'x'": 'character "\'"',
    "W * True": "is not a number",
    "W * None": "is not a number",
    "W * ...": "is not a number",
    "W * 1j": "contains 1j",
    "W * 0x1f": "contains 0x1f",
    "2a * W": "contains 2a",
    "1if W else a": "contains 1if",
    "\uff37 * a": "FULLWIDTH LATIN CAPITAL LETTER W",  # Python itself reads it as W
    "abs(W) * \u0430": "CYRILLIC SMALL LETTER A",
    "abs(W) \u2212 a": "MINUS SIGN",
    "W * 1e999": "a number above",
    "W * 1" + "0" * 31: "a number above",
    "W ** 65": "a power above",
    "W ** -65": "a power above",
    "W ** (a * 1000)": "a power above",
    "W ** a ** b": "itself a power",
    "9 ** 9 ** 9 * W": "itself a power",
    "W > 1": "outside where",
    "where(1 < W < 2, W, a)": "without a comparison",
    "where(W == 1, W, a)": "without a comparison",
    "where(a, W, b)": "without a comparison",
    "abs": "without calling it",
    "abs()": "with 0 values; it takes 1",
    "abs(W, a)": "with 2 values; it takes 1",
    "row_norm(W, 1, 2)": "it takes 1 or 2",
    "row_norm(W, 0) * W": "p is a number above 0",
    "row_norm(W, a) * W": "p is a number above 0",
    "row_norm(W, 1000) * W": "p is a number above 0",
    "1": "a single number",
    "depth * 2": "a single number",
    "b": "one value per row",
    "row_sum(W)": "one value per row",
    "row_sum(b) * W": "combines the entries of each row",
    "col_sum(a) * W": "combines the entries of each col",
    "row_rank(b) * W": "combines the entries of each row",
    "col_norm(1) * W": "combines the entries of each col",
    "W" + " + W" * LONGEST: "characters, but at most",
    "W" + "+W" * (MOST_OPERATIONS + 1): "operations, but at most",
    "-" * 190 + "W": "operations, but at most",
    "rank(" * 5 + "W" + ")" * 5: "ranks 5 times",
    "W / 0": "not a finite number for any weight",
    "W * log(a - a)": "not a finite number for any weight",
    "exp(1000 * a) * exp(1000 + W)": "not a finite number for any weight",
    "sqrt(W)": "NaN",
    "log(W)": "NaN",
    "W ** 0.5": "NaN",
    "W / W - 1": "same value for all weights",
    "W * 0": "same value for all weights",
    "W ** 0": "same value for all weights",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:30]))
def test_what_is_not_allowed_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[text]) as caught:
        parse(text)
    said = str(caught.value)
    assert said.startswith("the formula ") and len(said) < 400 and "\n" not in said


@pytest.mark.parametrize("text", ["abs(W)" + "*row_norm(W,1.5)" * 24, "abs(W)" + "   *   .5" * 49])
def test_what_is_accepted_is_accepted_in_its_canonical_form(text: str) -> None:
    """That form is longer, and is what recipes, links and stored runs contain."""
    canonical = parse(text).text
    assert (len(canonical) > LONGEST or len(text) > LONGEST) and parse(canonical).text == canonical


def test_a_formula_whose_numbers_get_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="characters with its numbers written out, but at most 400"):
        parse("abs(W)" + "*1e15*1e-15" * 31)


@pytest.fixture
def values() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) + 0.5

    per_name = {(True, True): (ROWS, COLUMNS), (True, False): (ROWS, 1), (False, True): (1, COLUMNS)}
    result = {name: random(*per_name.get(tuple(each.shape), (1, 1))) for name, each in NAMES.items()}
    result["W"] = torch.randn(ROWS, COLUMNS, generator=generator)
    return result


def entries(values: dict[str, Tensor]) -> list[tuple[int, int, dict[str, float]]]:
    """Return each entry's row, column and quantities."""
    wide = {name: tensor.expand(ROWS, COLUMNS) for name, tensor in values.items()}
    return [
        (i, j, {name: float(tensor[i, j]) for name, tensor in wide.items()})
        for i in range(ROWS)
        for j in range(COLUMNS)
    ]


@pytest.mark.parametrize(
    ("text", "by_hand"),
    [
        ("abs(W) * a", lambda v: abs(v["W"]) * v["a"]),
        ("-W + a - b / 2", lambda v: -v["W"] + v["a"] - v["b"] / 2),
        ("W - (a - b)", lambda v: v["W"] - (v["a"] - v["b"])),
        ("2 * a ** 0.5 * abs(W) ** 2", lambda v: 2 * sqrt(v["a"]) * v["W"] ** 2),
        ("sqrt(a) + log(var) + exp(-mean)", lambda v: sqrt(v["a"]) + log(v["var"]) + exp(-v["mean"])),
        ("min(W, h) + max(u, rand)", lambda v: min(v["W"], v["h"]) + max(v["u"], v["rand"])),
        ("where(W >= 0.1, W, -a)", lambda v: v["W"] if v["W"] >= 0.1 else -v["a"]),
        ("W * (1 + block) * depth", lambda v: v["W"] * (1 + v["block"]) * v["depth"]),
    ],
)
def test_values_entry_by_entry(text: str, by_hand: object, values: dict[str, Tensor]) -> None:
    formula = parse(text)
    got = formula({name: values[name] for name in formula.names})
    for i, j, quantities in entries(values):
        assert float(got.expand(ROWS, COLUMNS)[i, j]) == pytest.approx(by_hand(quantities), rel=1e-5)  # type: ignore[operator]


def places(numbers: list[float]) -> list[float]:
    """Return the place of each number from 0 to 1, the mean place for equal ones."""
    ordered = sorted(numbers)
    middle = [(ordered.index(x) + len(ordered) - 1 - ordered[::-1].index(x)) / 2 for x in numbers]
    return [place / (len(numbers) - 1) for place in middle]


def test_rows_and_columns(values: dict[str, Tensor]) -> None:
    weight = torch.tensor([[1.0, -2.0, 2.0, 0.0], [3.0, 3.0, 3.0, -1.0], [0.5, 0.0, -4.0, 8.0]])
    rows, columns = weight.tolist(), weight.T.tolist()
    flat = [x for row in rows for x in row]
    expected = {
        "row_sum(W)": [[sum(row)] for row in rows],
        "row_mean(W)": [[sum(row) / 4] for row in rows],
        "row_norm(W)": [[sqrt(sum(x * x for x in row))] for row in rows],
        "row_norm(W, 3)": [[sum(abs(x) ** 3 for x in row) ** (1 / 3)] for row in rows],
        "row_norm(W, 0.5)": [[sum(sqrt(abs(x)) for x in row) ** 2] for row in rows],
        "col_sum(W)": [[sum(column) for column in columns]],
        "col_mean(W)": [[sum(column) / 3 for column in columns]],
        "col_norm(W, 1)": [[sum(map(abs, column)) for column in columns]],
        "row_rank(W)": [places(row) for row in rows],
        "col_rank(W)": torch.tensor([places(column) for column in columns]).T.tolist(),
        "rank(W)": torch.tensor(places(flat)).view(3, 4).tolist(),
        "normalize(W)": [[x / (sum(map(abs, flat)) / 12) for x in row] for row in rows],
    }
    for text, numbers in expected.items():
        got = parse(f"{text} + 0 * W")  # on its own, one value per row is refused
        torch.testing.assert_close(got({"W": weight}).expand(3, 4), torch.tensor(numbers).expand(3, 4))


def test_norms_of_zeros_and_of_extreme_numbers_are_finite() -> None:
    for scale in (0.0, 1e-30, 1e30):
        got = parse("row_norm(W, 8) + 0 * W")({"W": torch.full((1, 4), scale)})
        torch.testing.assert_close(got, torch.full((1, 4), scale * 4 ** (1 / 8)))


def test_spaces_and_parentheses_do_not_change_the_text() -> None:
    assert parse(" (abs( W ))*a ").text == parse("abs(W) * a").text == "abs(W) * a"
    assert parse("W-(a-b)").text != parse("W-a-b").text
    assert parse(parse("W-(a-b)").text).text == parse("W-(a-b)").text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_latex_with_balanced_braces(name: str) -> None:
    least, most = FUNCTIONS[name].arguments
    for count in range(least, most + 1):
        given = ["W > a" if name == "where" else "abs(W)", *(["2"] if name.endswith("norm") else ["a", "b"])]
        written = parse(f"{name}({', '.join(given[:count])}) + W").latex
        assert written.count("{") == written.count("}") and written.count(r"\left") == written.count(
            r"\right"
        )


def test_latex_keeps_the_meaning() -> None:
    w, a, b = (NAMES[name].latex for name in "Wab")
    assert parse("W - (a - b)").latex == rf"{w} - \left( {a} - {b} \right)"
    assert parse("(W + a) * b").latex == rf"\left( {w} + {a} \right) \, {b}"
    assert parse("(W * a) ** 2").latex == rf"{{\left( {w} \, {a} \right)}}^{{2}}"
    assert parse("W / (a + b)").latex == rf"\frac{{{w}}}{{{a} + {b}}}"

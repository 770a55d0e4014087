"""The formula as a score: published scores written as formulas equal their float64 oracles."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.cost.duration import duration
from engine.cost.footprint import footprint
from engine.errors import FormulaError
from engine.models.block import NOWHERE, Place
from engine.pruning.formulas.reading import parse
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need
from engine.recipe import Recipe
from tests.cost.shapes import billions
from tests.pruning import oracles
from tests.pruning.calls import assert_scores
from tests.pruning.oracles import EDGE_CASES, Layer, random_layer

PUBLISHED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "abs(W)": oracles.magnitude,
    "abs(W) * a": oracles.wanda,
    "W ** 2 / u ** 2": oracles.sparsegpt,
    "abs(W) / row_sum(abs(W)) + abs(W) / col_sum(abs(W))": oracles.ri,
    "(abs(W) / row_sum(abs(W)) + abs(W) / col_sum(abs(W))) * sqrt(a)": oracles.ria,
    "abs(W) * row_mean(abs(W) * a) * col_mean(abs(W) * a)": oracles.multiflow,
}


def planned(expression: str, **settings: object) -> Plan:
    given = {"expression": expression, **settings}
    return Plan.of(score="formula", settings={f"formula.{name}": value for name, value in given.items()})


def scored(layer: Layer, expression: str, place: Place = NOWHERE, **settings: object) -> Tensor:
    plan = planned(expression, **settings)
    statistics = oracles.collect_statistics(layer, plan.needs)
    return plan.score.function(layer.weight, statistics, **plan._score_parameters(place))


@pytest.mark.parametrize("case", ["plain", "narrow", "wider-than-a-block", "outlier-input"])
@pytest.mark.parametrize("expression", PUBLISHED)
def test_published_scores_as_formulas(expression: str, case: str) -> None:
    layer = EDGE_CASES[case]()
    assert_scores(scored(layer, expression), PUBLISHED[expression](layer.weight, layer.inputs))


RELATIVE = "abs(W) / col_sum(abs(W)) + abs(W) / row_sum(abs(W))"


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("magnitude", "abs(W)"),
        ("wanda", "abs(W) * a"),
        ("ri", RELATIVE),
        ("ria", f"({RELATIVE}) * a ** 0.5"),
        ("symwanda", "abs(W) * (a + b)"),
        ("sparsegpt", "W ** 2 / u ** 2"),
    ],
)
def test_published_scores_as_formulas_are_bit_for_bit_the_built_in_ones(name: str, expression: str) -> None:
    layer = EDGE_CASES["outlier-input"]()
    plan = Plan.of(score=name)
    expected = plan.score.function(
        layer.weight, oracles.collect_statistics(layer, plan.needs), **plan._score_parameters(NOWHERE)
    )
    assert torch.equal(scored(layer, expression), expected)


def test_the_quantities_of_the_inputs() -> None:
    layer = random_layer(4, 8)
    tokens = layer.inputs.reshape(-1, 8).double()
    matrix = oracles.hessian(layer.inputs)
    expected = {
        "mean": tokens.mean(0),
        "var": torch.stack([window.double().var(0, unbiased=False) for window in layer.inputs]).mean(0),
        "h": matrix.diagonal(),
        "b": oracles.output_norm(layer.weight, layer.inputs)[:, None],
    }
    for name, value in expected.items():
        got = scored(layer, f"{name} + 0 * W").double()
        torch.testing.assert_close(got, value.expand(4, 8), rtol=1e-4, atol=1e-5)


def test_random_numbers_follow_the_seed_and_the_linear() -> None:
    layer = random_layer(4, 8)
    first, again, other, elsewhere = (
        scored(layer, "rand", Place(path), seed=seed)
        for path, seed in (("a.b", 0), ("a.b", 0), ("a.b", 1), ("a.c", 0))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, elsewhere)
    assert float(first.min()) >= 0 and float(first.max()) < 1


def test_a_formula_may_depend_on_the_block() -> None:
    layer = random_layer(4, 8)
    for place in (Place(block=0, depth=0.0), Place(block=3, depth=0.75)):
        assert torch.equal(
            scored(layer, "W + block + depth", place), layer.weight + place.block + place.depth
        )


@pytest.mark.parametrize(
    ("expression", "needs"),
    [
        ("abs(W)", set()),
        ("abs(W) * a", {Need.INPUT_NORM}),
        ("abs(W) * h", {Need.INPUT_NORM}),  # no Hessian for its diagonal
        ("W ** 2 * var + mean", {Need.INPUT_VARIANCE, Need.INPUT_SUM}),
        ("W / u * b", {Need.HESSIAN, Need.OUTPUT_NORM}),
    ],
)
def test_only_what_the_formula_reads_is_measured(expression: str, needs: set[Need]) -> None:
    assert planned(expression).needs == needs


@pytest.mark.parametrize("expression", ["1 / a * W", "log(a) * W", "exp(exp(9 * abs(W)))"])
def test_values_that_are_not_finite_end_the_run(expression: str) -> None:
    layer = EDGE_CASES["dead-columns"]()
    layer = replace(layer, weight=20 * layer.weight)
    with pytest.raises(FormulaError, match=r"[\d,]+ of the [\d,]+ weights of blocks.3.q, first .* at row"):
        scored(layer, expression, Place("blocks.3.q"))


def test_equal_formulas_have_one_key_and_others_their_own() -> None:
    def key(expression: str) -> str:
        return Recipe.build(score="formula", settings={"formula.expression": expression}).key

    assert key("abs(W)*a") == key(" abs( W ) * (a)") != key("abs(W) * b")


def test_the_estimate_follows_the_formula() -> None:
    """Sorting takes time and memory, and only u takes the Hessian's."""
    model = billions(bandwidths={"cpu": 1e10})

    def estimated(expression: str) -> tuple[float, int]:
        settings = {"formula.expression": expression}
        recipe = Recipe.build(score="formula", settings=settings)
        seconds = duration(recipe, model, "cpu", "resident")
        return seconds, footprint(recipe, model, "cpu", "resident").parts["block"]

    wanda = Recipe.build(score="wanda")
    plain, diagonal, ranked, factored = map(
        estimated, ("abs(W) * a", "abs(W) * h", "rank(W) + rank(a * W)", "W / u")
    )
    assert plain[0] == pytest.approx(duration(wanda, model, "cpu", "resident"), rel=0.1)
    assert plain[0] < ranked[0] < factored[0] and diagonal[0] == pytest.approx(plain[0], rel=0.01)
    assert plain[1] == footprint(wanda, model, "cpu", "resident").parts["block"] < ranked[1]


def test_memory_is_bounded_by_the_order_of_computation() -> None:
    """A formula nested to the right needs no more temporaries than one nested to the left."""
    left, right = "W", "W"
    for _ in range(30):
        left, right = f"({left} + W)", f"(W + {right})"
    assert parse(left).scratch == parse(right).scratch == 8
    assert parse("abs(W) + abs(W * a)").scratch == 12


def test_a_title_never_shows_a_formula_that_the_run_does_not_have() -> None:
    recipe = Recipe.build(score="formula", settings={"formula.expression": "abs(W) * a"})
    assert recipe.title.startswith("abs(W)·a 50%")
    foreign = recipe.model_copy(update={"settings": {"formula.expression": "__import__('os')"}})
    assert foreign.title.startswith("Formula 50%")

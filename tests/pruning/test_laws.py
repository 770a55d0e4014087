"""What every product of the axes must keep: a new method inherits these tests by its registry line."""

from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
import torch

from engine.errors import RecipeError
from engine.pruning.axes import REFINEMENTS, SCORES, UPDATES, Updated
from engine.pruning.patterns import Group, parse_pattern
from engine.pruning.plan import Plan
from engine.pruning.presets import PRESETS
from engine.pruning.statistics import Need, Statistics
from engine.recipe import Recipe
from tests.pruning import oracles
from tests.pruning.combinations import pairwise, possible
from tests.pruning.oracles import ODD_LAYERS, SCORE_ORACLES, UPDATE_ORACLES, Layer

SHAPES = [("unstructured", group) for group in Group] + [
    (pattern, None) for pattern in ("2:4", "4:8", "1:4", "1:2")
]
SPARSITY = 0.6
WITH_DEAD_COLUMNS = ["dead-columns", "all-dead"]


def is_refused(score: str, update: str, refinement: str, pattern: str, group: Group | None) -> bool:
    try:
        Recipe.build(score=score, update=update, refinement=refinement, pattern=pattern, group=group)
    except RecipeError:
        return True
    return False


Shape = tuple[str, Group | None]
COMBINATIONS = pairwise(
    list(
        possible(
            (SCORES, UPDATES, REFINEMENTS, SHAPES), lambda choice: not is_refused(*choice[:3], *choice[3])
        )
    )
)
"""Score, update, refinement and shape: every pair of them that a recipe accepts, in as few rows as that takes."""
UNSTRUCTURED = [choice for choice in COMBINATIONS if parse_pattern(choice[3][0]) is None]


def label(choice: tuple[str, str, str, Shape]) -> str:
    pattern, group = choice[3]
    return "-".join([*choice[:3], group or pattern])


def each(choices: list[tuple[str, str, str, Shape]]) -> pytest.MarkDecorator:
    """Run a test on the plan and the shape of every choice."""
    return pytest.mark.parametrize(
        ("plan", "shape"),
        [(choice, choice[3]) for choice in choices],
        ids=map(label, choices),
        indirect=["plan"],
    )


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    score, update, refinement, (pattern, group) = request.param
    return Plan.of(score=score, update=update, refinement=refinement, pattern=pattern, group=group)


COMMON = "common"


@cache
def odd_layer(odd: str) -> Layer:
    return oracles.random_layer(6, 136) if odd == COMMON else ODD_LAYERS[odd]()


@cache
def odd_statistics(odd: str, needs: frozenset[Need]) -> Statistics:
    return oracles.observed(odd_layer(odd), needs)


def odd_layers(pattern: str) -> Iterator[tuple[str, Layer]]:
    n_of_m = parse_pattern(pattern)
    for odd in ODD_LAYERS:
        if n_of_m is None or odd_layer(odd).width % n_of_m[1] == 0:
            yield odd, odd_layer(odd)


def pruned(plan: Plan, layer: Layer, sparsity: float) -> Updated:
    return plan.prune(layer.weight, oracles.observed(layer, plan.needs), sparsity)


def pruned_odd(plan: Plan, odd: str, sparsity: float) -> Updated:
    return plan.prune(odd_layer(odd).weight, odd_statistics(odd, plan.needs), sparsity)


def target(pattern: str) -> float:
    n_of_m = parse_pattern(pattern)
    return SPARSITY if n_of_m is None else 1 - n_of_m[0] / n_of_m[1]


def assert_lawful(plan: Plan, layer: Layer, updated: Updated, odd: str) -> None:
    assert updated.keep.shape == updated.weight.shape == layer.weight.shape, odd
    assert updated.keep.dtype == torch.bool and updated.weight.dtype == torch.float32, odd
    assert updated.weight.isfinite().all(), odd
    assert not updated.weight[~updated.keep].any(), f"{odd}: a removed weight is not 0"
    if not plan.update.touches:
        assert torch.equal(updated.weight[updated.keep], layer.weight[updated.keep]), (
            f"{odd}: a weight that stays has changed"
        )


@each(COMBINATIONS)
def test_every_layer_however_odd(plan: Plan, shape: Shape) -> None:
    pattern, group = shape
    for odd, layer in odd_layers(pattern):
        updated = pruned_odd(plan, odd, target(pattern))
        assert_lawful(plan, layer, updated, odd)
        if plan.refinement.name == "none":
            for lost, entries in oracles.lost(updated.keep, pattern, group):
                assert lost == oracles.removed_of(entries, pattern, SPARSITY), odd


@each(UNSTRUCTURED)
@pytest.mark.parametrize("sparsity", [0.0, 0.29, 0.99])
def test_extreme_sparsities(plan: Plan, shape: Shape, sparsity: float) -> None:
    pattern, group = shape
    for odd in ("wider-than-a-block", "one-row", "dead-columns"):
        updated = pruned_odd(plan, odd, sparsity)
        assert_lawful(plan, odd_layer(odd), updated, odd)
        lost = oracles.lost(updated.keep, pattern, group)
        if plan.refinement.name == "none":
            assert lost == [(oracles.floor_share(entries, sparsity), entries) for _, entries in lost], odd
        assert sum(removed for removed, _ in lost) == sum(
            oracles.floor_share(entries, sparsity) for _, entries in lost
        ), odd


@each(UNSTRUCTURED)
def test_sparsity_zero_changes_nothing(plan: Plan, shape: Shape) -> None:
    """So that a run at sparsity 0 has exactly the dense perplexity."""
    for odd, layer in odd_layers("unstructured"):
        if odd not in WITH_DEAD_COLUMNS:
            updated = pruned_odd(plan, odd, 0.0)
            assert updated.keep.all(), odd
            assert torch.equal(updated.weight, layer.weight), odd


@pytest.mark.parametrize("odd", WITH_DEAD_COLUMNS)
@pytest.mark.parametrize("update", UPDATES)
def test_sparsity_zero_changes_nothing_where_columns_are_dead(update: str, odd: str) -> None:
    """The calibration text never activates these columns, but the evaluation text may."""
    updated = pruned_odd(Plan.of(score="magnitude", update=update), odd, 0.0)
    assert torch.equal(updated.weight, odd_layer(odd).weight)


@each(COMBINATIONS)
def test_the_same_twice_is_the_same(plan: Plan, shape: Shape) -> None:
    first, second = (pruned(plan, odd_layer(COMMON), target(shape[0])) for _ in range(2))
    assert torch.equal(first.keep, second.keep) and torch.equal(first.weight, second.weight)


@each(COMBINATIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_nothing_that_is_handed_over_is_changed(plan: Plan, shape: Shape, transposed: bool) -> None:
    layer = odd_layer(COMMON)
    weight, seen = layer.weight.clone(), oracles.observed(layer, plan.needs)
    weight = weight.T.contiguous().T if transposed else weight
    first = plan.prune(weight, seen, target(shape[0]))
    assert torch.equal(weight, layer.weight), "the weight was changed"
    again = plan.prune(weight, seen, target(shape[0]))
    assert torch.equal(again.weight, first.weight), "the statistics were changed"


@each(COMBINATIONS)
def test_a_transposed_weight_is_the_same_weight(plan: Plan, shape: Shape) -> None:
    """A Conv1D's weight is a view with the strides of the other order."""
    weight, seen = odd_layer(COMMON).weight, odd_statistics(COMMON, plan.needs)
    view = weight.T.contiguous().T
    straight, turned = (plan.prune(given.clone(), seen, target(shape[0])) for given in (weight, view))
    assert torch.equal(straight.keep, turned.keep)
    torch.testing.assert_close(straight.weight, turned.weight)


@each(COMBINATIONS)
def test_a_bfloat16_weight_is_worked_on_in_float32(plan: Plan, shape: Shape) -> None:
    half, seen = odd_layer(COMMON).weight.bfloat16(), odd_statistics(COMMON, plan.needs)
    low, high = (plan.prune(weight, seen, target(shape[0])) for weight in (half, half.float()))
    assert low.weight.dtype == torch.float32
    assert torch.equal(low.keep, high.keep) and torch.equal(low.weight, high.weight)


@each(COMBINATIONS)
def test_the_batches_of_the_calibration_hardly_matter(plan: Plan, shape: Shape) -> None:
    layer = oracles.random_layer(6, 48, windows=6)
    one, all_at_once = (
        plan.prune(layer.weight, oracles.observed(layer, plan.needs, batch), target(shape[0]))
        for batch in (1, 6)
    )
    assert torch.equal(one.keep, all_at_once.keep)
    torch.testing.assert_close(one.weight, all_at_once.weight, rtol=1e-3, atol=1e-4)


# ---- the axes one by one
# --------------------------------------------------------------------------------------------


def test_every_update_has_an_oracle() -> None:
    assert set(UPDATE_ORACLES) == set(UPDATES), (
        "write a float64 oracle in tests/pruning/oracles.py for each update"
    )


FROZEN = [
    (score, update, *shape)
    for score, update, shape in pairwise(
        list(
            possible(
                ([name for name in SCORE_ORACLES if not SCORES[name].running], UPDATES, SHAPES),
                lambda choice: not is_refused(choice[0], choice[1], "none", *choice[2]),
            )
        )
    )
]


@pytest.mark.parametrize(("score", "update", "pattern", "group"), FROZEN)
def test_a_frozen_product_is_what_the_oracles_give_together(
    score: str, update: str, pattern: str, group: Group | None
) -> None:
    layer = oracles.random_layer(5, 136)
    updated = pruned(
        Plan.of(score=score, update=update, pattern=pattern, group=group), layer, target(pattern)
    )
    mask = oracles.keep(SCORE_ORACLES[score](layer.weight, layer.inputs), pattern, group, target(pattern))
    expected = UPDATE_ORACLES[update](layer.weight, layer.inputs, mask)
    assert torch.equal(updated.keep, mask)
    torch.testing.assert_close(
        updated.weight.double(), expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max())
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[1] or shape[0])
@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_a_refinement_keeps_as_many_in_each_row(refinement: str, shape: Shape) -> None:
    pattern, group = shape
    for score, (odd, _) in product(SCORES, odd_layers(pattern)):
        if is_refused(score, "none", refinement, pattern, group):
            continue
        before = pruned_odd(Plan.of(score=score, pattern=pattern, group=group), odd, target(pattern)).keep
        after = pruned_odd(
            Plan.of(score=score, refinement=refinement, pattern=pattern, group=group), odd, target(pattern)
        ).keep
        assert torch.equal(before.sum(1), after.sum(1)), (score, odd)
        if parse_pattern(pattern) is not None:
            assert oracles.lost(before, pattern, group) == oracles.lost(after, pattern, group), (score, odd)


def test_no_refinement_is_none() -> None:
    layer = oracles.random_layer(5, 40)
    mask = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)) > 0.5
    for group in (None, 4):
        refined = REFINEMENTS["none"].function(mask, layer.weight, oracles.observed(layer), group=group)
        assert torch.equal(refined.keep, mask) and refined.swaps == 0


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_prunes(name: str) -> None:
    """In the pattern and group that the recipe fills in."""
    recipe = Recipe.build(pruner=name)
    fields = ("score", "update", "refinement", "allocation", "pattern", "group", "settings")
    plan = Plan.of(**{field: getattr(recipe, field) for field in fields})
    layer = oracles.random_layer(5, 136)
    updated = pruned(plan, layer, 0.5)
    assert_lawful(plan, layer, updated, name)
    assert int((~updated.keep).sum()) == sum(
        entries // 2 for _, entries in oracles.lost(updated.keep, recipe.pattern, recipe.group)
    )


def test_the_default_groups_are_the_published_ones() -> None:
    assert {name: SCORES[name].default_group.value for name in ("magnitude", "wanda", "sparsegpt")} == {
        "magnitude": "layer",
        "wanda": "row",
        "sparsegpt": "block",
    }

"""Properties that every combination of methods must have; a new method is tested once it is registered."""

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
from tests.pruning.oracles import EDGE_CASES, SCORE_ORACLES, UPDATE_ORACLES, Layer

SHAPES = [("unstructured", group) for group in Group] + [
    (pattern, None) for pattern in ("2:4", "4:8", "1:4", "1:2")
]
SPARSITY = 0.6
WITH_DEAD_COLUMNS = ["dead-columns", "all-dead"]


def is_rejected(score: str, update: str, refinement: str, pattern: str, group: Group | None) -> bool:
    try:
        Recipe.build(score=score, update=update, refinement=refinement, pattern=pattern, group=group)
    except RecipeError:
        return True
    return False


Shape = tuple[str, Group | None]
COMBINATIONS = pairwise(
    list(
        possible(
            (SCORES, UPDATES, REFINEMENTS, SHAPES), lambda choice: not is_rejected(*choice[:3], *choice[3])
        )
    )
)
"""Score, update, refinement and shape: a few choices that cover every pair that a recipe accepts."""
UNSTRUCTURED = [choice for choice in COMBINATIONS if parse_pattern(choice[3][0]) is None]


def label(choice: tuple[str, str, str, Shape]) -> str:
    pattern, group = choice[3]
    return "-".join([*choice[:3], group or pattern])


def for_each(choices: list[tuple[str, str, str, Shape]]) -> pytest.MarkDecorator:
    """Parametrize a test with the plan and the shape of every choice."""
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
def edge_case(case: str) -> Layer:
    return oracles.random_layer(6, 136) if case == COMMON else EDGE_CASES[case]()


@cache
def edge_case_statistics(case: str, needs: frozenset[Need]) -> Statistics:
    return oracles.collect_statistics(edge_case(case), needs)


def fitting_edge_cases(pattern: str) -> Iterator[tuple[str, Layer]]:
    n_of_m = parse_pattern(pattern)
    for case in EDGE_CASES:
        if n_of_m is None or edge_case(case).width % n_of_m[1] == 0:
            yield case, edge_case(case)


def prune(plan: Plan, layer: Layer, sparsity: float) -> Updated:
    return plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), sparsity)


def prune_edge_case(plan: Plan, case: str, sparsity: float) -> Updated:
    return plan.prune(edge_case(case).weight, edge_case_statistics(case, plan.needs), sparsity)


def target(pattern: str) -> float:
    n_of_m = parse_pattern(pattern)
    return SPARSITY if n_of_m is None else 1 - n_of_m[0] / n_of_m[1]


def assert_valid(plan: Plan, layer: Layer, updated: Updated, case: str) -> None:
    assert updated.keep.shape == updated.weight.shape == layer.weight.shape, case
    assert updated.keep.dtype == torch.bool and updated.weight.dtype == torch.float32, case
    assert updated.weight.isfinite().all(), case
    assert not updated.weight[~updated.keep].any(), f"{case}: a removed weight is not 0"
    if not plan.update.touches:
        assert torch.equal(updated.weight[updated.keep], layer.weight[updated.keep]), (
            f"{case}: a kept weight has changed"
        )


@for_each(COMBINATIONS)
def test_every_edge_case_is_pruned_correctly(plan: Plan, shape: Shape) -> None:
    pattern, group = shape
    for case, layer in fitting_edge_cases(pattern):
        updated = prune_edge_case(plan, case, target(pattern))
        assert_valid(plan, layer, updated, case)
        if plan.refinement.name == "none":
            for removed, entries in oracles.removed_per_group(updated.keep, pattern, group):
                assert removed == oracles.removed_count(entries, pattern, SPARSITY), case


@for_each(UNSTRUCTURED)
@pytest.mark.parametrize("sparsity", [0.0, 0.29, 0.99])
def test_extreme_sparsities(plan: Plan, shape: Shape, sparsity: float) -> None:
    pattern, group = shape
    for case in ("wider-than-a-block", "one-row", "dead-columns"):
        updated = prune_edge_case(plan, case, sparsity)
        assert_valid(plan, edge_case(case), updated, case)
        removed = oracles.removed_per_group(updated.keep, pattern, group)
        if plan.refinement.name == "none":
            assert removed == [(oracles.floor_share(entries, sparsity), entries) for _, entries in removed], (
                case
            )
        assert sum(count for count, _ in removed) == sum(
            oracles.floor_share(entries, sparsity) for _, entries in removed
        ), case


@for_each(UNSTRUCTURED)
def test_sparsity_zero_changes_nothing(plan: Plan, shape: Shape) -> None:
    """A run at sparsity 0 must have exactly the dense perplexity."""
    for case, layer in fitting_edge_cases("unstructured"):
        if case not in WITH_DEAD_COLUMNS:
            updated = prune_edge_case(plan, case, 0.0)
            assert updated.keep.all(), case
            assert torch.equal(updated.weight, layer.weight), case


@pytest.mark.parametrize("case", WITH_DEAD_COLUMNS)
@pytest.mark.parametrize("update", UPDATES)
def test_sparsity_zero_changes_nothing_in_dead_columns(update: str, case: str) -> None:
    """The calibration text never activates these columns, but the evaluation text may."""
    updated = prune_edge_case(Plan.of(score="magnitude", update=update), case, 0.0)
    assert torch.equal(updated.weight, edge_case(case).weight)


@for_each(COMBINATIONS)
def test_pruning_is_deterministic(plan: Plan, shape: Shape) -> None:
    first, second = (prune(plan, edge_case(COMMON), target(shape[0])) for _ in range(2))
    assert torch.equal(first.keep, second.keep) and torch.equal(first.weight, second.weight)


@for_each(COMBINATIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_the_inputs_are_not_modified(plan: Plan, shape: Shape, transposed: bool) -> None:
    layer = edge_case(COMMON)
    weight, statistics = layer.weight.clone(), oracles.collect_statistics(layer, plan.needs)
    weight = weight.T.contiguous().T if transposed else weight
    first = plan.prune(weight, statistics, target(shape[0]))
    assert torch.equal(weight, layer.weight), "the weight was changed"
    again = plan.prune(weight, statistics, target(shape[0]))
    assert torch.equal(again.weight, first.weight), "the statistics were changed"


@for_each(COMBINATIONS)
def test_a_transposed_view_gives_the_same_result(plan: Plan, shape: Shape) -> None:
    """A Conv1D's weight is a transposed view with column-major strides."""
    weight, statistics = edge_case(COMMON).weight, edge_case_statistics(COMMON, plan.needs)
    view = weight.T.contiguous().T
    contiguous, transposed = (
        plan.prune(matrix.clone(), statistics, target(shape[0])) for matrix in (weight, view)
    )
    assert torch.equal(contiguous.keep, transposed.keep)
    torch.testing.assert_close(contiguous.weight, transposed.weight)


@for_each(COMBINATIONS)
def test_a_bfloat16_weight_is_pruned_in_float32(plan: Plan, shape: Shape) -> None:
    half, statistics = edge_case(COMMON).weight.bfloat16(), edge_case_statistics(COMMON, plan.needs)
    from_half, from_float = (
        plan.prune(weight, statistics, target(shape[0])) for weight in (half, half.float())
    )
    assert from_half.weight.dtype == torch.float32
    assert torch.equal(from_half.keep, from_float.keep)
    assert torch.equal(from_half.weight, from_float.weight)


@for_each(COMBINATIONS)
def test_the_calibration_batch_size_hardly_matters(plan: Plan, shape: Shape) -> None:
    layer = oracles.random_layer(6, 48, windows=6)
    single, full_batch = (
        plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs, batch), target(shape[0]))
        for batch in (1, 6)
    )
    assert torch.equal(single.keep, full_batch.keep)
    torch.testing.assert_close(single.weight, full_batch.weight, rtol=1e-3, atol=1e-4)


# ---- single axes


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
                lambda choice: not is_rejected(choice[0], choice[1], "none", *choice[2]),
            )
        )
    )
]


FROZEN_MASKS = {"admm.steps": 1, "alps.iterations": 0, "thanos.mask": "dense"}


@pytest.mark.parametrize(("score", "update", "pattern", "group"), FROZEN)
def test_a_frozen_mask_and_update_match_the_oracles(
    score: str, update: str, pattern: str, group: Group | None
) -> None:
    layer = oracles.random_layer(5, 136)
    plan = Plan.of(score=score, update=update, pattern=pattern, group=group, settings=FROZEN_MASKS)
    updated = prune(plan, layer, target(pattern))
    mask = oracles.keep_mask(
        SCORE_ORACLES[score](layer.weight, layer.inputs), pattern, group, target(pattern)
    )
    expected = UPDATE_ORACLES[update](layer.weight, layer.inputs, mask)
    assert torch.equal(updated.keep, mask)
    torch.testing.assert_close(
        updated.weight.double(), expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max())
    )


def scores_with(refinement: str, shape: Shape) -> list[str]:
    """Return the scores that a recipe accepts with a refinement."""
    return [score for score in SCORES if not is_rejected(score, "none", refinement, *shape)]


@pytest.mark.parametrize(
    ("refinement", "shape"),
    [choice for choice in product(REFINEMENTS, SHAPES) if scores_with(*choice)],
    ids=str,
)
def test_a_refinement_preserves_the_count_per_row(refinement: str, shape: Shape) -> None:
    pattern, group = shape
    scores = scores_with(refinement, shape)
    # Each case with one score, a different one for each shape.
    for number, (case, _) in enumerate(fitting_edge_cases(pattern), start=SHAPES.index(shape)):
        score = scores[number % len(scores)]
        before = prune_edge_case(
            Plan.of(score=score, pattern=pattern, group=group), case, target(pattern)
        ).keep
        after = prune_edge_case(
            Plan.of(score=score, refinement=refinement, pattern=pattern, group=group), case, target(pattern)
        ).keep
        assert torch.equal(before.sum(1), after.sum(1)), (score, case)
        if parse_pattern(pattern) is not None:
            assert oracles.removed_per_group(before, pattern, group) == oracles.removed_per_group(
                after, pattern, group
            ), (score, case)


def test_the_refinement_none_changes_nothing() -> None:
    layer = oracles.random_layer(5, 40)
    mask = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)) > 0.5
    for group in (None, 4):
        refined = REFINEMENTS["none"].function(
            mask, layer.weight, oracles.collect_statistics(layer), group=group
        )
        assert torch.equal(refined.keep, mask) and refined.swaps == 0


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_prunes(name: str) -> None:
    """Use the pattern and group that the recipe fills in."""
    recipe = Recipe.build(pruner=name)
    fields = ("score", "update", "refinement", "allocation", "pattern", "group", "settings")
    plan = Plan.of(**{field: getattr(recipe, field) for field in fields})
    layer = oracles.random_layer(5, 136)
    updated = prune(plan, layer, 0.5)
    assert_valid(plan, layer, updated, name)
    assert int((~updated.keep).sum()) == sum(
        entries // 2 for _, entries in oracles.removed_per_group(updated.keep, recipe.pattern, recipe.group)
    )


def test_the_default_groups_are_as_published() -> None:
    assert {name: SCORES[name].default_group.value for name in ("magnitude", "wanda", "sparsegpt")} == {
        "magnitude": "layer",
        "wanda": "row",
        "sparsegpt": "block",
    }

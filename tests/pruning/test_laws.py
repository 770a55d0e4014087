"""The laws of `engine.laws` for combinations of all methods; a new one is tested once it is registered."""

from itertools import product

import pytest
import torch

from engine.errors import RecipeError
from engine.laws import laws
from engine.laws.laws import WITH_DEAD_COLUMNS, Shape, prune, prune_edge_case, require_valid, target
from engine.laws.layers import edge_case, fitting_edge_cases
from engine.pruning.axes import REFINEMENTS, SCORES, UPDATES
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from tests.pruning import oracles
from tests.pruning.calls import FEW_STEPS
from tests.pruning.combinations import pairwise, possible
from tests.pruning.oracles import SCORE_ORACLES, UPDATE_ORACLES

SHAPES = [("unstructured", group) for group in Group] + [
    (pattern, None) for pattern in ("2:4", "4:8", "1:4", "1:2")
]


def is_rejected(score: str, update: str, refinement: str, pattern: str, group: Group | None) -> bool:
    try:
        Recipe.build(score=score, update=update, refinement=refinement, pattern=pattern, group=group)
    except RecipeError:
        return True
    return False


COMBINATIONS = pairwise(
    list(
        possible(
            (SCORES, UPDATES, REFINEMENTS, SHAPES), lambda choice: not is_rejected(*choice[:3], *choice[3])
        )
    )
)
"""Score, update, refinement and shape: a few choices that cover every pair that a recipe accepts."""


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
    chosen = {"score": score, "update": update, "refinement": refinement, "pattern": pattern, "group": group}
    return Plan.of(**chosen, settings=FEW_STEPS)


LAWS_OF_EVERY_PLAN = [
    law
    for law in laws.LAWS.values()
    if law not in (laws.a_refinement_preserves_the_counts, laws.declared_invariances_hold)
]


@for_each(COMBINATIONS)
def test_every_plan_keeps_all_laws(plan: Plan, shape: Shape) -> None:
    for law in LAWS_OF_EVERY_PLAN:
        law(plan, shape)


@pytest.mark.parametrize("shape", [("unstructured", Group.ROW), ("unstructured", Group.LAYER), ("2:4", None)])
@pytest.mark.parametrize("score", [name for name, score in SCORES.items() if score.invariances])
def test_a_score_has_the_invariances_that_it_declares(score: str, shape: Shape) -> None:
    laws.declared_invariances_hold(Plan.of(score=score, pattern=shape[0], group=shape[1]), shape)


@pytest.mark.parametrize("case", WITH_DEAD_COLUMNS)
@pytest.mark.parametrize("update", UPDATES)
def test_sparsity_zero_changes_nothing_in_dead_columns(update: str, case: str) -> None:
    """The calibration text never activates these columns, but the evaluation text may."""
    updated = prune_edge_case(Plan.of(score="magnitude", update=update), case, 0.0)
    assert torch.equal(updated.weight, edge_case(case).weight)


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
    scores = scores_with(refinement, shape)
    # Each case with one score, a different one for each shape.
    for number, (case, _) in enumerate(fitting_edge_cases(shape[0]), start=SHAPES.index(shape)):
        score = scores[number % len(scores)]
        plan = Plan.of(score=score, refinement=refinement, pattern=shape[0], group=shape[1])
        laws.require_same_counts(plan, shape, case)


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
    require_valid(plan, layer, updated, name)
    assert int((~updated.keep).sum()) == sum(
        entries // 2 for _, entries in oracles.removed_per_group(updated.keep, recipe.pattern, recipe.group)
    )


def test_the_default_groups_are_as_published() -> None:
    assert {name: SCORES[name].default_group.value for name in ("magnitude", "wanda", "sparsegpt")} == {
        "magnitude": "layer",
        "wanda": "row",
        "sparsegpt": "block",
    }

"""ADMM against its float64 oracle, its fixed point, and the masks that it chooses on the way."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.analysis.microscope.decision import decide
from engine.errors import NonFiniteError, NumericsError
from engine.pruning.axes import UPDATES, FrozenMask
from engine.pruning.patterns import Group, SemiStructured
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics
from engine.pruning.updates.admm import share
from tests.pruning import oracles
from tests.pruning.calls import arguments, assert_close, prune_layer, random_mask, undamped, update_weights
from tests.pruning.oracles import EDGE_CASES, Layer

ADMM = UPDATES["admm"]
prune = partial(prune_layer, update="admm")


@pytest.mark.parametrize("case", EDGE_CASES)
def test_a_fixed_mask_matches_the_oracle(case: str) -> None:
    layer = EDGE_CASES[case]()
    for share_removed in (0.1, 0.5, 0.9):
        mask = random_mask(layer, share_removed)
        got = update_weights("admm", layer, mask)
        assert not got[~mask].any() and got.isfinite().all()
        assert_close(got, oracles.admm(layer.weight, layer.inputs, mask))


def test_parameters_match_the_oracle() -> None:
    layer = oracles.random_layer(6, 40)
    mask = random_mask(layer, 0.5)
    for chosen in ({"iterations": 1}, {"penalty": 0.1}, {"penalty": 20.0}, {"damping": 0.0}):
        got = update_weights("admm", layer, mask, **chosen)
        assert_close(got, oracles.admm(layer.weight, layer.inputs, mask, **chosen))


@pytest.mark.parametrize("case", ["plain", "odd-width", "dead-columns", "duplicate-columns", "one-token"])
def test_converged_weights_are_the_joint_updates_for_the_same_damping(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask, scale = random_mask(layer, 0.5), oracles.input_scale(layer.inputs)
    damped = torch.diag(scale) @ oracles.scaled_hessian(layer.inputs, 0.1) @ torch.diag(scale)
    got = update_weights("admm", layer, mask, iterations=400)
    assert_close(got, oracles.optimal(layer.weight, damped, mask), 1e-4)


def test_converged_weights_without_damping_are_the_least_squares_fit() -> None:
    layer = oracles.random_layer(6, 24)
    precise = Layer(layer.weight.double(), layer.inputs)
    mask = random_mask(layer, 0.5)
    got = update_weights("admm", precise, mask, undamped(layer), iterations=1000, damping=0.0)
    torch.testing.assert_close(
        got, oracles.least_squares(layer.weight, layer.inputs, mask), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("case", [case for case in EDGE_CASES if "dead" not in case])
def test_the_error_is_not_above_that_of_the_mask_alone(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask, tokens = random_mask(layer, 0.5), layer.inputs.flatten(0, 1).double()
    alone, updated = (
        ((weight.double() - layer.weight.double()) @ tokens.T).norm()
        for weight in (layer.weight * mask, update_weights("admm", layer, mask))
    )
    assert updated <= alone * 1.001


SHAPES = [("unstructured", group) for group in Group] + [("2:4", None), ("1:4", None)]


def chosen_by_the_paper(
    layer: Layer, pattern: str, group: str | None, sparsity: float, schedule: str
) -> tuple[Tensor, Tensor]:
    """Return the weights and the mask, chosen in the first 15 iterations by `|W + U| a`."""
    masks: list[Tensor] = []

    def choose(iteration: int, current: Tensor) -> Tensor | None:
        if iteration >= 15:
            return None
        part = 1.0 if schedule == "full" else 1 - (1 - (iteration + 1) / 15) ** 3
        scores = oracles.wanda(current, layer.inputs)
        if pattern == "unstructured":
            masks.append(oracles.keep_mask(scores, pattern, group, sparsity * part))
        else:
            final = oracles.keep_mask(scores, pattern, group, sparsity)
            scores[final] = torch.inf
            masks.append(oracles.keep_mask(scores, "unstructured", "layer", sparsity * part))
        return masks[-1]

    return oracles.admm(layer.weight, layer.inputs, choose=choose), masks[-1]


@pytest.mark.parametrize("schedule", ["cubic", "full"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[1] or shape[0])
def test_a_mask_chosen_on_the_way_matches_the_oracle(shape: tuple[str, Group | None], schedule: str) -> None:
    pattern, group = shape
    layer = oracles.random_layer(5, 136)
    sparsity = 0.6 if group else {"2:4": 0.5, "1:4": 0.75}[pattern]
    outcome = prune(layer, sparsity, pattern=pattern, group=group, settings={"admm.schedule": schedule})
    weight, mask = chosen_by_the_paper(layer, pattern, group, sparsity, schedule)
    assert torch.equal(outcome.keep, mask)
    assert_close(outcome.weight, weight)
    frozen = prune(layer, sparsity, pattern=pattern, group=group, settings={"admm.steps": 1})
    assert not torch.equal(outcome.keep, frozen.keep)


def test_a_mask_chosen_on_the_way_has_a_smaller_error_than_the_optimal_weights_of_wandas() -> None:
    layer = oracles.random_layer(24, 136)
    tokens = layer.inputs.flatten(0, 1)
    for pattern in ("unstructured", "2:4"):
        errors = [
            ((prune(layer, 0.5, pattern=pattern, update=update).weight - layer.weight) @ tokens.T).norm()
            for update in ("admm", "mrp")
        ]
        assert errors[0] < errors[1]


def test_one_step_chooses_the_mask_on_the_dense_weights() -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="wanda", update="admm", settings={"admm.steps": 1})
    assert not plan.decides_while_updating
    outcome = prune(layer, settings={"admm.steps": 1})
    assert torch.equal(outcome.keep, prune(layer, update="none").keep)
    assert torch.equal(outcome.weight, update_weights("admm", layer, outcome.keep))


@pytest.mark.parametrize(
    "choices",
    [
        {"refinement": "dsnot", "group": Group.ROW},
        {"score": "joint", "pattern": "2:4"},
        {"pattern": "2:4", "permutation": "zigzag"},
    ],
    ids=["refined", "joint", "permuted"],
)
def test_masks_that_cannot_be_chosen_on_the_way_are_chosen_before(choices: dict[str, Any]) -> None:
    layer = oracles.random_layer(6, 48)
    outcome = prune(layer, 0.5, **choices)
    assert torch.equal(outcome.keep, prune(layer, 0.5, **choices, update="none").keep)
    assert torch.equal(outcome.weight, update_weights("admm", layer, outcome.keep))


def test_rows_keep_their_own_sparsities() -> None:
    layer = oracles.random_layer(4, 40)
    rows = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64)
    plan = Plan.of(score="wanda", group=Group.ROW, update="admm")
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), rows)
    assert (~outcome.keep).sum(1).tolist() == [0, 10, 20, 36]
    assert torch.equal(outcome.weight[0], layer.weight[0]), "a row without removed weights has changed"


def test_the_schedule_is_the_papers() -> None:
    assert [round(share(step, 15, "cubic"), 4) for step in (1, 5, 15)] == [0.187, 0.7037, 1.0]
    assert share(1, 15, "full") == share(1, 1, "cubic") == 1.0


def test_fewer_iterations_than_steps_end_with_the_full_sparsity() -> None:
    outcome = prune(oracles.random_layer(5, 40), 0.5, settings={"admm.iterations": 3})
    assert int((~outcome.keep).sum()) == 100


def test_an_inspected_decision_shows_the_scores_that_decided() -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="wanda", pattern="2:4", update="admm")
    statistics = oracles.collect_statistics(layer, plan.needs)
    decision = decide(plan, layer.weight, statistics, 0.5)
    assert torch.equal(decision.keep, prune(layer, 0.5, pattern="2:4").keep)
    assert torch.equal(SemiStructured(2, 4).keep(decision.scores, 0.5), decision.keep)
    assert not torch.equal(decision.scores, plan.score.function(layer.weight, statistics))


def test_unusable_hessians_are_named() -> None:
    layer = oracles.random_layer(2, 8)
    mask = random_mask(layer, 0.5)
    for value, error, words in (
        (torch.nan, NonFiniteError, "8 inputs is not finite"),
        (-1e9, NumericsError, "not positive definite"),
    ):
        statistics = oracles.collect_statistics(layer)
        assert isinstance(statistics, Statistics) and statistics._gram is not None
        statistics._gram[0, 3] = value
        with pytest.raises(error, match=words):
            ADMM.function(layer.weight, statistics, FrozenMask(mask), **arguments(ADMM))

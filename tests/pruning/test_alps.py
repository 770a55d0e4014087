"""ALPS against its float64 oracle, its fixed point, and the masks that it settles on."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.analysis.microscope.decision import decide
from engine.laws import laws
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from tests.pruning import oracles
from tests.pruning.calls import assert_close, prune_layer, random_mask, update_weights
from tests.pruning.oracles import EDGE_CASES, Layer

prune = partial(prune_layer, update="alps")


SENSITIVE = {"outlier-input", "one-token"}
"""In these ill-conditioned layers ten steps of conjugate gradients depend on the rounding."""


@pytest.mark.parametrize("case", [case for case in EDGE_CASES if case not in SENSITIVE])
def test_a_fixed_mask_matches_the_oracle(case: str) -> None:
    layer = EDGE_CASES[case]()
    for share in (0.1, 0.5, 0.9):
        mask = random_mask(layer, share)
        got = update_weights("alps", layer, mask)
        assert not got[~mask].any() and got.isfinite().all()
        assert_close(got, oracles.alps(layer.weight, layer.inputs, mask))


@pytest.mark.parametrize("case", ["plain", "odd-width", "dead-columns", "zero-rows"])
def test_enough_conjugate_gradients_give_the_joint_update(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = random_mask(layer, 0.5)
    got = update_weights("alps", layer, mask, polish=100)
    assert_close(got, oracles.mrp(layer.weight, layer.inputs, mask), 1e-3)


@pytest.mark.parametrize("case", [case for case in EDGE_CASES if case != "outlier-input"])
def test_no_step_of_conjugate_gradients_raises_the_error(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask, matrix = random_mask(layer, 0.5), oracles.damped(oracles.hessian(layer.inputs))
    errors = []
    for polish in (0, 1, 2, 5, 20):
        change = update_weights("alps", layer, mask, polish=polish).double() - layer.weight.double()
        errors.append(float(((change @ matrix) * change).sum()))
    for before, after in pairwise(errors):
        assert after <= before * 1.0001 + 1e-12


SHAPES = [("unstructured", group) for group in Group] + [("2:4", None), ("1:4", None)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[1] or shape[0])
def test_the_mask_it_settles_on_matches_the_oracle(shape: tuple[str, Group | None]) -> None:
    pattern, group = shape
    layer = oracles.random_layer(5, 40)
    sparsity = 0.6 if group else {"2:4": 0.5, "1:4": 0.75}[pattern]
    outcome = prune(layer, sparsity, pattern=pattern, group=group)

    def choose(current: Tensor) -> Tensor:
        return oracles.keep_mask(oracles.wanda(current, layer.inputs), pattern, group, sparsity)

    expected = oracles.alps(layer.weight, layer.inputs, choose=choose)
    assert torch.equal(outcome.keep, expected != 0)
    assert_close(outcome.weight, expected)


def test_it_settles_on_every_edge_case() -> None:
    """Other tests of its masks stop it early."""
    plan = Plan.of(score="wanda", update="alps", pattern="unstructured", group=Group.LAYER)
    laws.every_edge_case_is_pruned_correctly(plan, ("unstructured", Group.LAYER))


def test_it_beats_admm_and_the_optimal_weights_of_wandas_mask() -> None:
    layer = oracles.random_layer(24, 136)
    tokens = layer.inputs.flatten(0, 1)
    for pattern in ("unstructured", "2:4"):
        alps, admm, mrp = (
            ((prune(layer, 0.5, pattern=pattern, update=update).weight - layer.weight) @ tokens.T).norm()
            for update in ("alps", "admm", "mrp")
        )
        assert alps < admm < mrp


def test_a_penalty_is_not_lowered_for_ever() -> None:
    """With uncorrelated inputs no weight can compensate, so the mask hardly moves at first."""
    layer = Layer(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), torch.eye(8)[None])
    outcome = prune(layer, 0.5)
    assert int(outcome.keep.sum()) == 16
    assert_close(outcome.weight, layer.weight * outcome.keep, 1e-5)


@pytest.mark.parametrize(
    "choices",
    [
        {"refinement": "dsnot", "group": Group.ROW},
        {"score": "joint", "pattern": "2:4"},
        {"pattern": "2:4", "permutation": "zigzag"},
    ],
    ids=["refined", "joint", "permuted"],
)
def test_other_masks_are_decided_on_the_dense_weights(choices: dict[str, Any]) -> None:
    layer = oracles.random_layer(6, 48)
    outcome = prune(layer, 0.5, **choices)
    assert torch.equal(outcome.keep, prune(layer, 0.5, **choices, update="none").keep)
    assert torch.equal(outcome.weight, update_weights("alps", layer, outcome.keep))


def test_rows_keep_their_own_sparsities() -> None:
    layer = oracles.random_layer(4, 40)
    rows = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64)
    plan = Plan.of(score="wanda", group=Group.ROW, update="alps")
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), rows)
    assert (~outcome.keep).sum(1).tolist() == [0, 10, 20, 36]
    assert torch.equal(outcome.weight[0], layer.weight[0]), "a row without removed weights has changed"


def test_an_inspected_decision_shows_the_scores_that_decided() -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="wanda", pattern="2:4", update="alps")
    decision = decide(plan, layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5)
    assert torch.equal(decision.keep, prune(layer, 0.5, pattern="2:4").keep)
    assert torch.equal(plan.pattern.keep(decision.scores, 0.5), decision.keep)

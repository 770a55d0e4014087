"""The mrp update against its float64 oracle, and its optimality against the other updates."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.analysis.microscope.decision import decide
from engine.pruning.axes import UPDATES, Updated
from engine.pruning.plan import Plan
from tests.pruning import joint_oracles, oracles
from tests.pruning.calls import random_mask, undamped, update_weights
from tests.pruning.oracles import EDGE_CASES, Layer


def damped_error(layer: Layer, weight: Tensor) -> Tensor:
    """Return `dw H dw^T` of each row, with the damped Hessian."""
    change = weight.double() - layer.weight.double()
    return (change @ oracles.damped(oracles.hessian(layer.inputs)) * change).sum(1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("case", [case for case in EDGE_CASES if case not in {"outlier-input"}])
def test_mrp_matches_the_oracle(case: str, share: float) -> None:
    layer = EDGE_CASES[case]()
    mask = random_mask(layer, share)
    expected, got = oracles.mrp(layer.weight, layer.inputs, mask), update_weights("mrp", layer, mask)
    assert not got[~mask].any() and got.isfinite().all()
    torch.testing.assert_close(
        got.double(), expected, rtol=2e-3, atol=2e-3 * max(float(expected.abs().max()), 1e-6)
    )


@pytest.mark.parametrize("case", EDGE_CASES)
@pytest.mark.parametrize("other", [name for name in UPDATES if name != "mrp"])
def test_no_other_update_has_a_smaller_error_in_any_row(other: str, case: str) -> None:
    """The error on the damped Hessian, which both updates minimise."""
    layer = EDGE_CASES[case]()
    for share in (0.3, 0.6):
        mask = random_mask(layer, share)
        best, error = (damped_error(layer, update_weights(name, layer, mask)) for name in ("mrp", other))
        assert (best <= error * 1.001 + 1e-9 * float(error.max() + 1)).all(), (best - error).max()


WELL_POSED = ["plain", "narrow", "one-row", "zero-rows", "odd-width", "equal-weights"]


def precise(layer: Layer) -> Layer:
    return Layer(layer.weight.double(), layer.inputs)


def output_error(layer: Layer, weight: Tensor) -> Tensor:
    return ((weight.double() - layer.weight.double()) @ layer.inputs.flatten(0, 1).double().T).square().sum(1)


@pytest.mark.parametrize("case", WELL_POSED)
def test_without_damping_no_update_has_a_smaller_output_error(case: str) -> None:
    layer = precise(EDGE_CASES[case]())
    mask, statistics = random_mask(layer, 0.5), undamped(layer)
    best = output_error(layer, update_weights("mrp", layer, mask, statistics))
    alternatives = {name: update_weights(name, layer, mask, statistics) for name in UPDATES if name != "mrp"}
    alternatives["a perturbed mrp"] = update_weights("mrp", layer, mask, statistics) * (
        1 + 0.01 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(1))
    )
    for name, weight in alternatives.items():
        assert (best <= output_error(layer, weight) * 1.0001 + 1e-9).all(), name


@pytest.mark.parametrize("case", WELL_POSED)
def test_without_damping_mrp_is_the_least_squares_fit_on_the_kept_columns(case: str) -> None:
    layer = precise(EDGE_CASES[case]())
    for share in (0.2, 0.5, 0.8):
        mask = random_mask(layer, share)
        expected = oracles.least_squares(layer.weight, layer.inputs, mask)
        torch.testing.assert_close(
            update_weights("mrp", layer, mask, undamped(layer)).double(), expected, rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(
            oracles.optimal(layer.weight, oracles.hessian(layer.inputs), mask), expected
        )


@pytest.mark.parametrize("column", [0, 3, 19])
def test_one_removed_weight_matches_the_closed_form(column: int) -> None:
    """`dw = -w_j / B_jj * B_j:` on all columns, including earlier ones."""
    layer = oracles.random_layer(4, 20)
    mask = torch.ones(4, 20, dtype=torch.bool)
    mask[1, column] = False
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(layer.inputs)))
    expected = layer.weight.double().clone()
    expected[1] -= layer.weight[1, column].double() / inverse[column, column] * inverse[column]
    expected[1, column] = 0
    got = update_weights("mrp", layer, mask)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(got[[0, 2, 3]], layer.weight[[0, 2, 3]]), "a row without removed weights has changed"


def test_rows_without_and_with_only_removed_weights_among_others() -> None:
    layer = oracles.random_layer(6, 40)
    mask = random_mask(layer, 0.5)
    mask[1], mask[4], mask[5], mask[5, 7] = True, False, False, True
    got = update_weights("mrp", layer, mask)
    assert torch.equal(got[1], layer.weight[1]) and not got[4].any()
    torch.testing.assert_close(
        got.double(), oracles.mrp(layer.weight, layer.inputs, mask), rtol=1e-3, atol=1e-4
    )


def test_mrp_by_hand() -> None:
    # X = (1, 1), (0, 1): without column 0, column 1 must give 2 * 1 + 3 * 1 and 3; so w = (5 + 3) / 2.
    layer = Layer(
        torch.tensor([[2.0, 3.0], [2.0, 3.0]], dtype=torch.float64), torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])
    )
    mask = torch.tensor([[False, True], [True, False]])
    expected = torch.tensor([[0.0, 4.0], [5.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(oracles.optimal(layer.weight, oracles.hessian(layer.inputs), mask), expected)
    torch.testing.assert_close(oracles.least_squares(layer.weight, layer.inputs, mask), expected)
    torch.testing.assert_close(
        update_weights("mrp", layer, mask, undamped(layer)).double(), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("score_name", ["wanda", "ria", "joint"])
def test_mrp_is_optimal_for_the_mask_of_any_score(score_name: str) -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score=score_name, pattern="2:4", update="mrp")
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5)
    expected = oracles.mrp(layer.weight, layer.inputs, outcome.keep)
    torch.testing.assert_close(outcome.weight.double(), expected, rtol=1e-3, atol=1e-4)
    reference: dict[str, Callable[[], Tensor]] = {
        "joint": lambda: joint_oracles.running_joint(layer.weight, layer.inputs, 2, 4)[1] > 0,
        "wanda": lambda: oracles.keep_mask(oracles.wanda(layer.weight, layer.inputs), "2:4", None, 0.5),
        "ria": lambda: oracles.keep_mask(oracles.ria(layer.weight, layer.inputs), "2:4", None, 0.5),
    }
    assert torch.equal(outcome.keep, reference[score_name]())


@pytest.mark.parametrize(
    ("score", "pattern"),
    [("sparsegpt", "unstructured"), ("sparsegpt", "2:4"), ("sparsegpt", "4:8"), ("joint", "2:4")],
)
def test_the_mask_is_that_of_the_sequential_update(score: str, pattern: str) -> None:
    """APT's S and M are decided as SparseGPT and APT-MS decide theirs; only the weights differ."""
    layer = oracles.random_layer(6, 160)
    plans = [Plan.of(score=score, pattern=pattern, update=update) for update in ("obs", "mrp")]
    sequential, joint = (
        plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5) for plan in plans
    )
    assert torch.equal(joint.keep, sequential.keep) and not torch.equal(joint.weight, sequential.weight)
    expected = oracles.mrp(layer.weight, layer.inputs, joint.keep)
    torch.testing.assert_close(joint.weight.double(), expected, rtol=1e-3, atol=1e-4)


def test_the_mask_of_the_dense_weights_can_be_chosen() -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="joint", pattern="2:4", update="mrp", settings={"mrp.mask": "dense"})
    kept = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5).keep
    assert torch.equal(kept, joint_oracles.joint(layer.weight, layer.inputs, 2, 4).bool())
    assert not torch.equal(kept, joint_oracles.running_joint(layer.weight, layer.inputs, 2, 4)[1].bool())


@pytest.mark.parametrize(
    ("score", "pattern"), [("sparsegpt", "unstructured"), ("joint", "2:4"), ("wanda", "2:4")]
)
def test_an_inspected_decision_solves_no_rows(score: str, pattern: str) -> None:
    """The rows' systems cost most of the time, and no score or mask depends on them."""
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score=score, pattern=pattern, update="mrp")
    expected = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5).keep

    def fails(*_: object, **__: object) -> Updated:
        raise AssertionError("solved")

    unsolved = replace(plan, update=replace(plan.update, function=fails))
    statistics = oracles.collect_statistics(layer, plan.needs)
    assert torch.equal(decide(unsolved, layer.weight, statistics, 0.5).keep, expected)

"""The obs update against column-by-column elimination in float64, and properties for any blocking."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.pruning.axes import SCORES, UPDATES, FrozenMask, Updated
from engine.pruning.hessian import inverse_factor
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.pruning.statistics import Statistics
from tests.pruning import oracles
from tests.pruning.oracles import EDGE_CASES, Layer

OBS = UPDATES["obs"]
RUNNING = [name for name, score in SCORES.items() if score.running and not score.joint]


def random_mask(layer: Layer, share: float = 0.5, seed: int = 0) -> Tensor:
    return torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(seed)) >= share


def frozen_obs(layer: Layer, mask: Tensor) -> Updated:
    return OBS.function(layer.weight.clone(), oracles.collect_statistics(layer), FrozenMask(mask))


def assert_weights(got: Tensor, expected: Tensor, relative: float = 2e-3) -> None:
    torch.testing.assert_close(
        got.double(), expected, rtol=relative, atol=relative * float(expected.abs().max())
    )


WELL_POSED = [
    name
    for name in EDGE_CASES
    if name not in {"constant-inputs", "outlier-input", "duplicate-columns", "one-token"}
]


@pytest.mark.parametrize("case", WELL_POSED)
def test_obs_with_a_frozen_mask_matches_the_oracle(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = random_mask(layer)
    updated = frozen_obs(layer, mask)
    assert torch.equal(updated.keep, mask)
    assert not updated.weight[~mask].any()
    assert_weights(updated.weight, oracles.obs(layer.weight, layer.inputs, mask))


@pytest.mark.parametrize("case", ["constant-inputs", "outlier-input", "duplicate-columns", "one-token"])
def test_ill_posed_layers_match_the_oracles_output(case: str) -> None:
    """With interchangeable columns float32 determines the layer's output, but not its weights."""
    layer = EDGE_CASES[case]()
    mask = random_mask(layer)
    updated, expected = frozen_obs(layer, mask), oracles.obs(layer.weight, layer.inputs, mask)
    inputs = layer.inputs.flatten(0, 1).double()
    dense = inputs @ layer.weight.double().T
    torch.testing.assert_close(
        inputs @ updated.weight.double().T, inputs @ expected.T, rtol=0, atol=2e-3 * float(dense.abs().max())
    )


@pytest.mark.parametrize("width", [127, 128, 129, 150])
def test_columns_after_a_block_are_updated_too(width: int) -> None:
    layer = oracles.random_layer(3, width)
    mask = torch.ones(3, width, dtype=torch.bool)
    mask[:, ::2] = False
    assert_weights(frozen_obs(layer, mask).weight, oracles.obs(layer.weight, layer.inputs, mask))


@pytest.mark.parametrize("sparsity", [0.25, 0.6])
@pytest.mark.parametrize(
    "case", ["plain", "narrow", "one-row", "wider-than-a-block", "odd-width", "dead-columns", "zero-rows"]
)
@pytest.mark.parametrize("name", RUNNING)
def test_running_masks_by_column_block(name: str, case: str, sparsity: float) -> None:
    layer = EDGE_CASES[case]()
    plan = Plan.of(score=name, group=Group.BLOCK, update="obs")
    updated = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), sparsity)
    weight, mask = oracles.running_obs(name, layer.weight, layer.inputs, "unstructured", sparsity)
    assert torch.equal(updated.keep, mask)
    assert_weights(updated.weight, weight)


@pytest.mark.parametrize(
    ("pattern", "shape"),
    [
        ("2:4", (6, 48)),
        ("4:8", (6, 136)),
        ("1:4", (3, 132)),
        ("3:5", (3, 135)),
        ("1:2", (5, 30)),
        ("8:24", (3, 144)),
        ("20:64", (2, 192)),
        ("70:100", (2, 200)),
        ("100:200", (2, 400)),  # wider than a block of columns
    ],
)
@pytest.mark.parametrize("name", RUNNING)
def test_running_n_of_m_masks(name: str, pattern: str, shape: tuple[int, int]) -> None:
    layer = oracles.random_layer(*shape)
    plan = Plan.of(score=name, pattern=pattern, update="obs")
    n, m = map(int, pattern.split(":"))
    updated = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 1 - n / m)
    weight, mask = oracles.running_obs(name, layer.weight, layer.inputs, pattern, 1 - n / m)
    assert torch.equal(updated.keep, mask)
    assert_weights(updated.weight, weight)


@pytest.mark.parametrize("name", RUNNING)
def test_running_n_of_m_masks_with_dead_columns(name: str) -> None:
    layer = EDGE_CASES["dead-columns"]()
    plan = Plan.of(score=name, pattern="2:4", update="obs")
    updated = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5)
    weight, mask = oracles.running_obs(name, layer.weight, layer.inputs, "2:4", 0.5)
    assert torch.equal(updated.keep, mask)
    assert_weights(updated.weight, weight)


@pytest.mark.parametrize("group", ["row", "layer"])
@pytest.mark.parametrize("name", RUNNING)
def test_row_and_layer_groups_are_decided_on_the_dense_weights(name: str, group: str) -> None:
    """These groups need all scores at once, so the mask is fixed before the update."""
    layer = oracles.random_layer(6, 150)  # wider than a block of columns
    plan = Plan.of(score=name, group=Group(group), update="obs")
    mask = oracles.keep_mask(
        oracles.SCORE_ORACLES[name](layer.weight, layer.inputs), "unstructured", group, 0.5
    )
    updated = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5)
    assert torch.equal(updated.keep, mask)
    assert_weights(updated.weight, oracles.obs(layer.weight, layer.inputs, mask))


def test_running_and_frozen_masks_differ() -> None:
    """Otherwise the tests of running masks would prove nothing."""
    layer = oracles.random_layer(6, 48)
    running = oracles.running_obs("sparsegpt", layer.weight, layer.inputs, "2:4", 0.5)[1]
    frozen = oracles.keep_mask(oracles.sparsegpt(layer.weight, layer.inputs), "2:4", None, 0.5)
    assert not torch.equal(running, frozen)


@pytest.mark.parametrize("column", [0, 3, 18, 19])
def test_one_removed_weight_matches_the_closed_form(column: int) -> None:
    """OBS on columns `column` and later: `dw = -w_j / B_00 * B_0:`, B their inverse Hessian."""
    layer = oracles.random_layer(4, 20)
    mask = torch.ones(4, 20, dtype=torch.bool)
    mask[1, column] = False
    updated = frozen_obs(layer, mask).weight.double()
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(layer.inputs))[column:, column:])
    expected = layer.weight.double().clone()
    expected[1, column:] -= layer.weight[1, column].double() / inverse[0, 0] * inverse[0]
    expected[1, column] = 0
    torch.testing.assert_close(updated, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(frozen_obs(layer, mask).weight[:, :column], layer.weight[:, :column]), (
        "an earlier column changed"
    )


def test_the_loss_of_one_removal_is_the_score() -> None:
    """`1/2 dw H dw^T` of a single removal is half the saliency, with the damped Hessian."""
    layer = oracles.random_layer(1, 20)
    saliency = oracles.sparsegpt(layer.weight, layer.inputs)
    matrix = oracles.damped(oracles.hessian(layer.inputs))
    for column in range(20):
        mask = torch.ones(1, 20, dtype=torch.bool)
        mask[0, column] = False
        change = frozen_obs(layer, mask).weight.double() - layer.weight.double()
        torch.testing.assert_close(
            (change @ matrix @ change.T)[0, 0], saliency[0, column], rtol=1e-3, atol=1e-6
        )


def test_the_layer_error_is_the_sum_of_the_column_errors() -> None:
    """With `E = (W' - W) U^-1`, `(W' - W) H (W' - W)^T = E E^T`; E is 0 for kept weights."""
    layer = oracles.random_layer(5, 40)
    mask = random_mask(layer)
    change = frozen_obs(layer, mask).weight.double() - layer.weight.double()
    matrix = oracles.damped(oracles.hessian(layer.inputs))
    upper = torch.linalg.cholesky(
        torch.linalg.inv(matrix)
    ).mH  # the upper triangular U with U^T U = H^-1 is unique
    errors = change @ torch.linalg.inv(upper)
    assert float(errors[mask].abs().max()) < 1e-4 * float(errors.abs().max())
    torch.testing.assert_close((change @ matrix * change).sum(1), errors.square().sum(1), rtol=1e-6, atol=0)


def test_the_output_error_on_the_calibration_input_matches_the_oracle() -> None:
    layer = oracles.random_layer(8, 64)
    mask = oracles.keep_mask(oracles.wanda(layer.weight, layer.inputs), "unstructured", "row", 0.5)
    inputs = layer.inputs.flatten(0, 1).double()
    dense = inputs @ layer.weight.double().T

    def error(weight: Tensor) -> float:
        return float((inputs @ weight.double().T - dense).square().sum())

    updated = error(frozen_obs(layer, mask).weight)
    assert updated == pytest.approx(error(oracles.obs(layer.weight, layer.inputs, mask)), rel=1e-3)
    assert updated < 0.9 * error(
        layer.weight * mask
    )  # not a general property, but this layer's columns are correlated


def test_uncorrelated_inputs_allow_no_compensation() -> None:
    """With a diagonal Hessian no column can compensate for another, so obs changes nothing."""
    layer = oracles.random_layer(4, 24)
    inputs = torch.diag(torch.linspace(0.5, 3, 24))[None]  # each token activates one column
    layer = Layer(layer.weight, inputs)
    mask = random_mask(layer)
    assert torch.equal(frozen_obs(layer, mask).weight, layer.weight * mask)


@pytest.mark.parametrize("case", ["plain", "wider-than-a-block", "zero-rows", "fewer-tokens-than-columns"])
def test_a_full_mask_changes_nothing(case: str) -> None:
    layer = EDGE_CASES[case]()
    assert torch.equal(
        frozen_obs(layer, torch.ones_like(layer.weight, dtype=torch.bool)).weight, layer.weight
    )


def test_an_empty_mask_gives_zeros() -> None:
    layer = oracles.random_layer(4, 20)
    assert not frozen_obs(layer, torch.zeros_like(layer.weight, dtype=torch.bool)).weight.any()


def test_dead_columns_are_zeroed_without_affecting_others() -> None:
    layer = EDGE_CASES["dead-columns"]()
    unused = oracles.is_dead(layer.inputs)
    mask = random_mask(layer)
    updated = frozen_obs(layer, mask).weight
    assert not updated[:, unused].any()
    other = layer.weight.clone()
    other[:, unused] = 123.0
    assert torch.equal(frozen_obs(Layer(other, layer.inputs), mask).weight[:, ~unused], updated[:, ~unused])


def test_rows_are_independent() -> None:
    layer = oracles.random_layer(6, 40)
    mask = random_mask(layer)
    together = frozen_obs(layer, mask).weight
    alone = frozen_obs(Layer(layer.weight[2:3], layer.inputs), mask[2:3]).weight
    torch.testing.assert_close(alone, together[2:3], rtol=1e-4, atol=1e-5)


def test_the_weight_is_not_modified() -> None:
    layer = oracles.random_layer(6, 40)
    weight, mask = layer.weight.clone(), random_mask(layer)
    OBS.function(weight, oracles.collect_statistics(layer), FrozenMask(mask))
    assert torch.equal(weight, layer.weight)


@pytest.mark.parametrize(("lowest", "named"), [(-0.003, None), (-0.05, "0.1"), (-0.5, "1")])
def test_a_raised_damping_is_reported(lowest: float, named: str | None) -> None:
    basis, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)))
    matrix = basis @ torch.diag(torch.tensor([lowest, 1.0, 1.0, 1.0, 2.0 - lowest])) @ basis.T
    statistics = cast(Statistics, SimpleNamespace(factor=inverse_factor((matrix + matrix.T) / 2), width=5))
    updated = OBS.function(torch.ones(2, 5), statistics, FrozenMask(torch.ones(2, 5, dtype=torch.bool)))
    if named is None:
        assert not updated.warnings
    else:
        assert (
            len(updated.warnings) == 1
            and named in updated.warnings[0]
            and "damping" in updated.warnings[0].lower()
        )


def test_no_warning_without_a_reason() -> None:
    layer = oracles.random_layer(6, 40)
    assert frozen_obs(layer, random_mask(layer)).warnings == ()

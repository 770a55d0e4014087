"""Every score in the registry against its float64 oracle."""

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.block import NOWHERE
from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.axes import SCORES, Score
from engine.pruning.statistics import Statistics
from tests.pruning import oracles
from tests.pruning.oracles import EDGE_CASES, SCORE_ORACLES, Layer

RUNNING = [name for name, score in SCORES.items() if score.running and not score.joint]


def default(name: str) -> tuple[Score, dict[str, Any]]:
    """Return a score as it is with its default parameters, and these; for 2:4 if it is a joint score."""
    score = SCORES[name]
    settings = {parameter.name: parameter.default for parameter in score.parameters}
    score = score.with_parameters(settings)
    if score.joint:
        settings |= {"n": 2, "m": 4}
    if score.uses_place:
        settings["place"] = NOWHERE
    return score, settings


def compute_score(name: str, weight: Tensor, statistics: Statistics, **more: Any) -> Tensor:
    score, settings = default(name)
    return score.function(weight, statistics, **settings, **more)


def test_every_score_has_an_oracle() -> None:
    assert set(SCORE_ORACLES) | set(oracles.OTHER_SCORES) == set(SCORES), (
        "write a float64 oracle in tests/pruning/oracles.py for each score"
    )
    assert set(oracles.RUNNING_ORACLES) == set(RUNNING)


@pytest.mark.parametrize("case", EDGE_CASES)
@pytest.mark.parametrize("name", SCORE_ORACLES)
def test_a_score_matches_its_definition(name: str, case: str) -> None:
    layer = EDGE_CASES[case]()
    got = compute_score(name, layer.weight, oracles.collect_statistics(layer, default(name)[0].needs))
    expected = SCORE_ORACLES[name](layer.weight, layer.inputs)
    assert got.shape == layer.weight.shape and got.dtype == torch.float32
    assert (got >= 0).all() and got.isfinite().all()
    torch.testing.assert_close(got.double(), expected, rtol=2e-3, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_a_pure_function(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    statistics, before = oracles.collect_statistics(layer, default(name)[0].needs), layer.weight.clone()
    first = compute_score(name, layer.weight, statistics)
    copy = first.clone()
    second = compute_score(name, layer.weight, statistics)
    assert torch.equal(layer.weight, before), "the weight was changed"
    assert torch.equal(first, copy) and torch.equal(first, second)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_uses_only_the_statistics_that_it_declares(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    alone = compute_score(name, layer.weight, oracles.collect_statistics(layer, default(name)[0].needs))
    torch.testing.assert_close(alone, compute_score(name, layer.weight, oracles.collect_statistics(layer)))


@pytest.mark.parametrize("name", SCORES)
def test_the_sign_of_a_weight_does_not_matter(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    statistics = oracles.collect_statistics(layer)
    torch.testing.assert_close(
        compute_score(name, -layer.weight, statistics), compute_score(name, layer.weight, statistics)
    )


@pytest.mark.parametrize("columns", [slice(0, 4), slice(5, 17), slice(36, 40), slice(0, 40)], ids=str)
@pytest.mark.parametrize("name", RUNNING)
def test_a_running_score_can_be_computed_for_some_columns(name: str, columns: slice) -> None:
    layer = oracles.random_layer(6, 40)
    statistics = oracles.collect_statistics(layer)
    whole = compute_score(name, layer.weight, statistics)
    part = compute_score(name, layer.weight[:, columns], statistics, columns=columns)
    torch.testing.assert_close(part, whole[:, columns])


def test_magnitude_and_wanda_by_hand() -> None:
    layer = Layer(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]), torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
    statistics = oracles.collect_statistics(layer)
    assert torch.equal(
        compute_score("magnitude", layer.weight, statistics), torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    )
    torch.testing.assert_close(
        compute_score("wanda", layer.weight, statistics), torch.tensor([[5.0, 2.0], [15.0, 0.5]])
    )


def test_sparsegpt_on_a_diagonal_hessian_by_hand() -> None:
    # X^T X = diag(4, 1), H = 2 X^T X = diag(8, 2), damping 0.05: saliency w^2 * (H_jj + 0.05).
    layer = Layer(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]), torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]))
    expected = torch.tensor([[8.05, 8.2], [72.45, 0.5125]])
    torch.testing.assert_close(
        compute_score("sparsegpt", layer.weight, oracles.collect_statistics(layer)), expected
    )


def test_wanda_is_proportional_to_magnitude_for_equal_inputs() -> None:
    layer = oracles.random_layer(6, 40)
    layer.inputs.sign_()
    statistics = oracles.collect_statistics(layer)
    ratio = compute_score("wanda", layer.weight, statistics) / compute_score(
        "magnitude", layer.weight, statistics
    )
    torch.testing.assert_close(ratio, torch.full_like(ratio, layer.inputs.shape[1] ** 0.5))

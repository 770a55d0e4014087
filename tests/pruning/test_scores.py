"""Every score in the registry against its float64 oracle."""

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.axes import SCORES
from engine.pruning.statistics import Statistics
from tests.pruning import oracles
from tests.pruning.oracles import ODD_LAYERS, SCORE_ORACLES, Layer

RUNNING = [name for name, score in SCORES.items() if score.running and not score.joint]


def scored(name: str, weight: Tensor, seen: Statistics, **more: Any) -> Tensor:
    """A score with its defaults; 2:4 for one that decides groups."""
    score = SCORES[name]
    settings = {parameter.name: parameter.default for parameter in score.parameters} | (
        {"n": 2, "m": 4} if score.joint else {}
    )
    return score.function(weight, seen, **settings, **more)


def test_every_score_has_an_oracle() -> None:
    assert set(SCORE_ORACLES) | set(oracles.OTHER_SCORES) == set(SCORES), (
        "write a float64 oracle in tests/pruning/oracles.py for each score"
    )
    assert set(oracles.RUNNING_ORACLES) == set(RUNNING)


@pytest.mark.parametrize("odd", ODD_LAYERS)
@pytest.mark.parametrize("name", SCORE_ORACLES)
def test_a_score_is_what_its_definition_says(name: str, odd: str) -> None:
    layer = ODD_LAYERS[odd]()
    got = scored(name, layer.weight, oracles.observed(layer, SCORES[name].needs))
    expected = SCORE_ORACLES[name](layer.weight, layer.inputs)
    assert got.shape == layer.weight.shape and got.dtype == torch.float32
    assert (got >= 0).all() and got.isfinite().all()
    torch.testing.assert_close(got.double(), expected, rtol=2e-3, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_a_pure_function(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    seen, before = oracles.observed(layer, SCORES[name].needs), layer.weight.clone()
    first = scored(name, layer.weight, seen)
    kept = first.clone()
    second = scored(name, layer.weight, seen)
    assert torch.equal(layer.weight, before), "the weight was changed"
    assert torch.equal(first, kept) and torch.equal(first, second)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_sees_only_the_statistics_that_it_declares(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    alone = scored(name, layer.weight, oracles.observed(layer, SCORES[name].needs))
    torch.testing.assert_close(alone, scored(name, layer.weight, oracles.observed(layer)))


@pytest.mark.parametrize("name", SCORES)
def test_the_sign_of_a_weight_does_not_matter(name: str) -> None:
    layer = oracles.random_layer(6, 40)
    seen = oracles.observed(layer)
    torch.testing.assert_close(scored(name, -layer.weight, seen), scored(name, layer.weight, seen))


@pytest.mark.parametrize("columns", [slice(0, 4), slice(5, 17), slice(36, 40), slice(0, 40)], ids=str)
@pytest.mark.parametrize("name", RUNNING)
def test_a_running_score_can_be_asked_for_some_columns(name: str, columns: slice) -> None:
    layer = oracles.random_layer(6, 40)
    seen = oracles.observed(layer)
    whole = scored(name, layer.weight, seen)
    part = scored(name, layer.weight[:, columns], seen, columns=columns)
    torch.testing.assert_close(part, whole[:, columns])


def test_hand_worked_magnitude_and_wanda() -> None:
    layer = Layer(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]), torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
    seen = oracles.observed(layer)
    assert torch.equal(scored("magnitude", layer.weight, seen), torch.tensor([[1.0, 2.0], [3.0, 0.5]]))
    torch.testing.assert_close(scored("wanda", layer.weight, seen), torch.tensor([[5.0, 2.0], [15.0, 0.5]]))


def test_hand_worked_sparsegpt_on_a_diagonal_hessian() -> None:
    # X^T X = diag(4, 1), H = 2 X^T X = diag(8, 2), damping 0.05: saliency w^2 * (H_jj + 0.05).
    layer = Layer(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]), torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]))
    expected = torch.tensor([[8.05, 8.2], [72.45, 0.5125]])
    torch.testing.assert_close(scored("sparsegpt", layer.weight, oracles.observed(layer)), expected)


def test_wanda_equals_magnitude_where_all_inputs_are_alike() -> None:
    layer = oracles.random_layer(6, 40)
    layer.inputs.sign_()
    seen = oracles.observed(layer)
    ratio = scored("wanda", layer.weight, seen) / scored("magnitude", layer.weight, seen)
    torch.testing.assert_close(ratio, torch.full_like(ratio, layer.inputs.shape[1] ** 0.5))

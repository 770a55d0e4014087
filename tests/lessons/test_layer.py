"""The small layer of the lessons, compared with loops in float64."""

from math import sqrt

import pytest
import torch

from engine.lessons.layer import Layer, example, output_error


@pytest.fixture(params=[1, 2, 3])
def layer(request) -> Layer:
    return example(request.param, rows=3, columns=4, tokens=10)


def loop_error(layer: Layer, weight: torch.Tensor, rows: range) -> float:
    """`‖X(W - W')ᵀ‖` over some rows, over `‖XWᵀ‖` of all of them."""
    change = dense = 0.0
    for token in layer.inputs.tolist():
        for row, (old, new) in enumerate(zip(layer.weight.tolist(), weight.tolist(), strict=True)):
            output = sum(x * w for x, w in zip(token, old, strict=True))
            dense += output**2
            if row in rows:
                change += (output - sum(x * w for x, w in zip(token, new, strict=True))) ** 2
    return sqrt(change / dense)


def test_weights_have_one_decimal_and_none_is_zero(layer):
    tenths = 10 * layer.weight.double()
    assert torch.allclose(tenths, tenths.round(), atol=1e-5)
    assert layer.weight.abs().min() >= 0.1 - 1e-7


def test_the_same_seed_draws_the_same_layer():
    one, other = example(5), example(5)
    assert torch.equal(one.weight, other.weight) and torch.equal(one.inputs, other.inputs)
    assert not torch.equal(one.weight, example(6).weight)


def test_a_strength_is_the_root_mean_square(layer):
    for column, strength in enumerate(layer.strengths):
        values = layer.inputs[:, column].tolist()
        assert strength == pytest.approx(sqrt(sum(value**2 for value in values) / len(values)), rel=1e-5)


def test_the_error_and_each_rows_part_of_it(layer):
    keep = torch.tensor([[True, False, True, True], [True, True, True, True], [False, False, True, False]])
    pruned = layer.masked(keep)
    assert torch.equal(pruned.weight, layer.weight * keep)
    assert pruned.error == pytest.approx(loop_error(layer, pruned.weight, range(3)), rel=1e-9)
    assert pruned.row_errors == pytest.approx(
        [loop_error(layer, pruned.weight, range(row, row + 1)) for row in range(3)], rel=1e-9
    )
    assert sum(part**2 for part in pruned.row_errors) == pytest.approx(pruned.error**2)


def test_the_error_on_other_inputs(layer):
    other = example(9, rows=3, columns=4, tokens=7).inputs
    weight = layer.weight.flip(0)
    assert output_error(layer.weight, weight, other) == pytest.approx(
        loop_error(Layer(layer.weight, other), weight, range(3)), rel=1e-9
    )
    assert output_error(layer.weight, layer.weight, layer.inputs) == 0
    assert output_error(layer.weight, torch.zeros_like(layer.weight), layer.inputs) == 1


def test_pruning_is_that_of_the_engine(layer):
    pruned = layer.prune("magnitude", 0.5)
    order = layer.weight.abs().flatten().argsort(stable=True)
    assert set((~pruned.keep).flatten().nonzero().flatten().tolist()) == set(order[:6].tolist())
    assert layer.prune("wanda", 0.5, pattern="2:4").keep.sum(1).tolist() == [2, 2, 2]

"""Global magnitudes: the budget of each linear against one sort of all weights, and its properties."""

from typing import cast

import pytest
import torch
import transformers as hf
from torch import Tensor

from engine.models.block import Block
from engine.models.language_model import LanguageModel
from engine.pruning.axes import ALLOCATIONS, Shares
from engine.pruning.search import AllocationContext

METHOD = ALLOCATIONS["global-magnitude"]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """Return a model with unequal scales, whose weights have no more digits than bfloat16."""
    shape = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    model = LanguageModel(hf.LlamaForCausalLM(hf.LlamaConfig(**shape, num_hidden_layers=3)))
    generator = torch.Generator().manual_seed(0)
    for number, linear in enumerate(model.linears.values()):
        weight = torch.randn(linear.shape, generator=generator) * (0.5 + number % 3)
        linear.write(weight.bfloat16().float())
    return model


def weights(block: Block) -> dict[str, Tensor]:
    return {name: linear.weight.double().abs() for name, linear in block.linears.items()}


def allocate(model: LanguageModel, target: float) -> Shares:
    sizes = [sum(weight.numel() for weight in weights(block).values()) for block in model.blocks]
    steps = METHOD.function(AllocationContext(target, sizes, model))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast(Shares, end.value)


@pytest.mark.parametrize("target", [0.1, 0.5, 0.9])
def test_each_linear_loses_what_one_threshold_removes_from_it(model: LanguageModel, target: float) -> None:
    shares = allocate(model, target)
    everything = torch.cat([weight.flatten() for block in model.blocks for weight in weights(block).values()])
    threshold = everything.sort().values[int(target * len(everything))]
    for block in model.blocks:
        for name, weight in weights(block).items():
            below, up_to = (weight < threshold).double().mean(), (weight <= threshold).double().mean()
            share = shares.of(block.index, name)
            assert isinstance(share, float) and below - 1e-9 <= share <= up_to + 1e-9


@pytest.mark.parametrize("target", [0.0, 0.005, 0.37, 0.5, 0.99])
def test_the_mean_by_size_is_the_target(model: LanguageModel, target: float) -> None:
    shares = allocate(model, target)
    removed = sum(
        float(shares.of(block.index, name)) * weight.numel()
        for block in model.blocks
        for name, weight in weights(block).items()
    )
    assert removed / sum(linear.weight.numel() for linear in model.linears.values()) == pytest.approx(target)
    for block in model.blocks:
        sizes = {name: weight.numel() for name, weight in weights(block).items()}
        mean = sum(float(shares.of(block.index, name)) * size for name, size in sizes.items())
        assert mean / sum(sizes.values()) == pytest.approx(shares.blocks[block.index])


def test_a_linear_of_smaller_weights_loses_more(model: LanguageModel) -> None:
    shares = allocate(model, 0.5)
    scales = {name: float(weight.mean()) for name, weight in weights(model.blocks[0]).items()}
    lost = {name: float(shares.of(0, name)) for name in scales}
    assert lost[min(scales, key=lambda name: scales[name])] > 0.6
    assert lost[max(scales, key=lambda name: scales[name])] < 0.4


def test_equal_magnitudes_are_shared_out_evenly(model: LanguageModel) -> None:
    before = {path: linear.weight.clone() for path, linear in model.linears.items()}
    try:
        for linear in model.linears.values():
            linear.write(torch.full(linear.shape, -0.25))
        shares = allocate(model, 0.3)
        assert all(
            share == pytest.approx(0.3) for linears in shares.linears.values() for share in linears.values()
        )
    finally:
        for path, weight in before.items():
            model.linears[path].write(weight)

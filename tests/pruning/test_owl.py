"""OWL: outliers and ratios by hand, and the properties of an allocation on tiny models."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from engine.events import BlockMeasured, Event
from engine.models.language_model import LanguageModel
from engine.pruning.allocations.owl import outlier_share, owl, owl_ratios
from engine.pruning.axes import ALLOCATIONS, Shares
from engine.pruning.search import AllocationContext


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_outliers_by_hand() -> None:
    """The mean of all ten entries of both tensors is 2; 7 and 8 are above 6."""
    scores = [torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]]), torch.tensor([[7.0, 8.0], [2.0, 1.0]])]
    assert outlier_share(scores, 3) == pytest.approx(20)
    assert outlier_share(scores, 1) == pytest.approx(20)  # the 2 does not exceed 2
    assert outlier_share(scores, 0.99) == pytest.approx(30)
    assert outlier_share(scores, 4) == 0


def test_zeros_have_no_outliers() -> None:
    assert outlier_share([torch.zeros(3, 4)], 5) == 0
    assert outlier_share([], 5) == 0


def test_ratios_by_hand() -> None:
    """Densities 0, .08, .16 around their mean of .08 give sparsities .68, .6, .52."""
    ratios, clipped = owl_ratios([1.0, 2.0, 3.0], [10, 10, 10], 0.6, 0.08)
    assert ratios == pytest.approx([0.68, 0.6, 0.52], abs=1e-12) and clipped == ()


def test_ratios_of_uneven_blocks_by_hand() -> None:
    """Densities 0 and .16, size-weighted mean .04: sparsities .54 and .38, 3/4 * .54 + 1/4 * .38 = .5."""
    assert owl_ratios([5.0, 9.0], [300, 100], 0.5, 0.08)[0] == pytest.approx([0.54, 0.38], abs=1e-12)


def test_a_clipped_block_is_reported_and_the_others_compensate() -> None:
    """Sparsities 1.1, .7, .6, mean .8: the first is clipped to .99, the others are scaled to sum to 1.41."""
    ratios, clipped = owl_ratios([0.0, 4.0, 5.0], [7, 7, 7], 0.8, 0.25)
    assert clipped == (0,)
    assert ratios == pytest.approx([0.99, 1.41 * 0.7 / 1.3, 1.41 * 0.6 / 1.3], abs=1e-9)


@pytest.mark.parametrize("outliers", [[3.0], [3.0, 3.0, 3.0], [0.0, 0.0]])
def test_equal_blocks_get_equal_ratios(outliers: list[float]) -> None:
    assert owl_ratios(outliers, [11, 22, 5][: len(outliers)], 0.7, 0.4) == ([0.7] * len(outliers), ())


@pytest.mark.parametrize("target", [0.0, 0.005, 0.05, 0.5, 0.93, 0.99])
@pytest.mark.parametrize("strength", [0.0, 0.08, 0.5])
def test_the_size_weighted_mean_is_the_target(target: float, strength: float) -> None:
    sizes = [100, 300, 1000, 7]
    ratios, _ = owl_ratios([1.0, 9.0, 4.0, 0.5], sizes, target, strength)
    assert sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes) == pytest.approx(
        target, abs=1e-9
    )
    assert all(0 <= ratio <= 0.99 + 1e-12 for ratio in ratios)


def tiny(blocks: int = 3) -> LanguageModel:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": blocks,
    }
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(hf.LlamaConfig(**shape, num_key_value_heads=1)))
    for parameter in model.module.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn_like(parameter) * torch.rand(parameter.shape).pow(4)
    return model


def make_context(model: LanguageModel, target: float) -> AllocationContext:
    ids = torch.randint(0, 64, (5, 10), generator=torch.Generator().manual_seed(1))
    return AllocationContext(target, model.sizes, model=model, calibration=model.record(ids, 2))


def run(context: AllocationContext, **parameters: Any) -> tuple[list[Event], Shares]:
    events, steps = [], owl(context, **({"threshold": 5.0, "strength": 0.08} | parameters))
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def dense_inputs(model: LanguageModel, context: AllocationContext) -> list[dict[str, Tensor]]:
    """Return the inputs of each linear in the model's own forward pass, `[windows, tokens, in]`."""
    inputs: list[dict[str, Tensor]] = [{} for _ in model.blocks]
    hooks = [
        linear.module.register_forward_pre_hook(
            lambda _, arguments, store=store, name=name: store.__setitem__(name, arguments[0])
        )
        for block, store in zip(model.blocks, inputs, strict=True)
        for name, linear in block.linears.items()
    ]
    assert context.calibration is not None
    model.module(input_ids=torch.cat(context.calibration.ids), use_cache=False)
    for hook in hooks:
        hook.remove()
    return inputs


def test_the_measurement_matches_the_models_own_forward_pass() -> None:
    model = tiny()
    context = make_context(model, 0.6)
    weights = [linear.weight.clone() for linear in model.linears.values()]
    events, shares = run(context, threshold=3.0)
    expected = []
    for block, inputs in zip(model.blocks, dense_inputs(model, context), strict=True):
        entries = [
            (linear.weight.double().abs() * inputs[name].double().square().sum(1).mean(0).sqrt()).flatten()
            for name, linear in block.linears.items()
        ]
        together = torch.cat(entries)
        expected.append(100 * float((together > 3 * together.mean()).double().mean()))
    assert [event.event for event in events] == ["block_measured"] * 3
    measured = [event.value for event in events if isinstance(event, BlockMeasured)]
    assert measured == pytest.approx(expected, abs=1e-9) and len(set(measured)) == 3 and min(measured) > 0
    assert shares.blocks == pytest.approx(owl_ratios(expected, context.sizes, 0.6, 0.08)[0], abs=1e-9)
    assert all(
        torch.equal(before, linear.weight)
        for before, linear in zip(weights, model.linears.values(), strict=True)
    )


def test_events_are_emitted_block_by_block() -> None:
    steps = owl(make_context(tiny(), 0.6), threshold=5.0, strength=0.08)
    first = next(steps)
    assert isinstance(first, BlockMeasured) and first.index == 0


@pytest.mark.parametrize("target", [0.0, 0.99])
def test_one_block_gets_the_target(target: float) -> None:
    assert run(make_context(tiny(1), target))[1] == Shares((target,))


def test_the_registry_entry() -> None:
    method = ALLOCATIONS["owl"]
    assert method.measure and method.paper is not None and method.paper.arxiv == "2310.05175"
    assert {parameter.name: parameter.default for parameter in method.parameters} == {
        "threshold": 5.0,
        "strength": 0.08,
    }

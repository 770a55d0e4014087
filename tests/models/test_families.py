"""Every family as blocks: replaying the recorded calls gives the model's own hidden states, with more than
one window.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
import torch
import transformers as hf
from safetensors.torch import load, save
from torch import Tensor

from engine.hardware.device import Clock
from engine.models.discovery import skipped_kind
from engine.models.language_model import LanguageModel
from engine.pruning.allocations import neuroal
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.weights import restore
from engine.store.blocks import pack, unpack
from tests.models.families import FAMILIES, WINDOWS, Pruned, built, in_turn, pruned, windows


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return built(request.param)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(("model", "batch"), in_turn([2, 1, 2, WINDOWS]), indirect=["model"])
def test_replay_equals_the_models_own_hidden_states(model: LanguageModel, batch: int) -> None:
    seen: list[list[Tensor]] = [[] for _ in model.blocks]
    hooks = [
        block.module.register_forward_hook(
            lambda m, a, o, index=block.index: seen[index].append(o[0] if isinstance(o, tuple) else o)
        )
        for block in model.blocks
    ]
    own = torch.cat([model.module(input_ids=part, use_cache=False).logits for part in windows().split(batch)])
    for hook in hooks:
        hook.remove()

    stream = model.record(windows(), batch)
    for block in model.blocks:
        assert stream.windows == WINDOWS
        once = torch.cat(list(stream.through(block)))
        stream.advance(block)
        replayed = torch.cat(stream.hidden)
        assert torch.equal(once, replayed), "a block changed its input or its recorded call"
        torch.testing.assert_close(replayed, torch.cat(seen[block.index]), rtol=0, atol=1e-5)
    logits = torch.cat(
        [model.logits(hidden, ids) for hidden, ids in zip(stream.hidden, stream.ids, strict=True)]
    )
    torch.testing.assert_close(logits, own, rtol=0, atol=1e-4)


def test_one_blocks_call_does_not_serve_every_block() -> None:
    """The reason for recording each block's own: Gemma-3's blocks differ, and block 0's call gives other
    hidden states.
    """
    torch.manual_seed(0)
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(FAMILIES["gemma3"]()))
    stream = model.record(windows(), WINDOWS)
    block = model.blocks[1]
    right = block(stream.hidden[0], stream.calls[1][0])
    wrong = block(stream.hidden[0], stream.calls[0][0])
    assert not torch.allclose(right, wrong)


def test_equal_call_arguments_are_stored_once() -> None:
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(FAMILIES["mistral"]()))
    stream = model.record(windows()[:4], 2)
    masks = {id(calls[batch].kwargs["attention_mask"]) for calls in stream.calls for batch in range(2)}
    assert len(masks) == 1


def test_recording_leaves_the_model_as_it_was(model: LanguageModel) -> None:
    before = model.module(input_ids=windows(), use_cache=False).logits
    model.record(windows(), 2)
    assert all("forward" not in vars(block.module) for block in model.blocks)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks
        for block in model.blocks
        for module in block.module.modules()
    )
    assert torch.equal(before, model.module(input_ids=windows(), use_cache=False).logits)


PLANS = {
    "score": Plan.of(score="wanda"),
    "obs": Plan.of(score="sparsegpt", update="obs"),
    "mrp": Plan.of(score="wanda", pattern="2:4", update="mrp"),
    "owl": Plan.of(score="wanda", allocation="owl"),
    "neuroal": Plan.of(
        score="wanda", allocation="neuroal", settings={"neuroal.windows": 2, "neuroal.step": "block"}
    ),
}
"""Score-based, second order, with N:M, and two allocations: one that measures and one that searches."""


@dataclass(frozen=True)
class Outcome:
    """A model before and after a run.

    Attributes:
        before: the dense model's logits.
        skipped: copies of the weights that are never pruned, by name.
    """

    model: LanguageModel
    before: Tensor
    skipped: dict[str, Tensor]
    result: Pruned


@cache
def outcome(family: str, plan: str) -> Outcome:
    """Prune a family's model, once for all tests that look at the result; they change nothing."""
    model = built(family)
    before = model.module(input_ids=EVALUATED, use_cache=False).logits
    kinds = skipped_kind(model.module)
    skipped = {name: one.clone() for name, one in model.module.named_parameters() if id(one) in kinds}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neuroal, "BLOCK_STRENGTHS", (0.01, 0.25))  # enough to choose from
        return Outcome(model, before, skipped, pruned(model, PLANS[plan]))


EVALUATED = windows().flip(0).flip(1)
OTHERS = dict(in_turn([name for name in PLANS if name != "obs"]))
"""A plan for every family, in addition to `obs`."""


@pytest.mark.parametrize(("family", "plan"), [*((family, "obs") for family in FAMILIES), *OTHERS.items()])
def test_both_streams_equal_the_models_own_forward_before_and_after(family: str, plan: str) -> None:
    found = outcome(family, plan)
    model, result = found.model, found.result
    after = model.module(input_ids=EVALUATED, use_cache=False).logits
    for ends, own in ((result.streams.dense, found.before), (result.streams.pruned, after)):
        assert ends is not None and torch.equal(torch.cat(ends.ids), EVALUATED)
        logits = [model.logits(hidden, part) for hidden, part in zip(ends.hidden, ends.ids, strict=True)]
        torch.testing.assert_close(torch.cat(logits), own, rtol=1e-3, atol=1e-3)
    assert len([event for event in result.events if event.event == "block_pruned"]) == len(model.blocks)
    for path, linear in result.linears.items():
        index, name = path.split(".", 1)
        weight = model.blocks[int(index)].linears[name].weight
        assert tuple(weight.shape) == (linear.rows, linear.columns)
        share = result.shares.blocks[int(index)]
        assert (
            int((weight == 0).sum())
            == linear.removed
            == linear.rows * math.floor(round(linear.columns * share, 6))
        ), path


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_pruned_or_has_a_kind(family: str) -> None:
    """Prunable weights and skipped kinds are all weights, once; no linear is left out that is not noted."""
    model, result = outcome(family, OTHERS[family]).model, outcome(family, OTHERS[family]).result
    kinds = skipped_kind(model.module)
    prunable = {id(linear.stored): linear.stored for linear in model.linears.values()}
    assert not prunable.keys() & kinds.keys()
    assert prunable.keys() | kinds.keys() == {id(parameter) for parameter in model.module.parameters()}
    weights = sum(linear.weight.numel() for linear in model.linears.values())
    assert weights == sum(parameter.numel() for parameter in prunable.values()), (
        "a parameter is pruned in part"
    )
    left = model.linears.keys() - {
        f"{model.blocks[0].path.rpartition('.')[0]}.{path}" for path in result.linears
    }
    assert all(any(path in note and "left dense" in note for note in result.notes) for path in left)
    assert {path.rpartition(".")[2] for path in left} <= {"dt_proj"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stored_weights_turn_the_dense_model_into_the_pruned_one_and_the_rest_is_unchanged(
    family: str,
) -> None:
    for plan in ("obs", OTHERS[family]):
        found = outcome(family, plan)
        after = dict(found.model.module.named_parameters())
        assert found.skipped and all(torch.equal(after[name], one) for name, one in found.skipped.items())

        again = built(family)
        for block in again.blocks:
            restore(block, unpack(load(save(pack(found.result.kept[block.index])))))
        state = found.model.module.state_dict()
        restored = again.module.state_dict()
        assert restored.keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in restored.items())


def test_a_linear_that_is_never_called_remains_dense_and_is_reported() -> None:
    torch.manual_seed(0)
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(FAMILIES["mamba"]()))
    before = model.blocks[0].linears["mixer.dt_proj"].weight.clone()
    events = list(
        prune_blocks(
            model,
            Streams(model.record(windows(), 2)),
            Plan.of(score="magnitude"),
            Shares((0.5,) * 4),
            {},
            Clock(model.device),
        )
    )
    assert torch.equal(before, model.blocks[0].linears["mixer.dt_proj"].weight)
    assert any("dt_proj" in event.message for event in events if event.event == "noted")

"""Two passes never share what a block writes into its arguments, whatever is pruned in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from engine.errors import ModelError
from engine.hardware.device import Clock
from engine.models.block import Call
from engine.models.language_model import LanguageModel, Stream
from engine.models.state import State, fresh
from engine.models.suitability import require_suitable
from engine.pruning.axes import Shares
from engine.pruning.pipeline import Streams, prune_blocks
from engine.pruning.plan import Plan
from tests.models.families import SHAPE, VOCABULARY, built, windows

WIDTH = 16


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class Memory:
    """A cache that changes its tensor in place."""

    def __init__(self) -> None:
        self.total = torch.zeros(())
        self.parts: dict[str, list[Tensor]] = {"means": []}


class MemoryBlock(nn.Module):
    """Its output depends on what the blocks before it have written, in every way in which one can write."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor, seen: list[Tensor], pair: tuple[Any, Tensor], memory: Memory) -> Tensor:
        table, scale = pair
        output = hidden + scale * torch.tanh(self.proj(hidden)) + memory.total
        output = output + sum(seen) + table.get("last", 0) + len(memory.parts["means"])
        seen.append(output.mean(-1, keepdim=True))
        table["last"] = output * 0.1
        memory.total += output[..., 0].mean()
        memory.parts["means"].append(output.mean())
        return output


class MemoryModel(nn.Module):
    """A model of such blocks, which share one list, one dictionary and one object per pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(vocab_size=VOCABULARY)
        self.config.get_text_config = lambda: self.config
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(MemoryBlock() for _ in range(4))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> Any:
        hidden, seen, memory = self.embed(input_ids), [torch.zeros(1)], Memory()
        pair = ({}, torch.ones(1))
        for layer in self.layers:
            hidden = layer(hidden, seen, pair, memory=memory)
        return Output(self.head(hidden))


class Output(tuple):
    """Logits, by position and by name."""

    def __new__(cls, logits: Tensor) -> Output:
        return super().__new__(cls, (logits,))

    @property
    def logits(self) -> Tensor:
        return self[0]


def model_of(name: str) -> LanguageModel:
    return LanguageModel(MemoryModel()) if name == "memory" else built(name)


def own_logits(model: LanguageModel, ids: list[Tensor]) -> Tensor:
    return torch.cat([model.module(input_ids=part, use_cache=False).logits for part in ids])


def logits(model: LanguageModel, stream: Stream | None) -> Tensor:
    assert stream is not None
    return torch.cat([model.logits(*batch) for batch in zip(stream.hidden, stream.ids, strict=True)])


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", ["memory", "gemma4"])
def test_all_streams_equal_plain_forward_passes_whatever_is_pruned(name: str, sparsity: float) -> None:
    model = model_of(name)
    streams = Streams(model.record(windows(), 2))
    streams.dense = model.record(windows().flip(0), 2)
    streams.pruned = streams.dense.fork()
    before = own_logits(model, streams.dense.ids)
    shares = Shares((sparsity,) * len(model.blocks))
    list(prune_blocks(model, streams, Plan.of(score="wanda"), shares, {}, Clock(model.device)))
    for stream, expected in (
        (streams.dense, before),
        (streams.pruned, own_logits(model, streams.dense.ids)),
        (streams.calibration, own_logits(model, streams.calibration.ids)),
    ):
        torch.testing.assert_close(logits(model, stream), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["memory", "gemma4"])
def test_a_pass_that_is_repeated_starts_from_the_same_state(name: str) -> None:
    model = model_of(name)
    stream = model.record(windows(), 2)
    for block in model.blocks:
        twice = [torch.cat(list(stream.through(block))) for _ in range(2)]
        forks = [stream.fork(), stream.part(slice(None)), Stream.joined([stream])]
        for fork in forks:
            fork.advance(block)
        stream.advance(block)
        for output in (*twice, *(torch.cat(fork.hidden) for fork in forks)):
            assert torch.equal(output, torch.cat(stream.hidden))


def test_blocks_that_keep_a_tensor_between_passes_are_rejected() -> None:
    config = hf.RecurrentGemmaConfig(**SHAPE, num_key_value_heads=1, lru_width=32, attention_window_size=8)
    model = LanguageModel(hf.AutoModelForCausalLM.from_config(config))
    with pytest.raises(ModelError, match=r"keep temporal_block\.rg_lru\.recurrent_states from one pass"):
        require_suitable(model, "it")


def test_a_stream_without_changing_arguments_copies_nothing() -> None:
    model = built("llama")
    stream = model.record(windows(), 2)
    assert not any(stream.states)
    call = stream.calls[0][0]
    assert stream.call(model.blocks[0]) is call
    assert stream.states[0].copy() is stream.states[0]


def test_objects_that_blocks_share_stay_shared_in_a_copy() -> None:
    shared: dict[str, Any] = {"inner": []}
    calls = [Call((shared,), {"part": shared["inner"], "mask": torch.ones(2)}), Call(((shared, 3),))]
    state = State.recorded(calls)
    copy = state.copy()
    first, second = (copy.call(call) for call in calls)
    assert first.args[0] is second.args[0][0] and first.args[0] is not shared
    assert first.kwargs["part"] is first.args[0]["inner"]
    assert first.kwargs["mask"] is calls[0].kwargs["mask"]


def test_a_fresh_call_leaves_the_given_one_alone() -> None:
    call = Call(([torch.zeros(1)],))
    fresh(call).args[0].append(1)
    fresh(call).args[0][0] += 1
    assert len(call.args[0]) == 1 and call.args[0][0] == 0

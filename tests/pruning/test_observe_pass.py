"""A pass for statistics only: they are those of a whole pass, bit for bit, and the last product is spared
where that is safe.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from engine.models.block import Block, Call, Linear
from engine.models.language_model import Stream
from engine.models.state import State
from engine.pruning.observation import observe, observe_pass
from engine.pruning.statistics import Need, Statistics
from tests.models.families import built, windows

INPUTS = frozenset({Need.INPUT_NORM, Need.INPUT_SUM, Need.HESSIAN})
BATCHES, WIDTH = 3, 4


class Layer(nn.Module):
    """A block that calls its linears in the order that a function of the batch's number gives."""

    def __init__(self, order) -> None:
        super().__init__()
        self.order, self.batch = order, -1
        for name in ("first", "second", "last"):
            setattr(self, name, nn.Linear(WIDTH, WIDTH, bias=False))

    def forward(self, hidden: Tensor) -> Tensor:
        self.batch += 1
        for name in self.order(self.batch):
            hidden = getattr(self, name)(hidden).tanh()
        return hidden


def block_of(order) -> Block:
    torch.manual_seed(0)
    layer = Layer(order)
    linears = {name: Linear(name, name, getattr(layer, name)) for name in ("first", "second", "last")}
    return Block(0, "layers.0", layer, linears)


def stream_of() -> Stream:
    generator = torch.Generator().manual_seed(1)
    hidden = [torch.randn(2, 5, WIDTH, generator=generator) for _ in range(BATCHES)]
    ids = [torch.zeros(2, 5, dtype=torch.long) for _ in range(BATCHES)]
    return Stream(ids, hidden, [[Call()] * BATCHES], [State() for _ in range(BATCHES)])


def products(block: Block, run) -> Counter[str]:
    """Return how often each linear has computed its product."""
    counts: Counter[str] = Counter()
    handles = [
        linear.module.register_forward_hook(lambda *_, name=name: counts.update([name]))
        for name, linear in block.linears.items()
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return counts


@torch.no_grad()
def whole(block: Block, stream: Stream, needs) -> dict[str, Statistics]:
    with observe(block.linears, stream.windows, needs) as seen:
        list(stream.through(block))
    return seen


def assert_same(found: dict[str, Statistics], expected: dict[str, Statistics]) -> None:
    assert list(found) == list(expected)
    for name, statistics in expected.items():
        assert torch.equal(found[name].input_norm, statistics.input_norm)
        assert torch.equal(found[name].hessian, statistics.hessian)
        assert found[name].tokens == statistics.tokens


def in_turn(batch: int) -> tuple[str, ...]:
    return ("first", "second", "last")


def test_the_last_product_is_spared_after_the_first_batch():
    block, found = block_of(in_turn), []
    counts = products(block, lambda: found.append(observe_pass(block, stream_of(), INPUTS)))
    assert counts == {"first": BATCHES, "second": BATCHES, "last": 1}
    assert_same(found[0], whole(block_of(in_turn), stream_of(), INPUTS))


@pytest.mark.parametrize(
    "order",
    [
        lambda batch: ("first", "second", "last", "first"),
        lambda batch: ("first", "last"),
        lambda batch: ("first", "last") if batch == 0 else ("first", "last", "second"),
        lambda batch: ("first", "second", "last") if batch % 2 else ("last", "second", "first"),
        lambda batch: () if batch == 0 else ("first", "second", "last"),
        lambda batch: ("first", "second", "last", *(("first",) if batch != 1 else ())),
    ],
    ids=["twice", "never", "later", "reordered", "idle at first", "once only in between"],
)
def test_every_call_is_counted_in_whatever_order_they_come(order):
    assert_same(
        torch.no_grad()(observe_pass)(block_of(order), stream_of(), INPUTS),
        whole(block_of(order), stream_of(), INPUTS),
    )


def test_output_norms_need_the_whole_pass():
    block = block_of(in_turn)
    counts = products(block, lambda: observe_pass(block, stream_of(), {Need.OUTPUT_NORM}))
    assert set(counts.values()) == {BATCHES}


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "mamba"])
@torch.no_grad()
def test_the_statistics_of_real_blocks_are_the_same(family):
    model = built(family)
    stream = model.record(windows(), 2)
    assert_same(observe_pass(model.blocks[0], stream, INPUTS), whole(model.blocks[0], stream, INPUTS))

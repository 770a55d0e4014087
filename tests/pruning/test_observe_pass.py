"""Observed passes: statistics are those of a whole pass in one thread, bit for bit, whichever batch is done
first, and the last product is spared where that is safe.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from engine.hardware.device import threads
from engine.models.block import Block, Call, Linear
from engine.models.language_model import Stream
from engine.models.state import State
from engine.pruning.observation import observe
from engine.pruning.passes import observe_advance, observe_pass
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


@pytest.fixture
def pool() -> Iterator[Executor]:
    with threads(1), ThreadPoolExecutor(2) as made:
        yield made


class Numbered(nn.Module):
    """A block whose windows begin with their batch's number, which `during` is called with."""

    def __init__(self, during) -> None:
        super().__init__()
        self.during = during
        self.first, self.last = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))

    def forward(self, hidden: Tensor) -> Tensor:
        inside = self.first(hidden).tanh()
        self.during(int(hidden[0, 0, 0]), inside)
        return self.last(inside)


def numbered(during=lambda batch, inside: None) -> Block:
    torch.manual_seed(0)
    layer = Numbered(during)
    linears = {name: Linear(name, name, getattr(layer, name)) for name in ("first", "last")}
    return Block(0, "layers.0", layer, linears)


def numbered_stream(batches: int = 9) -> Stream:
    generator = torch.Generator().manual_seed(1)
    hidden = [torch.randn(2, 5, WIDTH, generator=generator) for _ in range(batches)]
    for number, batch in enumerate(hidden):
        batch[:, 0, 0] = number
    ids = [torch.zeros(2, 5, dtype=torch.long) for _ in range(batches)]
    return Stream(ids, hidden, [[Call()] * batches], [State() for _ in range(batches)])


def late_if_odd(batch: int, inside: Tensor) -> None:
    time.sleep(0.01 * (batch % 2))


def write_into_it(batch: int, inside: Tensor) -> None:
    inside.mul_(1.5)


@pytest.mark.parametrize("during", [late_if_odd, write_into_it])
@torch.no_grad()
def test_batches_that_overtake_each_other_are_observed_in_order(pool, during):
    found = observe_pass(numbered(during), numbered_stream(), INPUTS, pool=pool)
    assert_same(found, whole(numbered(during), numbered_stream(), INPUTS))


class WritesAfterwards(Numbered):
    def forward(self, hidden: Tensor) -> Tensor:
        inside = self.first(hidden).tanh()
        output = self.last(inside)
        inside.zero_()
        return output


@torch.no_grad()
def test_inputs_that_the_block_overwrites_afterwards_are_observed_as_received(pool):
    block = numbered()
    block.module.__class__ = WritesAfterwards
    stream = numbered_stream()
    found = observe_advance(block, stream, INPUTS, block.linears, pool=pool)
    assert_same(found, whole(block, numbered_stream(), INPUTS))
    assert all(map(torch.equal, stream.hidden, numbered_stream().through(block)))


@torch.no_grad()
def test_two_batches_pass_at_a_time(pool):
    # Each waits for another one: alone, it would wait for ever.
    together = threading.Barrier(2, timeout=20)
    block = numbered(lambda batch, inside: together.wait())
    stream = numbered_stream(8)
    observe_advance(block, stream, INPUTS, block.linears, pool=pool)
    # The first one passes alone.
    block.module.during = lambda batch, inside: batch and together.wait()
    observe_pass(block, numbered_stream(), INPUTS, pool=pool)
    assert len(block.module.first._forward_pre_hooks) == 0


@torch.no_grad()
def test_a_stream_advances_as_in_one_thread(pool):
    block, stream, alone = numbered(late_if_odd), numbered_stream(), numbered_stream()
    found = observe_advance(block, stream, INPUTS, {"last": block.linears["last"]}, pool=pool)
    with observe({"last": block.linears["last"]}, alone.windows, INPUTS) as expected:
        alone.advance(block)
    assert_same(found, expected)
    assert all(map(torch.equal, stream.hidden, alone.hidden))


@torch.no_grad()
def test_other_windows_in_the_pools_threads_are_not_observed(pool):
    block, others = numbered(late_if_odd), numbered_stream()
    passing = pool.submit(torch.no_grad()(others.advance), block)
    found = observe_pass(block, numbered_stream(), INPUTS, pool=pool)
    passing.result()
    assert_same(found, whole(block, numbered_stream(), INPUTS))


@torch.no_grad()
def test_an_error_in_a_thread_ends_the_pass_and_leaves_nothing_running(pool):
    running: set[int] = set()

    def fail(batch: int, inside: Tensor) -> None:
        running.add(batch)
        if batch == 3:
            raise RuntimeError("broken")
        time.sleep(0.01)
        running.remove(batch)

    with pytest.raises(RuntimeError, match="broken"):
        observe_pass(numbered(fail), numbered_stream(), INPUTS, pool=pool)
    assert running == {3}


@pytest.mark.parametrize("family", ["mixtral", "mamba"])
@torch.no_grad()
def test_batches_that_cannot_pass_side_by_side_pass_one_by_one(pool, family):
    model = built(family)
    block, stream, alone = model.blocks[0], model.record(windows(), 2), model.record(windows(), 2)
    assert_same(observe_pass(block, stream, INPUTS, pool=pool), whole(block, stream, INPUTS))
    with observe(block.linears, alone.windows, INPUTS) as expected:
        alone.advance(block)
    assert_same(observe_advance(block, stream, INPUTS, block.linears, pool=pool), expected)
    assert all(map(torch.equal, stream.hidden, alone.hidden))

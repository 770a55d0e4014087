"""Passes of windows through one block, observed: with statistics of what its linears receive.

The batches of a small model pass in several threads. Whichever is done first, they are observed in their
order, so that every sum is the same to the last bit as with one thread. What the linears of a batch have
received waits for that, a few megabytes, which is why this is for small models only.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from engine.hardware.device import SMALL_THREADS, in_order
from engine.models.block import Before, Block, Linear, hooked
from engine.pruning.observation import Observer, observe
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.language_model import Stream

AHEAD = 2 * SMALL_THREADS
"""Batches that may have passed before it is their turn to be observed."""


def observe_pass(
    block: Block,
    stream: Stream,
    needs: Collection[Need],
    *,
    sample: int = 0,
    tokens: int = 0,
    pool: Executor | None = None,
) -> dict[str, Statistics]:
    """Return what `observe` collects while the windows of a stream pass through a block, without advancing.

    The block's output is not needed, so a batch ends when all linears have their input, which spares the
    product of the last one: a quarter of a Llama's block.

    Args:
        pool: the threads in which the batches pass; None for the caller's.
    """
    if Need.OUTPUT_NORM in needs:
        with observe(block.linears, stream.windows, needs, sample=sample, tokens=tokens) as statistics:
            for _ in stream.through(block):
                pass
        return statistics
    observer = Observer(block.linears, stream.windows, needs, sample=sample, tokens=tokens)
    with _watching(_Pass(block, stream, block.linears)) as passing:
        # The first batch passes as a whole, and shows whether each linear has exactly one call. Whether an
        # expert is called depends on the tokens, so blocks with experts always pass as a whole.
        passing.watch(0, observer.add_input)
        passing.may_end = passing.regular and not _has_experts(block.linears)
        _pass_all(passing, observer, range(1, len(stream.ids)), pool)
    observer.add_idle_experts()
    return observer.statistics


def observe_advance(
    block: Block,
    stream: Stream,
    needs: Collection[Need],
    linears: Mapping[str, Linear],
    *,
    pool: Executor | None = None,
) -> dict[str, Statistics]:
    """Return what `observe` collects of some of a block's linears while a stream advances through it.

    Args:
        pool: see `observe_pass`.
    """
    if any(stream.states):  # a batch could not pass again
        pool = None
    if pool is None:
        with observe(linears, stream.windows, needs) as statistics:
            stream.advance(block)
        return statistics
    observer = Observer(linears, stream.windows, needs)
    with _watching(_Pass(block, stream, linears, advances=True)) as passing:
        _pass_all(passing, observer, range(len(stream.ids)), pool)
    observer.add_idle_experts()
    return observer.statistics


Calls = list[tuple[str, "Tensor", int]]
"""What linears received, in order: the linear, its inputs, and torch's counter of their in-place changes."""


@dataclass
class _Pass:
    """A pass through a block, batch by batch.

    Attributes:
        linears: those that are observed.
        advances: whether the stream moves to the next block.
        may_end: whether a batch ends as soon as each linear has had its one call.
        regular: whether each linear has had exactly one call in every batch so far.
    """

    block: Block
    stream: Stream
    linears: Mapping[str, Linear]
    advances: bool = False
    may_end: bool = False
    regular: bool = True
    _batch: threading.local = field(default_factory=threading.local)
    """What to call with the inputs of the batch that passes in a thread."""

    def before(self, name: str, inputs: Tensor) -> None:
        """Take the inputs of a linear, in any thread; windows of other streams are ignored."""
        if (take := getattr(self._batch, "take", None)) is not None:
            take(name, inputs)

    def watch(self, batch: int, add_input: Before) -> Tensor | None:
        """Pass a batch, and its inputs on; return the output, None if the batch ended early."""
        once, calls, output = dict.fromkeys(self.linears, 1), Counter[str](), None

        def take(name: str, inputs: Tensor) -> None:
            add_input(name, inputs)
            calls[name] += 1
            if self.may_end and calls == once:
                raise _SeenError

        self._batch.take = take
        with suppress(_SeenError):
            output = self.stream.output(self.block, batch)
        self._batch.take = None
        if calls != once:
            self.regular = self.may_end = False
        return output

    def record(self, batch: int) -> tuple[Calls, Tensor | None]:
        """Pass a batch; return what the linears received, and the output."""
        calls: Calls = []
        output = self.watch(batch, lambda name, inputs: calls.append((name, inputs, inputs._version)))
        return calls, output


class _SeenError(Exception):
    """Ends the pass of a batch of which no more is needed."""


@contextmanager
def _watching(passing: _Pass) -> Iterator[_Pass]:
    # Once for all threads: registering hooks in several at a time may lose some.
    with hooked(passing.linears, before=passing.before, every_thread=True):
        yield passing


def _pass_all(passing: _Pass, observer: Observer, batches: range, pool: Executor | None) -> None:
    """Pass batches through a block, and show their inputs to the observer in order."""
    found: Iterator[Tensor | None]
    # Experts are seen in the thread that watches; and if an operation takes several threads, all are busy.
    if pool is None or _has_experts(passing.linears) or torch.get_num_threads() > 1:
        found = map(partial(passing.watch, add_input=observer.add_input), batches)
    else:
        found = _observed(passing, observer, in_order(pool, passing.record, batches, ahead=AHEAD), batches)
    for batch, output in zip(batches, found, strict=True):
        if passing.advances:
            assert output is not None, "a batch ends early only if the stream does not advance"
            passing.stream.replace(batch, output)


def _observed(
    passing: _Pass, observer: Observer, recorded: Iterable[tuple[Calls, Tensor | None]], batches: range
) -> Iterator[Tensor | None]:
    """Show the observer what was recorded of each batch; yield the outputs."""
    for batch, (calls, output) in zip(batches, recorded, strict=True):
        if all(inputs._version == version for _, inputs, version in calls):
            for name, inputs, _ in calls:
                observer.add_input(name, inputs)
            yield output
        else:  # the block has written into one since, so they are observed as they are received
            yield passing.watch(batch, observer.add_input)


def _has_experts(linears: Mapping[str, Linear]) -> bool:
    return any(linear.expert is not None for linear in linears.values())

"""Trying candidates: how well the neurons of every block align, dense against pruned, if this much were
removed.

A plain search runs each block twice for each candidate, dense and pruned, over all of its windows. This one
gives the same objectives with less: a pass that is only watched (the dense one, and the last block's pruned
one) does not compute the linears whose output merely leaves the block, a fifth to a third of its products;
the first block's dense pass is shared by all candidates; and candidates of a small model go side by side, one
a core, each on a copy of its own. Nothing is approximated. Candidates can be given up as soon as their
partial sum exceeds the best complete one: the terms are not negative, so the choice stays the same.

What an allocation may look at: the dense model's blocks and the calibration windows at its input, as often as
it likes.

A walk never leaves a trace: streams are forked from the recorded inputs, and a search puts every weight back.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.models.block import Block, Linear
from engine.models.dataflow import feeds
from engine.models.hooks import zeroed
from engine.models.threads import parallel_passes
from engine.pruning.drift import alignment
from engine.pruning.observation import observe
from engine.pruning.shares import Shares
from engine.pruning.statistics import Need, Statistics

if TYPE_CHECKING:
    from engine.models.language_model import LanguageModel, Stream


Prune = Callable[[Linear, Statistics, float | Tensor], Tensor]


@dataclass(frozen=True)
class Trial:
    """What came of one candidate.

    Attributes:
        shares: the candidate.
        alignment: NeuroAL's A of each block, summed over its linears; fewer than there are blocks where it
            was stopped.
        lost: by block and linear, dense minus pruned input norms, `[in]`.
        stopped: whether it was given up.
    """

    shares: Shares
    alignment: tuple[float, ...]
    lost: tuple[Mapping[str, Tensor], ...]
    stopped: bool = False

    @property
    def objective(self) -> float:
        return sum(self.alignment)


class Search:
    """Tries candidates on a few windows of a dense model.

    Args:
        model: the dense model; its weights are as they were when a trial is over.
        stream: the windows at the input of block 0.
        prune: the new weight of a linear, given its statistics and sparsity.
        needs: the statistics that `prune` needs.
    """

    def __init__(self, model: LanguageModel, stream: Stream, prune: Prune, needs: frozenset[Need]) -> None:
        self.model = model
        self.stream = stream
        self.prune = prune
        self.needs = needs | {Need.INPUT_NORM}

    def trials(self, candidates: Sequence[Shares], *, stop: bool = False) -> Iterator[Trial]:
        """A trial for each candidate, in order.

        Args:
            stop: whether to give up those whose partial sum exceeds the smallest objective of the rounds
                before (a round is what goes side by side), so the same ones are stopped every time.
        """
        assert self._leaving and self._first, "shared by the threads, so they are there before them"
        with parallel_passes(self.model) as cores, ThreadPoolExecutor(cores) as pool:
            models = self._models(min(cores, len(candidates)))
            work = torch.no_grad()(partial(self._try_on_one_of, models))
            rounds = (
                [candidates[start : start + cores] for start in range(0, len(candidates), cores)]
                if stop
                else [candidates]
            )
            best = inf
            for lot in rounds:
                for trial in pool.map(work, lot, [best] * len(lot)):
                    best = min(best, inf if trial.stopped or not stop else trial.objective)
                    yield trial

    def _models(self, count: int) -> SimpleQueue[LanguageModel]:
        """The model and copies of it, for as many threads."""
        models: SimpleQueue[LanguageModel] = SimpleQueue()
        for model in [self.model, *self._copies][:count]:
            models.put(model)
        return models

    @cached_property
    def _copies(self) -> list[LanguageModel]:
        from engine.models.language_model import LanguageModel

        with parallel_passes(self.model) as cores:
            return [LanguageModel(copy.deepcopy(self.model.module)) for _ in range(cores - 1)]

    @cached_property
    def _first(self) -> dict[str, Statistics]:
        """What the dense first block sees, the same for all candidates."""
        with self.model.present(self.model.blocks[0]) as block:
            return self._watch(block, self.stream, self.needs)

    @cached_property
    def _leaving(self) -> list[frozenset[str]]:
        """Of each block, the linears whose output feeds no other linear in it."""
        hidden, calls = self.stream.hidden[0], self.stream.calls
        fed = []
        for block in self.model.blocks:
            with self.model.present(block):
                fed.append(feeds(block, hidden, calls[block.index][0]))
        return [frozenset(name for name, readers in block.items() if not readers) for block in fed]

    def _try_on_one_of(self, models: SimpleQueue[LanguageModel], shares: Shares, limit: float) -> Trial:
        model = models.get()
        try:
            return self._try(model, shares, limit)
        finally:
            models.put(model)

    def _try(self, model: LanguageModel, shares: Shares, limit: float) -> Trial:
        stream, aligned, lost = self.stream.fork(), [], []
        for block in model.blocks:
            with model.present(block):
                dense = self._first if block.index == 0 else self._watch(block, stream, self.needs)
                with self._pruned(block, dense, shares):
                    pruned = self._go_on(block, stream, to_the_end=block.index == len(model.blocks) - 1)
            norms = {name: (dense[name].input_norm, pruned[name].input_norm) for name in dense}
            aligned.append(sum(alignment(*pair) for pair in norms.values()))
            lost.append({name: before - after for name, (before, after) in norms.items()})
            if sum(aligned) > limit:
                break
        return Trial(shares, tuple(aligned), tuple(lost), stopped=len(aligned) < len(model.blocks))

    def _go_on(self, block: Block, stream: Stream, *, to_the_end: bool) -> dict[str, Statistics]:
        """Input norms of the pruned block's linears, while the windows pass through it; behind the last block
        nobody asks for them.
        """
        if to_the_end:
            return self._watch(block, stream, {Need.INPUT_NORM})
        with observe(block.linears, stream.windows, {Need.INPUT_NORM}) as seen:
            stream.advance(block)
        return seen

    def _watch(self, block: Block, stream: Stream, needs: Collection[Need]) -> dict[str, Statistics]:
        """Statistics of the block's linears; its output is not computed to the end."""
        unused = (
            [] if Need.OUTPUT_NORM in needs else [block.linears[name] for name in self._leaving[block.index]]
        )
        with observe(block.linears, stream.windows, needs) as seen, zeroed(unused):
            deque(stream.through(block), maxlen=0)
        return seen

    @contextmanager
    def _pruned(self, block: Block, dense: Mapping[str, Statistics], shares: Shares) -> Iterator[None]:
        """The block with its pruned weights, while the `with` lasts."""
        before = {name: block.linears[name].weight.clone() for name in dense}
        try:
            for name, statistics in dense.items():
                linear = block.linears[name]
                linear.write(self.prune(linear, statistics, shares.of(block.index, name)))
            yield
        finally:
            for name, weight in before.items():
                block.linears[name].write(weight)


@dataclass(frozen=True)
class AllocationContext:
    """The way through a model that is still dense.

    Attributes:
        target: the sparsity asked for.
        sizes: prunable weights of each block.
        model, calibration, prune, needs: None (empty) where only the sizes are known; methods that look at
            the model need them.
        prune: the chosen methods' new weight for one linear, given its statistics (those of `needs`) and
            sparsity.
    """

    target: float
    sizes: Sequence[int]
    model: LanguageModel | None = None
    calibration: Stream | None = None
    prune: Prune | None = None
    needs: frozenset[Need] = frozenset()

    @property
    def blocks(self) -> list[Block]:
        """The dense blocks."""
        assert self.model is not None, "this walk knows the sizes alone"
        return self.model.blocks

    def present(self, block: Block) -> AbstractContextManager[Block]:
        """The block with its weights in memory, while the `with` lasts."""
        assert self.model is not None, "this walk knows the sizes alone"
        return self.model.present(block)

    def statistics(self, needs: Collection[Need]) -> Iterator[tuple[Block, Mapping[str, Statistics]]]:
        """Each block with the statistics of its linears, from the dense model over all calibration windows:
        one forward pass in all.
        """
        assert self.calibration is not None, "this walk knows the sizes alone"
        stream = self.calibration.fork()
        for block in self.blocks:
            with self.present(block):
                with observe(block.linears, stream.windows, needs) as seen:
                    stream.advance(block)
                yield block, seen

    def search(self, windows: int) -> Search:
        """Candidates are tried on the first `windows` calibration windows."""
        assert self.model is not None and self.calibration is not None and self.prune is not None, (
            "this walk knows the sizes alone"
        )
        ids = torch.cat(self.calibration.ids)[:windows]
        return Search(
            self.model, self.model.record(ids, len(self.calibration.ids[0])), self.prune, self.needs
        )

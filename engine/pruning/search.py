"""What an allocation may look at before it decides, and a search over candidate allocations.

`AllocationContext` gives access to the dense model's blocks and to the calibration windows at its input, as
often as an allocation likes. It has no side effects: streams are forked from the recorded inputs, and a
search restores every weight.

`Search` measures the neuron alignment distance of every block, dense against pruned, for each candidate. A
plain search would run each block twice per candidate, dense and pruned, over all windows. This one computes
the same objectives with less work: passes that only collect statistics (the dense one, and the last block's
pruned one) skip the linears whose output only leaves the block, a fifth to a third of the products; the first
block's dense pass is shared by all candidates; and candidates of a small model run in parallel, one per core,
each on its own copy. Nothing is approximated. Candidates can be stopped as soon as their partial sum exceeds
the best complete one: the terms are not negative, so the choice is the same. `Search.fitness` judges
candidates by the predictions of the whole model instead, see `engine.pruning.fitness`.
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
from typing import TYPE_CHECKING, TypeAlias

import torch

from engine.hardware.device import full_precision, parallel_passes
from engine.hardware.memory import trim_heap
from engine.hardware.transfers import checked_together
from engine.models.block import Block, Call, Linear, zeroed
from engine.models.dataflow import feeds
from engine.pruning.axes import Shares
from engine.pruning.fitness import Fitness, Judge, Place, SharedPlaces
from engine.pruning.observation import alignments, observe
from engine.pruning.statistics import Need, Statistics, factorise

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.language_model import LanguageModel, Stream


Prune: TypeAlias = "Callable[[Linear, Statistics, float | Tensor], Tensor]"


@dataclass(frozen=True)
class Trial:
    """The result of one candidate.

    Attributes:
        shares: the candidate.
        alignment: the alignment distance of each block, summed over its linears; not of all blocks if the
            trial was stopped.
        lost: by block and linear, dense minus pruned input norms, `[in]`.
        stopped: whether it was stopped because another candidate was better already.
    """

    shares: Shares
    alignment: tuple[float, ...]
    lost: tuple[Mapping[str, Tensor], ...]
    stopped: bool = False

    @property
    def objective(self) -> float:
        return sum(self.alignment)


class Search:
    """Tries candidate allocations on a few windows of a dense model.

    Args:
        model: the dense model; its weights are restored after each trial.
        stream: the windows at the input of block 0.
        prune: returns the new weight of a linear, given its statistics and sparsity.
        needs: the statistics that `prune` needs.
    """

    def __init__(self, model: LanguageModel, stream: Stream, prune: Prune, needs: frozenset[Need]) -> None:
        self.model = model
        self.stream = stream
        self.prune = prune
        self.needs = needs | {Need.INPUT_NORM}

    def trials(self, candidates: Sequence[Shares], *, stop: bool = False) -> Iterator[Trial]:
        """Yield a trial for each candidate, in order.

        Args:
            stop: whether to stop candidates whose partial sum exceeds the smallest objective of the earlier
                rounds. A round is what runs in parallel, so the same candidates are stopped every time.
        """
        assert self._leaving and self._first, "computed here, before threads share them"
        with parallel_passes(small=self._is_small_in_memory) as cores, ThreadPoolExecutor(cores) as pool:
            # As many models as threads can be at work, so no thread waits for one.
            models = self._models(min(cores, len(candidates)))
            work = torch.no_grad()(partial(self._try_on_free_model, models))  # grad mode is per thread
            rounds = (
                [candidates[start : start + cores] for start in range(0, len(candidates), cores)]
                if stop
                else [candidates]
            )
            best = inf
            for batch in rounds:
                for trial in pool.map(work, batch, [best] * len(batch)):
                    # Without `stop` the limit stays infinite.
                    best = min(best, inf if trial.stopped or not stop else trial.objective)
                    yield trial

    @property
    def _is_small_in_memory(self) -> bool:
        return self.model.is_small and self.model.residence == "resident"

    def _models(self, count: int) -> SimpleQueue[LanguageModel]:
        """Return the model and copies of it, one per thread."""
        models: SimpleQueue[LanguageModel] = SimpleQueue()
        for model in [self.model, *self._copies][:count]:  # each holds its own pruned weights
            models.put(model)
        return models

    @cached_property
    def _copies(self) -> list[LanguageModel]:
        from engine.models.language_model import LanguageModel

        with parallel_passes(small=self._is_small_in_memory) as cores:
            # The original works, too, hence one fewer than cores.
            return [LanguageModel(copy.deepcopy(self.model.module)) for _ in range(cores - 1)]

    @cached_property
    def _first(self) -> dict[str, Statistics]:
        """Statistics of the first block, which are the same for all candidates."""
        with self.model.present(self.model.blocks[0]) as block, full_precision():
            return self._watch(block, self.stream, self.needs)

    @cached_property
    def _leaving(self) -> list[frozenset[str]]:
        """For each block, the linears whose output feeds no other linear in it."""
        return [
            frozenset(name for name, readers in feeds(block, hidden, call).items() if not readers)
            for block, hidden, call in self.first_batch()
        ]

    def first_batch(self) -> Iterator[tuple[Block, Tensor, Call]]:
        """Yield every dense block, in memory, with hidden states and a call to trace its data flow with."""
        # The input of block 0 serves for all blocks: the data flow hardly depends on the values.
        stream, hidden = self.stream.part(slice(1)), self.stream.hidden[0]
        for block in self.model.blocks:
            with self.model.present(block):
                yield block, hidden, stream.call(block)
                if stream.states[0]:  # a later block may need what this one writes there
                    with torch.no_grad():
                        stream.advance(block)

    def fitness(self, candidates: Sequence[Shares], kind: Fitness) -> list[float]:
        """Return how far each candidate's predictions are from what is wanted; smaller is fitter. It is
        infinite if they are not finite.

        Args:
            kind: `kl` for the mean KL divergence from the dense model's predictions, nats per token, or
                `perplexity` on the windows.
        """
        assert self._leaving and self._shared and self._judge, "computed here, before threads share them"
        with parallel_passes(small=self._is_small_in_memory) as cores, ThreadPoolExecutor(cores) as pool:
            models = self._models(min(cores, len(candidates)))
            return list(pool.map(torch.no_grad()(partial(self._fitness, models, kind)), candidates))

    def _fitness(self, models: SimpleQueue[LanguageModel], kind: Fitness, shares: Shares) -> float:
        with _borrowed(models) as model:
            return self._judge.unfitness(model, self._end(model, shares), kind)

    def _end(self, model: LanguageModel, shares: Shares) -> Stream:
        """Return the windows after the last pruned block."""
        path = tuple(tuple(shares.of(block.index, name) for name in block.linears) for block in model.blocks)
        known, place = self._shared.deepest(path)
        for block in model.blocks[known:]:
            stream = place.stream.fork()
            with model.present(block), full_precision():
                if place.dense is None:
                    place.dense = self._watch(block, stream, self.needs)
                with self._pruned(block, place.dense, shares):
                    stream.advance(block)
            place = Place(stream)
            self._shared.add(path[: block.index + 1], place, self._size(block, stream))
        return place.stream

    def _size(self, block: Block, stream: Stream) -> int:
        """Return at most how many bytes a place before or behind the block takes."""
        widths = [linear.shape[1] for linear in block.linears.values()]
        squares = 2 * sum(width**2 for width in widths) if Need.HESSIAN in self.needs else 0  # with factors
        return sum(hidden.nbytes for hidden in stream.hidden) + 4 * (sum(widths) + squares)

    @cached_property
    def _shared(self) -> SharedPlaces:
        return SharedPlaces(Place(self.stream, self._first))

    @cached_property
    def _judge(self) -> Judge:
        stream = self.stream.fork()
        for block in self.model.blocks:
            with self.model.present(block), full_precision(), torch.no_grad():
                stream.advance(block)
        return Judge(stream, self.model.vocabulary)

    def _try_on_free_model(self, models: SimpleQueue[LanguageModel], shares: Shares, limit: float) -> Trial:
        with _borrowed(models) as model:
            return self._try(model, shares, limit)

    def _try(self, model: LanguageModel, shares: Shares, limit: float) -> Trial:
        # Forked, so that the recorded windows stay at block 0 for the next candidate.
        stream, aligned, lost = self.stream.fork(), [], []
        for dense, pruned in self._pass(model, stream, shares):
            norms = {name: (dense[name].input_norm, pruned[name].input_norm) for name in dense}
            aligned.append(sum(alignments(norms.values())))
            lost.append({name: before - after for name, (before, after) in norms.items()})
            # In the last block this stops nothing, and the trial counts as complete.
            if sum(aligned) > limit:
                break
        return Trial(shares, tuple(aligned), tuple(lost), stopped=len(aligned) < len(model.blocks))

    def _pass(
        self, model: LanguageModel, stream: Stream, shares: Shares
    ) -> Iterator[tuple[Mapping[str, Statistics], Mapping[str, Statistics]]]:
        """Move the windows through the pruned blocks; yield each block's statistics, dense and pruned."""
        for block in model.blocks:
            last = block.index == len(model.blocks) - 1
            with model.present(block), full_precision():
                # Threads share `_first`; none changes it, at worst two compute its cached factor.
                dense = self._first if block.index == 0 else self._watch(block, stream, self.needs)
                # Each block's dense statistics are of inputs that the pruned blocks before it produce.
                with self._pruned(block, dense, shares):
                    pruned = self._advance(block, stream, last=last)
            yield dense, pruned

    def _advance(self, block: Block, stream: Stream, *, last: bool) -> dict[str, Statistics]:
        """Move the windows through the pruned block and return its input norms; the output of the last block
        is not needed.
        """
        if last:
            return self._watch(block, stream, {Need.INPUT_NORM})
        with observe(block.linears, stream.windows, {Need.INPUT_NORM}) as seen:
            stream.advance(block)
        return seen

    def _watch(self, block: Block, stream: Stream, needs: Collection[Need]) -> dict[str, Statistics]:
        """Return statistics of the block's linears without completing its output."""
        unused = (
            [] if Need.OUTPUT_NORM in needs else [block.linears[name] for name in self._leaving[block.index]]
        )
        # `zeroed` goes inside `observe`, as it requires: the hooks must still see the inputs of these
        # linears.
        with observe(block.linears, stream.windows, needs) as seen, zeroed(unused):
            deque(stream.through(block), maxlen=0)
        return seen

    @contextmanager
    def _pruned(self, block: Block, dense: Mapping[str, Statistics], shares: Shares) -> Iterator[None]:
        """Give the block its pruned weights inside the `with`."""
        before = {name: block.linears[name].weight.clone() for name in dense}  # `write` changes it in place
        try:
            with checked_together():
                if Need.HESSIAN in self.needs:
                    factorise(list(dense.values()))
                for name, statistics in dense.items():
                    linear = block.linears[name]
                    linear.write(self.prune(linear, statistics, shares.of(block.index, name)))
            yield
        finally:
            for name, weight in before.items():
                block.linears[name].write(weight)


@contextmanager
def _borrowed(models: SimpleQueue[LanguageModel]) -> Iterator[LanguageModel]:
    """Take a free model inside the `with`."""
    model = models.get()
    try:
        yield model
    finally:
        models.put(model)
        # What is kept of each candidate lies between temporaries that were freed, so glibc holds back ever
        # more: with 135 million weights 0.1 to 0.6 GB after 14 candidates.
        if model.device.type == "cpu" and not model.is_small:
            trim_heap()


@dataclass(frozen=True)
class AllocationContext:
    """What an allocation may look at: the target, the sizes, and the model while it is still dense.

    Attributes:
        target: the requested sparsity.
        sizes: prunable weights of each block.
        model, calibration, prune, needs: None (empty) if only the sizes are known; methods that look at the
            model need them.
        prune: returns the new weight of a linear by the chosen methods, given its statistics (those of
            `needs`) and sparsity.
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
        assert self.model is not None, "only the sizes are known"
        return self.model.blocks

    def present(self, block: Block) -> AbstractContextManager[Block]:
        """Hold the block's weights in memory inside the `with`."""
        assert self.model is not None, "only the sizes are known"
        return self.model.present(block)

    def statistics(self, needs: Collection[Need]) -> Iterator[tuple[Block, Mapping[str, Statistics]]]:
        """Yield each block with the statistics of its linears, collected in one forward pass of the dense
        model over all calibration windows.
        """
        assert self.calibration is not None, "only the sizes are known"
        stream = self.calibration.fork()
        for block in self.blocks:
            with self.present(block):
                with full_precision(), observe(block.linears, stream.windows, needs) as seen:
                    stream.advance(block)
                # Inside `present`, because the caller reads the weights.
                yield block, seen

    def search(self, windows: int) -> Search:
        """Return a search that tries candidates on the first `windows` calibration windows."""
        assert self.model is not None and self.calibration is not None and self.prune is not None, (
            "only the sizes are known"
        )
        ids = torch.cat(self.calibration.ids)[:windows]
        return Search(
            self.model, self.model.record(ids, len(self.calibration.ids[0])), self.prune, self.needs
        )

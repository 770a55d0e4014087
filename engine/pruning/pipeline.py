"""The loop over blocks that prunes a model.

For each block: the calibration windows pass through it dense (statistics), its linears are pruned, and the
windows pass again (their output is the next block's input). The evaluation windows pass along twice, dense
and pruned, so that at the end both perplexities only need the head. Cost without evaluation: two forward
passes over the calibration windows, plus what the methods compute. A linear that is never called stays dense.

On an accelerator the host waits for numbers a few times per block, not per linear, and a block is stored
while the windows pass through it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.errors import NonFiniteError
from engine.events import BlockPruned, Event, LinearPruned, Noted
from engine.hardware.device import Clock, concurrently, full_precision, pass_threads
from engine.hardware.memory import LARGE, trim_heap
from engine.hardware.transfers import HostCopies, checked_together, numbers
from engine.models.block import Block, Linear
from engine.models.causality import CausalityProof
from engine.models.language_model import LanguageModel, Stream
from engine.numbers import listed
from engine.pruning.axes import Shares
from engine.pruning.observation import alignments, divergence, require_finite
from engine.pruning.passes import observe_advance, observe_pass
from engine.pruning.patterns import Sparsity
from engine.pruning.plan import Plan
from engine.pruning.search import AllocationContext
from engine.pruning.statistics import Need, Statistics, factorise
from engine.pruning.weights import BlockWeights, PrunedLinear, restore

SAMPLED_SHARE, SAMPLED_LEAST, SAMPLED_MOST = 1 / 64, 128, 512
"""The output error of a linear is measured on this fraction of the calibration tokens, but on at least and at
most so many; the measurement takes 1.6 % of the two forward passes.
"""


@dataclass
class Streams:
    """The windows at the input of the next block.

    Attributes:
        calibration: passes through the pruned blocks.
        dense, pruned: the evaluation windows in the dense and in the pruned model; None without evaluation.
        first: statistics of the first block by the needs that they cover, which all runs with the same
            calibration windows share; None to keep none.
        proof: checks each dense block before it is pruned; None if that is done.
    """

    calibration: Stream
    dense: Stream | None = None
    pruned: Stream | None = None
    first: MutableMapping[frozenset[Need], dict[str, Statistics]] | None = None
    proof: CausalityProof | None = None


@torch.no_grad()
def allocate(
    model: LanguageModel, calibration: Stream, plan: Plan, sparsity: float
) -> Generator[Event, None, Shares]:
    """Return how much each block of a dense model loses, in total `sparsity`; yield what the allocation
    measures as events.
    """

    def prune(linear: Linear, statistics: Statistics, share: Sparsity) -> Tensor:
        return plan.prune(linear.weight, statistics, share, linear.place).weight

    return (
        yield from plan.allocate(
            AllocationContext(sparsity, model.sizes, model, calibration, prune, plan.needs)
        )
    )


@torch.no_grad()
def prune_blocks(
    model: LanguageModel,
    streams: Streams,
    plan: Plan,
    shares: Shares,
    kept: MutableMapping[int, BlockWeights],
    clock: Clock,
) -> Iterator[Event]:
    """Prune the model's blocks in place, first to last, and yield their events.

    Args:
        shares: the sparsity of each block.
        kept: receives the pruned weights of each block; blocks that it holds already are restored from it.

    Raises:
        ModelError: the model is not causal.
        NonFiniteError: a number is NaN or infinite; the message names the block.
    """
    # One pass of a small model keeps one core busy, so its batches pass in two threads.
    with pass_threads(small=model.is_small) as pool:
        for block in model.blocks:
            with _present(model, block, clock):
                if streams.proof is not None:
                    streams.proof.check(block)
                try:
                    with full_precision():
                        events = _prune_block(block, streams, plan, shares, kept, clock, pool)
                except NonFiniteError as error:
                    raise NonFiniteError(f"Block {block.index}: {error}") from error
            # After the block is released: the consumer decides when this generator goes on.
            yield from events


@contextmanager
def _present(model: LanguageModel, block: Block, clock: Clock) -> Iterator[None]:
    """Hold the block's weights in memory; reading them counts as loading."""
    with ExitStack() as stack:
        with clock.phase("load"):
            stack.enter_context(model.present(block))
        yield


def _prune_block(
    block: Block,
    streams: Streams,
    plan: Plan,
    shares: Shares,
    kept: MutableMapping[int, BlockWeights],
    clock: Clock,
    pool: Executor | None,
) -> list[Event]:
    """Prune one block and move all windows to the next one; return its events, none for a restored block."""
    start = clock.now()
    if block.index in kept:
        _advance(streams.dense, block, clock)
        # The dense windows have passed by now; from here on the block is pruned.
        restore(block, kept[block.index])
        _advance_pruned(streams, block, clock, {}, pool)
        return []
    statistics = _observe(streams, block, plan, clock, pool)
    require_finite(block, streams.calibration, statistics)
    # Read here because pruning consumes the statistics.
    dense = {name: seen.input_norm for name, seen in statistics.items()}
    with clock.phase("prune"):
        results, weights = _prune_linears(block, statistics, plan, shares, clock.device)
    with _storing(kept, block.index, weights, clock):
        del weights  # if they are on disk now, the windows need not pass with them in memory
        pruned = _advance_pruned(streams, block, clock, {name: block.linears[name] for name in dense}, pool)
    event = _event(block, streams, results, _alignment(dense, pruned), clock, start)
    if event.not_finite:
        names = [linear.name for linear in event.linears if linear.not_finite]
        of = f"outputs of {listed(names)}" if names else "activations"
        raise NonFiniteError(f"After pruning, the {of} are not finite.")
    return [*_notes(block, results), event]


def _observe(
    streams: Streams, block: Block, plan: Plan, clock: Clock, pool: Executor | None
) -> dict[str, Statistics]:
    """Return the statistics of the block's linears, by name, from one dense pass of the calibration windows;
    move the dense evaluation windows to the next block.
    """
    stream = streams.calibration
    tokens = sum(ids.numel() for ids in stream.ids)
    # The norms are for the alignment, the sample for the output errors.
    needs = frozenset(plan.needs | {Need.INPUT_NORM, Need.SAMPLE})
    if plan.compensated:
        needs |= {Need.INPUT_SUM}
    if block.index == 0 and streams.first is not None and needs in streams.first:
        _advance(streams.dense, block, clock)
        return deepcopy(
            streams.first[needs]
        )  # pruning consumes them; linears that share one still do in the copy
    # `_evaluating` comes first, so that its wait falls outside the phase, and ends before the block is
    # pruned. What observes the pass ignores the windows in its thread.
    with _evaluating(streams.dense, block, clock, pool), clock.phase("statistics"):
        seen = observe_pass(block, stream, needs, sample=sample_size(tokens), tokens=tokens, pool=pool)
    found = {name: seen[name] for name in block.linears if name in seen}  # in the block's order
    if block.index == 0 and streams.first is not None:
        streams.first[needs] = deepcopy(found)  # `found` is about to be consumed
    return found


def sample_size(tokens: int) -> int:
    """Return on how many of `tokens` calibration tokens a linear's output error is measured."""
    return min(max(int(tokens * SAMPLED_SHARE), SAMPLED_LEAST), SAMPLED_MOST)


def _advance(stream: Stream | None, block: Block, clock: Clock) -> None:
    with _evaluating(stream, block, clock, None):
        pass


@contextmanager
def _evaluating(stream: Stream | None, block: Block, clock: Clock, pool: Executor | None) -> Iterator[None]:
    """Move an evaluation stream through the block, concurrently with the `with` if there is a pool; only the
    time spent waiting for it counts as evaluation.
    """
    if stream is None:
        yield
        return
    with concurrently(lambda: stream.advance(block), pool) as wait:
        yield
        with clock.phase("evaluate"):
            wait()


@contextmanager
def _storing(
    kept: MutableMapping[int, BlockWeights], index: int, weights: BlockWeights, clock: Clock
) -> Iterator[None]:
    """Store a block's weights: before the `with`, or during it if an accelerator does the work there."""
    if clock.device.type == "cpu":
        with clock.phase("prune"):
            kept[index] = weights
        del weights
        yield
        return
    store = partial(kept.__setitem__, index, weights)
    with ThreadPoolExecutor(1) as pool, concurrently(store, pool) as wait:
        yield
        with clock.phase("prune"):
            wait()


@dataclass(frozen=True)
class _Result:
    """What was done to one linear.

    Attributes:
        measured: numbers that `LinearPruned` reports, on the linear's device, where they may still be
            computed.
    """

    shape: tuple[int, int]
    measured: dict[str, Tensor]
    warnings: tuple[str, ...]


def _prune_linears(
    block: Block, statistics: dict[str, Statistics], plan: Plan, shares: Shares, device: torch.device
) -> tuple[dict[str, _Result], BlockWeights]:
    """Prune the block's linears in place; their statistics are consumed."""
    results: dict[str, _Result] = {}
    weights: BlockWeights = {}
    copies = HostCopies(device)
    # The temporaries of a large linear cannot use the memory that the windows left behind, so it is returned
    # before and after. Those of smaller ones can, and to touch it again would take a tenth of a run's time.
    # Those of the linears themselves are always reused: allocating them costs as much as using them.
    tidy = device.type == "cpu" and any(
        linear.weight.numel() * torch.float32.itemsize >= LARGE for linear in block.linears.values()
    )
    if tidy:
        trim_heap()
    with checked_together():
        if Need.HESSIAN in plan.needs:
            factorise(list(statistics.values()))
        for name in list(statistics):  # a copy: entries are removed below
            # Popped, so that the memory is free once the last linear that shares it is done.
            results[name], weights[name] = _prune(
                block.linears[name], statistics.pop(name), plan, shares.of(block.index, name), copies
            )
    copies.wait()
    if tidy:
        trim_heap()
    return results, weights


def _prune(
    linear: Linear, statistics: Statistics, plan: Plan, sparsity: Sparsity, copies: HostCopies
) -> tuple[_Result, PrunedLinear]:
    """Prune one linear in place."""
    before = linear.weight.to(torch.float32, copy=True)  # `write` changes the weight
    outcome = plan.prune(before, statistics, sparsity, linear.place)
    linear.write(outcome.weight)
    sample = statistics.sample.float()
    outputs = sample @ before.T  # [sampled tokens, out]
    after, bias, wanted = linear.weight.float(), None, outputs  # as stored, rounded to the model's dtype
    if linear.path in plan.compensated:
        bias, shift = compensate(linear, before, after, statistics)
        wanted = outputs - shift

    removed, zero = outcome.keep.numel() - outcome.keep.count_nonzero(), before == 0
    measured = {
        "removed": removed,
        "tied": outcome.ties[0],
        "tied_removed": outcome.ties[1],
        # Without an update the mask says where zeros are.
        "zeros": _zeros(linear.weight)
        if plan.update.touches
        else removed + (zero & outcome.keep).count_nonzero(),
        "initial_zeros": zero.count_nonzero(),
        "output_error": output_error(sample, wanted, after, outputs),
    }
    if plan.update.touches:
        measured["error_before_update"] = output_error(sample, outputs, before * outcome.keep)
    if plan.refinement.touches and outcome.unrefined is not None and outcome.refined is not None:
        measured["error_before_refinement"] = output_error(sample, outputs, before * outcome.unrefined)
        measured |= outcome.refined.measured
    # Without an update the mask describes the result, and the weight need not be stored.
    weight = copies.add(outcome.weight.to(linear.weight.dtype)) if plan.update.touches else None
    return (
        _Result(linear.shape, measured, outcome.warnings),
        PrunedLinear(copies.add(outcome.keep), weight, None if bias is None else copies.add(bias)),
    )


def compensate(
    linear: Linear, before: Tensor, after: Tensor, statistics: Statistics
) -> tuple[Tensor, Tensor]:
    """Add to a linear's bias what its output lost on average (FLAP, arXiv 2312.11983).

    Of all biases, this one has the smallest output error with these weights: the mean of what is left of the
    error is 0. Whatever a weight update does, it comes first.

    Args:
        before, after: the dense and the new weight, `[out, in]` float32.
        statistics: with `Need.INPUT_SUM`.

    Returns:
        The new bias in the model's dtype, and by how much it changed in float32, `[out]` each.
    """
    old = linear.bias
    lost = (before - after) @ statistics.input_mean  # [out]
    linear.write_bias(lost if old is None else old.float() + lost)
    new = linear.bias
    assert new is not None, "just written"
    return new, new.float() - (0.0 if old is None else old.float())


def _linear_events(results: Mapping[str, _Result]) -> tuple[LinearPruned, ...]:
    """Return the events of a block's linears; only here the host waits for their numbers."""
    values = iter(numbers([tensor for result in results.values() for tensor in result.measured.values()]))
    events = []
    for name, result in results.items():
        rows, columns = result.shape
        found = {field: next(values) for field in result.measured}
        zeros = found.pop("zeros")
        kept_zeros = zeros - found["removed"]
        events.append(
            LinearPruned(
                name=name,
                rows=rows,
                columns=columns,
                sparsity=zeros / (rows * columns),
                kept_zeros=kept_zeros,
                **found,
            )
        )
    return tuple(events)


def _zeros(tensor: Tensor) -> Tensor:
    # Counting the entries of the tensor itself branches on each of them, and takes ten times as long.
    return (tensor == 0).count_nonzero()


def output_error(inputs: Tensor, outputs: Tensor, weight: Tensor, reference: Tensor | None = None) -> Tensor:
    """Return `||Y - X W^T||_F / ||Y||_F` for inputs X `[tokens, in]`, dense outputs Y `[tokens, out]` and a
    weight `[out, in]`; 0 if Y is 0, and NaN if a number is not finite. It has no dimensions.

    Args:
        reference: whose norm is the denominator, if it is another one than `outputs`.
    """
    norm = (outputs if reference is None else reference).norm()
    return ((outputs - inputs @ weight.T).norm() / norm).where(norm != 0, 0)


def _advance_pruned(
    streams: Streams, block: Block, clock: Clock, linears: Mapping[str, Linear], pool: Executor | None
) -> dict[str, Statistics]:
    """Move calibration and evaluation windows through the pruned block; return statistics with the input
    norms.
    """
    with _evaluating(streams.pruned, block, clock, pool), clock.phase("propagate"):
        return observe_advance(block, streams.calibration, {Need.INPUT_NORM}, linears, pool=pool)


def _alignment(dense: Mapping[str, Tensor], pruned: Mapping[str, Statistics]) -> float:
    return sum(alignments((norm, pruned[name].input_norm) for name, norm in dense.items()))


def _notes(block: Block, results: Mapping[str, _Result]) -> Iterator[Noted]:
    """Yield notes and warnings about the block; a warning about many experts is given once."""
    unseen = [linear for name, linear in block.linears.items() if name not in results]
    for linear in unseen:
        if linear.expert is None:
            yield Noted(
                message=f"{linear.path} is never called as a module by this model, so it was left dense."
            )
    fallbacks: dict[str, dict[int, str]] = {}
    for name, result in results.items():
        linear = block.linears[name]
        for warning in result.warnings:
            if linear.expert is None:
                yield Noted(message=f"{linear.path}: {warning}.")
            else:  # `mlp.experts.3.down_proj` is grouped under `mlp.experts.*.down_proj`
                fallbacks.setdefault(
                    linear.path.replace(f".{linear.expert}.{linear.parameter}", f".*.{linear.parameter}"), {}
                )[linear.expert] = warning
    for path, warnings in fallbacks.items():
        first, words = next(iter(warnings.items()))
        yield Noted(message=f"{path}, experts {', '.join(map(str, warnings))}; of expert {first}: {words}.")


def _event(
    block: Block, streams: Streams, results: Mapping[str, _Result], aligned: float, clock: Clock, start: float
) -> BlockPruned:
    linears = _linear_events(results)
    unpruned = [_zeros(linear.weight) for name, linear in block.linears.items() if name not in results]
    error, cosine = (None, None)
    if streams.dense is not None and streams.pruned is not None:
        error, cosine = divergence(streams.dense, streams.pruned)
    return BlockPruned(
        index=block.index,
        # Over the pruned linears only; ones that are never called do not count.
        sparsity=sum(linear.zeros for linear in linears)
        / max(1, sum(linear.rows * linear.columns for linear in linears)),
        alignment=aligned,
        relative_error=error,
        cosine=cosine,
        seconds=clock.now() - start,
        linears=linears,
        unpruned_zeros=sum(numbers(unpruned)),
    )

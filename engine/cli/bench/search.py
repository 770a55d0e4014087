"""`bench --shape search`: NeuroAL's search against plain ones, with the same windows, candidates and threads.

A plain search does what the paper says and nothing else: for each candidate it runs every block dense and
then pruned, over all windows. One plain search has this project's batches and masks, so that only the search
differs; the other runs window by window and makes its masks by sorting, as published code does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from engine.corpora.windows import calibration_windows
from engine.events import CandidateChosen
from engine.hardware.device import threads_for
from engine.models.block import Linear
from engine.models.language_model import LanguageModel
from engine.progress import drain
from engine.pruning.axes import Shares
from engine.pruning.observation import alignment, observe
from engine.pruning.patterns import Sparsity, removed
from engine.pruning.plan import Plan
from engine.pruning.search import AllocationContext, Search, Trial
from engine.pruning.statistics import Need, Statistics

TARGET = 0.6  # sparsity


class PlainSearch(Search):
    """The search without any of its optimisations."""

    def trials(self, candidates: Sequence[Shares], *, stop: bool = False) -> Iterator[Trial]:
        return map(self._plain, candidates)

    @torch.no_grad()
    def _plain(self, shares: Shares) -> Trial:
        stream, aligned, lost = self.stream.fork(), [], []
        for block in self.model.blocks:
            with observe(block.linears, stream.windows, self.needs) as dense:
                # On a fork, because the same windows pass again below, pruned.
                stream.fork().advance(block)
            with (
                self._pruned(block, dense, shares),
                observe(block.linears, stream.windows, {Need.INPUT_NORM}) as pruned,
            ):
                stream.advance(block)
            aligned.append(sum(alignment(dense[name].input_norm, pruned[name].input_norm) for name in dense))
            lost.append({name: dense[name].input_norm - pruned[name].input_norm for name in dense})
        return Trial(shares, tuple(aligned), tuple(lost))


@dataclass(frozen=True)
class _PlainContext(AllocationContext):
    def search(self, windows: int) -> Search:
        search = super().search(windows)
        return PlainSearch(search.model, search.stream, search.prune, search.needs)


@dataclass(frozen=True)
class _PublishedContext(AllocationContext):
    def search(self, windows: int) -> Search:
        search = super().search(windows)
        one_by_one = search.model.record(torch.cat(search.stream.ids), 1)  # one window per batch
        return PlainSearch(search.model, one_by_one, _sorted_wanda, search.needs)


def _sorted_wanda(linear: Linear, statistics: Statistics, sparsity: Sparsity) -> torch.Tensor:
    """Prune within rows by Wanda's score, with a stable sort of every row."""
    columns = linear.shape[1]
    # Columns by ascending score, [out, in]
    order = (linear.weight.abs() * statistics.input_norm).sort(dim=1, stable=True).indices
    if isinstance(sparsity, torch.Tensor):
        # Removed per row, [out]; rounded first, as in `patterns.removed_by_row`
        counts = columns - (columns * (1 - sparsity)).round(decimals=6).floor()
    else:
        counts = torch.full((len(order),), float(removed(columns, sparsity)))
    # keep[row, order[row, place]] = place >= counts[row]
    mask = torch.empty_like(order, dtype=torch.bool).scatter_(
        1, order, torch.arange(columns) >= counts[:, None]
    )
    return linear.weight * mask


def compare(model: LanguageModel, ids: torch.Tensor, batch: int, rounds: int) -> None:
    """Print the seconds of all searches, the best of several interleaved rounds, and what they chose.

    Args:
        ids: `[windows, tokens]`.
        batch: windows per batch.
    """
    stream = model.record(ids, batch)
    plan = Plan.of(score="wanda", allocation="neuroal")

    def prune(linear: Linear, statistics: Statistics, sparsity: Sparsity) -> torch.Tensor:
        return plan.prune(linear.weight, statistics, sparsity, linear.place).weight

    kinds: dict[str, type[AllocationContext]] = {
        "as published": _PublishedContext,
        "plain": _PlainContext,
        "this project": AllocationContext,
    }
    # All contexts share the model and the stream, so their times differ by the search alone.
    contexts = {
        kind: context(TARGET, model.sizes, model, stream, prune, plan.needs)
        for kind, context in kinds.items()
    }
    settings = (
        (("as in a run with evaluation", False), ("all threads", True))
        if model.is_small
        else (("all threads", True),)
    )
    for label, alone in settings:
        best: dict[str, float] = {}
        chosen: dict[str, list[float]] = {}
        with threads_for(small=model.is_small, alone=alone):
            for _ in range(rounds):
                for kind, context in contexts.items():
                    start = time.perf_counter()
                    events = list(plan.allocate(context))
                    best[kind] = min(best.get(kind, float("inf")), time.perf_counter() - start)
                    chosen[kind] = [event.strength for event in events if isinstance(event, CandidateChosen)]
            threads = torch.get_num_threads()
        print(f"  {label}, {threads} threads", flush=True)
        for kind, seconds in best.items():
            same = "same choice" if chosen[kind] == chosen["this project"] else "DIFFERENT CHOICE"
            print(
                f"    {kind:<12} {seconds:7.2f} s, "
                f"this project takes {best['this project'] / seconds:.2f} of it; "
                f"lambda {chosen[kind]}, {same}",
                flush=True,
            )


def windows_of(model: LanguageModel, windows: int, length: int) -> torch.Tensor:
    """Return windows `[windows, length]` of the bundled stories, or random ids if there is no tokenizer."""
    if model.tokenizer is None:
        return torch.randint(
            0, model.vocabulary, (windows, length), generator=torch.Generator().manual_seed(0)
        )
    return drain(
        calibration_windows(
            "stories", model.tokenizer, model.vocabulary, samples=windows, length=length, seed=0
        )
    ).ids

"""On an accelerator the host waits a few times per block, whichever methods are chosen and however many
linears and batches there are; and the masks are the CPU's.

A GPU works through what is queued while the host prepares the next step, so each number that the host asks
for stops both.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from engine.events import BlockPruned, Event
from engine.hardware.device import Clock
from engine.models.language_model import LanguageModel
from engine.pruning import search, selection
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, SCORES, UPDATES, Shares
from engine.pruning.patterns import Group
from engine.pruning.pipeline import Streams, allocate, prune_blocks
from engine.pruning.plan import Plan
from engine.pruning.selection import count_th_lowest_by_bits
from engine.pruning.weights import BlockWeights
from tests.models.families import VOCABULARY, spread_out
from tests.pruning.accelerator import move, simulated, waits
from tests.pruning.calls import SMALL_SEARCHES

WINDOWS, BATCH, TOKENS = 3, 2, 4
LINEARS = 7
PER_BLOCK = 9
"""Waits per block: for its inputs, factors, conditions, numbers, copies and activations."""
WAITS_OF_SWAPS = 100
"""Waits per linear of SparseSwaps: up to ten per swap of all rows, however many rows there are."""


def cases() -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield a label, the choices, and how often the host waits for each linear on top of `PER_BLOCK`."""
    for name, score in SCORES.items():
        yield name, {"score": name, "pattern": "2:4" if score.joint else "unstructured"}, 0
    for name in UPDATES:
        # The sizes of the rows' systems decide the shapes of tensors.
        # ALPS looks every three iterations whether the mask still changes.
        per_linear = {"mrp": 4, "thanos": 4, "alps": 1 + 36 // 3}.get(name, 0)
        settings = {"alps.iterations": 36} if name == "alps" else {}
        yield f"update {name}", {"score": "sparsegpt", "update": name, "settings": settings}, per_linear
    yield "update obs 2:4", {"score": "sparsegpt", "update": "obs", "pattern": "2:4"}, 0
    for name, refinement in REFINEMENTS.items():
        if refinement.touches:
            # The best swap depends on the one before, and so does whether another one helps.
            per_linear = WAITS_OF_SWAPS * (name == "sparseswaps")
            yield name, {"score": "wanda", "refinement": name}, per_linear
            # In groups with few partners, many are used up, and several swaps per row are made.
            settings = {f"{name}.cycles": 4, f"{name}.threshold": 0.0}
            choices = {"score": "wanda", "refinement": name, "pattern": "1:4", "settings": settings}
            yield f"{name} 1:4", choices, per_linear
    for group in Group:
        yield f"group {group}", {"score": "wanda", "group": group}, 0
    yield "zigzag", {"score": "ria", "pattern": "2:4", "permutation": "zigzag"}, 0
    # The host solves the assignment of the columns at each of four places.
    yield "assignment", {"score": "ria", "pattern": "2:4", "permutation": "assignment"}, 4


CASES = {label: (choices, per_linear) for label, choices, per_linear in cases()}


def tiny(blocks: int) -> LanguageModel:
    return LanguageModel(deepcopy(_module(blocks)))


@cache
def _module(blocks: int) -> nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=blocks,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    torch.manual_seed(0)
    return spread_out(transformers.AutoModelForCausalLM.from_config(config))


def pruned(model: LanguageModel, plan: Plan) -> tuple[Shares, dict[int, BlockWeights], list[Event]]:
    ids = torch.randint(0, VOCABULARY, (WINDOWS, TOKENS), generator=torch.Generator().manual_seed(1))
    streams = Streams(model.record(ids, BATCH))
    streams.dense = model.record(ids.flip(1), BATCH)
    streams.pruned = streams.dense.fork()
    waits.clear()  # from here on per block

    allocating = allocate(model, streams.calibration, plan, 0.5)
    kept: dict[int, BlockWeights] = {}
    while True:
        try:
            next(allocating)
        except StopIteration as end:
            shares: Shares = end.value
            break
    events = list(prune_blocks(model, streams, plan, shares, kept, Clock(model.device)))
    return shares, kept, events


def both(plan: Plan, blocks: int) -> list[tuple[Shares, dict[int, BlockWeights], list[Event]]]:
    """Prune on the CPU and on the simulated device."""
    on_cpu = pruned(tiny(blocks), plan)
    model = tiny(blocks)
    with simulated():
        move(model.module)
        return [on_cpu, pruned(model, plan)]


@pytest.mark.parametrize("label", CASES)
def test_the_host_waits_per_block_and_masks_are_those_of_the_cpu(
    label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices, per_linear = CASES[label]
    if "group" not in choices:
        sort_for_cuts(monkeypatch)
    (_, expected, events), (_, kept, found) = both(Plan.of(**choices), 1)
    assert sum(waits.values()) <= PER_BLOCK + LINEARS * per_linear, dict(waits)
    for index, block in expected.items():
        for name, linear in block.items():
            assert torch.equal(kept[index][name].keep, linear.keep), f"{index} {name}"
            if linear.weight is not None:
                assert torch.allclose(kept[index][name].weight, linear.weight, rtol=1e-4, atol=1e-5), name
    for one, other in zip(events, found, strict=True):
        if isinstance(one, BlockPruned) and isinstance(other, BlockPruned):
            for left, right in zip(one.linears, other.linears, strict=True):
                for field, value in left.model_dump(exclude={"name"}, exclude_none=True).items():
                    assert getattr(right, field) == pytest.approx(value, rel=1e-4, abs=1e-6), field


class Inline:
    """Stands in for a pool of threads, in which the simulated device is not known."""

    def __init__(self, workers: int) -> None: ...

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


PER_TRIAL = 2
"""Waits per block and candidate of a search."""


MORE = {
    "owl": 2 * 2,  # two sums per block
    "alphapruning": 2 * LINEARS * 2,  # the fits are made on the host
    "global-magnitude": 2 * LINEARS * 2,  # counting by value waits for the largest one anyway
    "evopress": 2 * 12,  # of the few candidates, each one's prunings and predictions
    "neuroal": 2 * 5 * PER_TRIAL + 2 * 2 * LINEARS,  # the data flow of each linear, once per search
}
"""Waits of allocations that look at a model of two blocks, in addition to those of pruning it."""


@pytest.mark.parametrize("name", [name for name, each in ALLOCATIONS.items() if not each.from_user])
def test_allocations_wait_once_per_block_and_candidate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "ThreadPoolExecutor", Inline)
    sort_for_cuts(monkeypatch)
    for step in ("BLOCK_STRENGTHS", "ROW_STRENGTHS"):  # two candidates each, not fifteen
        monkeypatch.setattr(f"engine.pruning.allocations.neuroal.{step}", (0.0, 0.1))
    settings = SMALL_SEARCHES.get(name, {})
    plan = Plan.of(score="wanda", allocation=name, group=Group.ROW, settings=settings)
    (expected, *_), (shares, *_) = both(plan, 2)
    assert sum(waits.values()) <= 2 * PER_BLOCK + MORE.get(name, 0), dict(waits)
    assert shares.blocks == pytest.approx(expected.blocks)
    for block, rows in expected.rows.items():
        for linear, sparsities in rows.items():
            assert torch.allclose(shares.rows[block][linear], sparsities)


def sort_for_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find cuts by sorting: bit by bit takes most of the time of the simulated device, and the cases with a
    comparison group do it.
    """
    monkeypatch.setattr(selection, "count_th_lowest_by_bits", count_th_lowest_by_sorting)


def count_th_lowest_by_sorting(score: Tensor, count: int | Tensor) -> Tensor:
    ascending = score.sort(dim=1).values
    if isinstance(count, int):
        return ascending[:, count - 1 : count]
    return ascending.gather(1, (count - 1).clamp(min=0)[:, None])


def test_a_threshold_found_by_bits_is_the_sorted_one() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(50, 33, generator=generator).round(decimals=1)  # ties, both signs, and zeros
    score[0] = torch.tensor([0.0, -0.0, torch.inf]).repeat(11)
    score[1] = -torch.inf
    score[2] *= 1e-44  # not normal
    counts = torch.randint(0, 34, (50,), generator=generator)
    for count in (counts, 7):
        assert torch.equal(count_th_lowest_by_bits(score, count), count_th_lowest_by_sorting(score, count))

"""Runs in this process, and whether two of them came out the same."""

from __future__ import annotations

import torch

from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache

Outcome = tuple[RunRecord, dict[int, BlockWeights]]


def computed(recipe: Recipe, models: ModelCache | None = None) -> Outcome:
    """Run a recipe to its end, with a freshly loaded model or one of `models`."""
    blocks: dict[int, BlockWeights] = {}
    record = RunRecord.fold(run(recipe, blocks, None, models))
    assert record.state == "finished", record.error
    return record, blocks


def require_same(one: Outcome, other: Outcome) -> None:
    """Compare everything but what a clock or a meter says, the weights bit for bit."""
    assert _timeless(one[0]) == _timeless(other[0])
    require_same_weights(one[1], other[1])


def require_same_weights(one: dict[int, BlockWeights], other: dict[int, BlockWeights]) -> None:
    assert one.keys() == other.keys()
    for index, block in one.items():
        assert block.keys() == other[index].keys()
        for name, linear in block.items():
            twin = other[index][name]
            assert torch.equal(linear.keep, twin.keep)
            assert (linear.weight is None) == (twin.weight is None)
            assert linear.weight is None or torch.equal(linear.weight, twin.weight)


def _timeless(record: RunRecord) -> RunRecord:
    blocks = tuple(block.model_copy(update={"seconds": 0.0, "elapsed": 0.0}) for block in record.blocks)
    nothing = {"elapsed": 0.0, "started": None, "timings": {}, "peak_host": None, "peak_device": None}
    protocol = record.protocol.model_copy(update={"calibration": None, "evaluation": None, "evaluations": ()})
    return record.model_copy(update={"blocks": blocks, "protocol": protocol, **nothing})

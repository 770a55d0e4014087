"""An imitation of `engine.run.run` for tests of the folder alone: the same events in the same order."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path

import torch

from engine.events import BlockPruned, Environment, Event, Finished, LinearPruned, Resumed, RunStarted
from engine.pruning.weights import BlockWeights, PrunedLinear
from engine.recipe import Recipe

BLOCKS = 4
ENVIRONMENT = Environment(
    prunescope="0",
    python="3",
    torch="2",
    transformers="5",
    platform="test",
    device="cpu",
    device_name="test",
    threads=1,
)


def started(recipe: Recipe) -> RunStarted:
    return RunStarted(
        key=recipe.key, recipe=recipe.model_dump(mode="json"), started="2026-01-01", environment=ENVIRONMENT
    )


def block(index: int) -> BlockPruned:
    linear = LinearPruned(name="up", rows=8, columns=8, removed=32, sparsity=0.5, output_error=0.1)
    return BlockPruned(
        index=index,
        sparsity=0.5,
        alignment=0.1,
        relative_error=0.1,
        cosine=0.9,
        seconds=0.1,
        linears=(linear,),
    )


def run(
    recipe: Recipe, kept: MutableMapping[int, BlockWeights], cache: Path | None = None, bench: object = None
) -> Iterator[Event]:
    yield started(recipe)
    if kept:
        yield Resumed(blocks=len(kept))
    for index in range(BLOCKS):
        if index not in kept:
            keep = torch.arange(64).view(8, 8) % (index + 2) == 0
            kept[index] = {"up": PrunedLinear(keep)}
            yield block(index)
    yield Finished(coverage=0.9, timings={}, peak_host=None, peak_device=None)

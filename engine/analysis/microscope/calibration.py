"""The calibration windows of a run at the input of one of its blocks, passed through the pruned blocks before
it.

These are the inputs that the run itself observed there. A pass to the last block of the bundled model takes
about a second. So the process caches the inputs of all blocks of the last run that was inspected, on a CPU
and if they need little of the free memory: the next linear or block then costs one block at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from engine.corpora.windows import calibration_windows
from engine.hardware.memory import MemoryPlan, host_free
from engine.models.language_model import LanguageModel, Stream
from engine.models.summary import context_length
from engine.progress import drain
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe

SHARE = 0.1
"""Maximum share of the free memory that the cache may take."""


class BlockInputs:
    """The calibration inputs of the blocks of one run, computed up to the last block that was requested."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: str | None = None  # of the cached run; None if nothing may be cached
        self._streams: dict[int, Stream] = {}  # block -> windows at its input; never advanced

    def stream_at(
        self,
        model: LanguageModel,
        recipe: Recipe,
        kept: Mapping[int, BlockWeights],
        index: int,
        cache: Path | None = None,
    ) -> Stream:
        """Return the windows at the input of block `index`.

        Args:
            model: dense; unless it is streamed, this prunes its blocks before `index` in place.
            kept: the pruned weights of the blocks before it.
            cache: where token windows are stored.

        Raises:
            CorpusError: the text cannot be read.
        """
        # Held during the computation, so that a second page waits for the inputs instead of computing them
        # again.
        with self._lock:
            if self._key != recipe.key:  # also if the last run's inputs were not cached
                self._begin(recipe.key, record(model, recipe, cache), len(model.blocks))
            nearest = max(block for block in self._streams if block <= index)  # block 0 is always among them
            stream = self._streams[nearest].fork()
            for block in model.blocks[nearest:index]:
                with model.present(block):
                    restore(block, kept[block.index])
                    stream.advance(block)
                if self._key is not None:
                    self._streams[block.index + 1] = stream.fork()
            return stream

    def _begin(self, key: str, start: Stream, blocks: int) -> None:
        """Drop the last run's inputs, and cache this one's if they fit."""
        # One copy of the hidden states per block.
        needed, free = blocks * sum(hidden.nbytes for hidden in start.hidden), host_free()
        on_host = all(ids.device.type == "cpu" for ids in start.ids)
        self._key = key if on_host and free is not None and needed <= SHARE * free else None
        self._streams = {0: start}


def record(model: LanguageModel, recipe: Recipe, cache: Path | None) -> Stream:
    """Return the recipe's calibration windows at the first block, in the same batches as in a run."""
    choice = {
        "samples": recipe.samples,
        "length": recipe.window(context_length(model.module.config)),
        "seed": recipe.seed,
    }
    windows = drain(
        calibration_windows(recipe.calibration, model.tokenizer, model.vocabulary, **choice, cache=cache)
    )
    memory = MemoryPlan.for_device(model.device, model.residence, offload=model.device.type != "cpu")
    return model.record(windows.ids, memory.windows_per_batch(windows.ids.shape[1]), offload=memory.offload)

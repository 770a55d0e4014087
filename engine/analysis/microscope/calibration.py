"""The calibration windows of a run at the input of one of its blocks, passed through the pruned blocks before
it.

These are the inputs that the run itself observed there. A pass to the last block of the bundled model takes
about a second. So on a CPU the process caches the inputs of all blocks that were inspected, within the limits
of `engine.hardware.shared_cache`: the next linear or block then costs one block at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from engine.corpora.windows import calibration_windows
from engine.hardware.memory_plan import MemoryPlan
from engine.hardware.shared_cache import SHARED, SharedCache
from engine.models.language_model import LanguageModel, Stream
from engine.models.summary import context_length
from engine.progress import drain
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe


class BlockInputs:
    """The calibration inputs of the blocks of runs, each computed up to the last block that was requested."""

    def __init__(self, cache: SharedCache = SHARED) -> None:
        self._cache = cache
        self._lock = Lock()

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
            # Block -> windows at its input, which are never advanced. Block 0 is always among them.
            streams: dict[int, Stream] = self._cache.take(self, recipe.key) or {
                0: record(model, recipe, cache)
            }
            keeps = self._keeps(streams[0], len(model.blocks))
            nearest = max(block for block in streams if block <= index)
            stream = streams[nearest].fork()
            for block in model.blocks[nearest:index]:
                with model.present(block):
                    restore(block, kept[block.index])
                    stream.advance(block)
                if keeps:
                    streams[block.index + 1] = stream.fork()
            if keeps:
                self._cache.put(self, recipe.key, streams)
            return stream

    def _keeps(self, start: Stream, blocks: int) -> bool:
        """Return whether a run's inputs can be cached: on a CPU, one copy of the hidden states per block."""
        on_host = all(ids.device.type == "cpu" for ids in start.ids)
        return on_host and self._cache.fits({"host": blocks * sum(hidden.nbytes for hidden in start.hidden)})


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
    windows = windows.in_order(recipe.order)
    memory = MemoryPlan.for_device(model.device, model.residence, offload=model.device.type != "cpu")
    return model.record(windows.ids, memory.windows_per_batch(windows.ids.shape[1]), offload=memory.offload)

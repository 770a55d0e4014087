"""What the runs of one process have in common, kept from one to the next: the loaded model, the texts'
windows at its first block, the dense model's pass over the evaluation text with its perplexity, and what the
first block sees of the calibration text.

All of it follows from the model and the texts alone, so a run that finds it here gives the same result, to
the last bit, as one that makes it anew. The bench holds one model at a time; another one clears it. Nothing
is kept of a model that is read block by block, or of which two would take more than `SHARE` of the memory
that is free.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from torch import Tensor

from engine.hardware.memory import device_free, host_free
from engine.models.block import Block
from engine.models.language_model import LanguageModel, Stream

SHARE = 0.25
"""Of the free memory, the most that one kind of thing may take to be kept."""

Thing = TypeVar("Thing")


class Workbench:
    """The things of one model; a bench that does not `keep` makes everything anew."""

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._taken = Lock()
        self.clear()

    def clear(self) -> None:
        """Let go of everything."""
        self._place: Hashable = None
        self._model: LanguageModel | None = None
        self._weights: dict[str, Tensor] = {}
        self._things: dict[Hashable, Any] = {}

    @property
    def keeps(self) -> bool:
        """Whether what is put on it stays."""
        return self._model is not None

    @contextmanager
    def taken(self) -> Iterator[Workbench]:
        """The bench for one run; where another thread's run has it, one that keeps nothing."""
        if not self._taken.acquire(blocking=False):
            yield Workbench(keep=False)
            return
        try:
            yield self
        finally:
            self._taken.release()

    def model(self, place: Hashable, load: Callable[[], LanguageModel]) -> LanguageModel:
        """The dense model; `place` is what decides about it: directory, dtype, device, residence."""
        if self._model is None or self._place != place:
            self.clear()
            model = load()
            if not self._has_room(model):
                return model
            self._place, self._model = place, model
            self._weights = {path: linear.weight.clone() for path, linear in model.linears.items()}
        for path, linear in self._model.linears.items():
            linear.write(self._weights[path])
        return self._model

    def recall(self, name: Hashable, make: Callable[[], Thing]) -> Thing:
        """A thing of this model by its name, made where it is not there yet."""
        if not self.keeps:
            return make()
        if name not in self._things:
            self._things[name] = make()
        thing: Thing = self._things[name]
        return thing

    def remembered(self, stream: Stream) -> Stream:
        """A stream that remembers its way through the blocks, where there is room for that."""
        needed = sum(hidden.nbytes for hidden in stream.hidden) * len(stream.calls)
        if self._model is None or needed > SHARE * _free(self._model):
            return stream
        return Remembered(stream.ids, stream.hidden, stream.calls, stream.offloaded)

    def _has_room(self, model: LanguageModel) -> bool:
        if not self._keep or model.residence == "streamed":
            return False
        return 2 * sum(parameter.nbytes for parameter in model.module.parameters()) <= SHARE * _free(model)


@dataclass
class Remembered(Stream):
    """Dense windows that remember what each block made of them, for all forks.

    Attributes:
        trace: hidden states of each batch at the input of a block, by the block's index.
    """

    trace: dict[int, list[Tensor]] = field(default_factory=dict)

    def again(self) -> Remembered:
        """The same windows at the same place, with the same memory: what one pass has made the next one
        finds.
        """
        return Remembered(self.ids, list(self.hidden), self.calls, self.offloaded, self.trace)

    def advance(self, block: Block) -> None:
        """Replace the hidden states by the block's outputs. Tensors are shared between runs: a block never
        changes its input.
        """
        behind = block.index + 1
        if behind not in self.trace:
            super().advance(block)
            self.trace[behind] = list(self.hidden)
        self.hidden = list(self.trace[behind])


def _free(model: LanguageModel) -> int:
    """Bytes free where the model is; 0 where nobody knows."""
    return device_free(model.device) if model.device.type == "cuda" else host_free() or 0

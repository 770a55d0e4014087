"""What an allocation may look at: the dense model's blocks and the calibration windows at its input, as often as it likes.

A walk never leaves a trace: streams are forked from the recorded inputs, and a search puts every weight back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.models.block import Block
from engine.pruning.search import Prune, Search
from engine.pruning.statistics import Need, Statistics, observe

if TYPE_CHECKING:
    from engine.models.language_model import LanguageModel, Stream


@dataclass(frozen=True)
class Walk:
    """The way through a model that is still dense.

    Attributes:
        target: the sparsity asked for.
        sizes: prunable weights of each block.
        model, calibration, prune, needs: None (empty) where only the sizes are known; methods that look at the model need them.
        prune: the chosen methods' new weight for one linear, given its statistics (those of `needs`) and sparsity.
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
        """Each block with the statistics of its linears, from the dense model over all calibration windows: one forward pass in all."""
        assert self.calibration is not None, "this walk knows the sizes alone"
        stream = self.calibration.fork()
        for block in self.blocks:
            with self.present(block):
                with observe(block.linears, stream.windows, needs) as seen:
                    stream.advance(block)
                yield block, seen

    def search(self, windows: int) -> Search:
        """Candidates are tried on the first `windows` calibration windows."""
        assert self.model is not None and self.calibration is not None and self.prune is not None, "this walk knows the sizes alone"
        ids = torch.cat(self.calibration.ids)[:windows]
        return Search(self.model, self.model.record(ids, len(self.calibration.ids[0])), self.prune, self.needs)

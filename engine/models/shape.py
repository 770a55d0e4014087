"""A model's shape and files, as validation and the cost estimate need them before a run.

Imports no model library, so that pages can use it. A summary is small for any model: linears whose paths
differ only in numbers (of the block, of the expert) are listed once, with their count.
"""

from __future__ import annotations

from math import inf
from typing import Literal

from pydantic import BaseModel, ConfigDict

from engine.events import WeightSource

Place = Literal["bundled", "directory", "cache", "hub"]


class LinearKind(BaseModel):
    """Linears of one kind: equal shapes, and paths that differ only in numbers.

    Attributes:
        path: the path of the first one.
        rows: output features.
        columns: input features.
        count: their number in the model.
        share: share of the tokens that each of them processes; below 1 for routed experts.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    rows: int
    columns: int
    count: int = 1
    share: float = 1.0


class Storage(BaseModel):
    """Where a model's files are.

    Attributes:
        place: bundled with the app, in a local directory, complete in the hub's cache, or (partly or wholly)
            on the hub.
        total: bytes of all files that a run reads, None if not known.
        missing: bytes that have to be downloaded first, None if not known.
        licence: the hub's name for it, None if not known.
        gated: whether its terms have to be accepted on the hub first.
        commit: the hub's commit.
        note: a sentence that explains why something is not known; empty otherwise.
        source: the GGUF file that the weights come from; None for others.
        unpacking: bytes of its weights as safetensors, which have to be written first; 0 if they are there.
        unpacking_memory: bytes of memory that this takes.
    """

    model_config = ConfigDict(frozen=True)

    place: Place
    total: int | None = None
    missing: int | None = 0
    licence: str | None = None
    gated: bool = False
    commit: str | None = None
    note: str = ""
    source: WeightSource | None = None
    unpacking: int = 0
    unpacking_memory: int = 0


class ModelSummary(BaseModel):
    """The shape of a model.

    Attributes:
        parameters: all weights, tied ones counted once.
        prunable: weights of the linears in the blocks.
        skipped: the other weights, by kind.
        sizes: prunable weights of each block.
        linears: the prunable linears by kind.
        largest_block: weights of the largest block, prunable or not.
        largest_grams: entries of the Hessians of the block where these are largest: `in^2` summed over its
            linears, with one Hessian per expert.
        outside: weights outside the blocks.
        width: features of a token's hidden state.
        vocabulary: number of token ids.
        context_length: the most tokens it takes, None if its configuration does not say.
        has_biases: whether a linear in the blocks has a bias or can get one.
        dtype: the dtype of its file.
        bytes: size of the weights in that dtype.
        storage: where its files are.
        device: the device it would run on by default.
        speeds: floating-point operations per second of a matrix product, by device, measured when the summary
            was made; empty if it was not measured.
        bandwidths: bytes per second that simple arithmetic on large tensors reads and writes, the same way.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    architecture: str
    parameters: int
    prunable: int
    skipped: dict[str, int]
    blocks: int
    sizes: tuple[int, ...]
    linears: tuple[LinearKind, ...]
    largest_block: int
    largest_grams: int
    outside: int
    width: int
    vocabulary: int
    context_length: int | None
    dtype: str
    bytes: int
    storage: Storage
    device: str
    speeds: dict[str, float]
    bandwidths: dict[str, float] = {}
    has_biases: bool = True

    @property
    def widths(self) -> dict[str, int]:
        """Input features of each kind of linear, by its path."""
        return {kind.path: kind.columns for kind in self.linears}

    @property
    def active(self) -> float:
        """Prunable weights that process one token; in a mixture of experts fewer than all."""
        return sum(kind.rows * kind.columns * kind.count * kind.share for kind in self.linears)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the machine that made the summary, the default one first."""
        return tuple(dict.fromkeys([self.device, "cpu"]))

    @property
    def local(self) -> bool:
        """Whether all files are on this machine."""
        return self.storage.place != "hub"

    def speed(self, device: str) -> float:
        """Return operations per second on a device; on the default device if that one was not measured."""
        # KeyError if the summary was made without measuring: check `speeds` first
        return self.speeds.get(device, self.speeds[self.device])

    def bandwidth(self, device: str) -> float:
        """Return bytes per second on a device, as `speed` does; infinite if none was measured."""
        return self.bandwidths.get(device, self.bandwidths.get(self.device, inf))

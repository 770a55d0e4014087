"""A model's shape and files, as validation and the cost estimate need them before a run. Imports no model
library, so a page can hold one.

It stays small for any model: linears that differ in the numbers of their path alone (a block's, an expert's)
stand once, with how many they are.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Place = Literal["bundled", "directory", "cache", "hub"]


class LinearKind(BaseModel):
    """Linears that are alike: one shape, and one path but for the numbers in it.

    Attributes:
        path: the first one's path in the model.
        rows, columns: out and in.
        count: how many there are in the model.
        share: share of a text's tokens that each of them sees; below 1 for experts, to which a router sends
            some.
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
        place: bundled with the app, a local directory, complete in the hub's cache, or (also partly) still on
            the hub.
        total: bytes of all files that a run reads, None where nobody could say.
        missing: bytes that have to be downloaded first, None where nobody could say.
        licence: as the hub names it, None where it is not known.
        gated: whether its terms have to be accepted on the hub first.
        commit: the hub's commit.
        note: a sentence that says why something is not known; empty otherwise.
    """

    model_config = ConfigDict(frozen=True)

    place: Place
    total: int | None = None
    missing: int | None = 0
    licence: str | None = None
    gated: bool = False
    commit: str | None = None
    note: str = ""


class ModelSummary(BaseModel):
    """The shape of a model.

    Attributes:
        parameters: all weights, tied ones once.
        prunable: weights of the linears in the blocks.
        skipped: the other weights by kind.
        sizes: prunable weights of each block.
        linears: the prunable linears by kind.
        largest_block: weights of the largest block, prunable or not.
        largest_grams: `in^2` summed over the linears of the block where that is most: entries of its Hessians,
            experts each with their own.
        outside: weights outside of the blocks.
        width: entries of a token's hidden state.
        vocabulary: number of token ids.
        context_length: the most tokens it takes, None where it does not say.
        dtype: what its file holds.
        bytes: the weights' size in that dtype.
        storage: where its files are.
        device: the device it would run on by itself.
        speeds: floating-point operations a second of a matrix product by device, measured when the summary
            was made.
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

    @property
    def widths(self) -> dict[str, int]:
        """Input width of each kind of linear, by the path of its first."""
        return {kind.path: kind.columns for kind in self.linears}

    @property
    def active(self) -> float:
        """Prunable weights that one token is multiplied with: fewer than there are in a mixture of experts."""
        return sum(kind.rows * kind.columns * kind.count * kind.share for kind in self.linears)

    @property
    def local(self) -> bool:
        """Whether nothing has to be downloaded."""
        return self.storage.place != "hub"

    def speed(self, device: str) -> float:
        """Operations a second on a device; that of its own where the other was not measured."""
        return self.speeds.get(device, self.speeds[self.device])

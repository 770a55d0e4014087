"""How many bytes a model takes in the ways that there are to write zeros down: counted from the masks, and
packed by zlib for real.

Counting reads each mask once. Packing runs at 10 to 30 MB/s on one core, so of a large model an even sample
of 32 MB is packed and the rest is inferred, which the report says. Every figure is of the whole model: what
is never pruned is dense in all of them. Does not cover formats that change the values (quantisation), nor a
format for each linear: one is taken for all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.events import Facts

LEVEL = 6  # what zip and gzip take by themselves
COMPRESSOR = f"zlib, level {LEVEL}"
PIECE = (
    1 << 20
)  # bytes; zlib looks back 32 KiB, so a piece of this size is packed as it would be in the whole
SAMPLE = 32_000_000
"""Bytes of a model that are packed at most, about."""
INDEX = 4
"""Bytes of a column index and of a row pointer in compressed sparse rows (int32)."""


@dataclass(frozen=True)
class LinearCount:
    """What a format has to store of one linear `[rows, columns]`.

    Attributes:
        kept: entries of its mask that stay.
        two_of_four: whether of each four consecutive columns of a row at most two stay.
    """

    rows: int
    columns: int
    kept: int
    two_of_four: bool

    @property
    def weights(self) -> int:
        return self.rows * self.columns


class Compressed(Facts):
    """Bytes as zlib packs them.

    Attributes:
        dense, pruned: of the prunable weights, before and after.
        rest: of what is never pruned.
        share: share of the bytes that was really packed; below 1 the figures are inferred from that sample.
    """

    compressor: str = COMPRESSOR
    dense: int
    pruned: int
    rest: int
    share: float


class SizeReport(Facts):
    """Bytes of one model in each format.

    Attributes:
        dtype: of the weights.
        weights, kept: prunable weights, and those of them that are not removed.
        rest: bytes of what is never pruned; part of each of the following.
        dense: every weight, zeros too: what a pruned model takes as it is.
        bitmask: one bit a weight, and the values that stay.
        csr: compressed sparse rows: values, an int32 column for each, an int32 pointer a row.
        semi_structured: half of the values, and two bits for the place of each; None where the masks are not
            2:4.
        not_semi_structured: a sentence that says why it is None, else empty.
    """

    dtype: str
    weights: int
    kept: int
    rest: int
    dense: int
    bitmask: int
    csr: int
    semi_structured: int | None
    not_semi_structured: str
    compressed: Compressed


def count(mask: Tensor) -> LinearCount:
    """The counts of a mask `[out, in]`, True = kept."""
    rows, columns = mask.shape
    return LinearCount(rows, columns, int(mask.sum()), is_two_of_four(mask))


def is_two_of_four(mask: Tensor) -> bool:
    """Whether a mask `[out, in]` keeps at most two of each four consecutive columns, whatever pattern was
    asked for.
    """
    if mask.shape[1] % 4:
        return False
    return bool(mask.reshape(-1, 4).sum(1).max() <= 2)  # [out * in / 4]


def bitmask_bytes(linear: LinearCount, width: int) -> int:
    """A bit a weight, padded to whole bytes, and `width` bytes for each that stays."""
    return _bytes(linear.weights) + linear.kept * width


def csr_bytes(linear: LinearCount, width: int) -> int:
    """A value and a column index for each weight that stays, and where each row begins and the last one ends."""
    return linear.kept * (width + INDEX) + (linear.rows + 1) * INDEX


def semi_structured_bytes(linear: LinearCount, width: int) -> int:
    """Two values for each four columns, zero or not, and two bits for the place of each; padded to whole
    bytes.
    """
    values = linear.weights // 2
    return values * width + _bytes(2 * values)


def sizes(
    linears: Sequence[LinearCount], dense: int, dtype: torch.dtype, compressed: Compressed
) -> SizeReport:
    """The report of a model with these prunable linears, which takes `dense` bytes in all."""
    width = dtype.itemsize
    weights = sum(linear.weights for linear in linears)
    rest = dense - weights * width
    reason = _not_two_of_four(linears)
    return SizeReport(
        dtype=str(dtype).removeprefix("torch."),
        weights=weights,
        kept=sum(linear.kept for linear in linears),
        rest=rest,
        dense=dense,
        bitmask=rest + sum(bitmask_bytes(linear, width) for linear in linears),
        csr=rest + sum(csr_bytes(linear, width) for linear in linears),
        semi_structured=None
        if reason
        else rest + sum(semi_structured_bytes(linear, width) for linear in linears),
        not_semi_structured=reason,
        compressed=compressed,
    )


def packed_bytes(tensors: Iterable[Tensor], share: float = 1.0) -> int:
    """What zlib makes of the tensors, one behind the other as a safetensors file holds them.

    Args:
        share: how much of them is really packed: one MiB of every so many, the first among them; the rest is
            taken to pack alike.
    """
    every = max(1, round(1 / share))
    stream, total, read, packed = zlib.compressobj(LEVEL), 0, 0, 0
    for place, piece in enumerate(_pieces(tensors)):
        total += piece.nbytes
        if place % every == 0:
            read += piece.nbytes
            packed += len(stream.compress(piece))
    packed += len(stream.flush())
    return packed if read == total else round(packed * total / read)


def sample_share(total: int) -> float:
    """The share of so many bytes that is packed: all of a small model."""
    return 1 / -(-total // SAMPLE) if total > SAMPLE else 1.0


def _pieces(tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    for tensor in tensors:
        raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
        yield from (raw[start : start + PIECE] for start in range(0, raw.nbytes, PIECE))


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _not_two_of_four(linears: Sequence[LinearCount]) -> str:
    other = sum(not linear.two_of_four for linear in linears)
    if not other:
        return ""
    which = "all" if other == len(linears) else f"{other:,} of"
    return f"The masks are not 2:4: in {which} {len(linears):,} linears some four consecutive weights of a row keep more than two."

"""The size of a pruned model in several storage formats: counted from the masks, and compressed with zlib.

Counting reads each mask once. Compression runs at 10 to 30 MB/s on one core, so of a large model an evenly
spread sample of 32 MB is compressed and the rest is extrapolated; the report says so. Every size is of the
whole model: what is never pruned is stored dense in all formats. Does not cover formats that change the
values (quantisation), nor a different format per linear.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.events import Facts

LEVEL = 6  # the default of zip and gzip
COMPRESSOR = f"zlib, level {LEVEL}"
PIECE = 1 << 20  # bytes; zlib looks back only 32 KiB, so a piece compresses as it would in the whole
SAMPLE = 32_000_000
"""About how many bytes of a model are compressed at most."""
INDEX = 4
"""Bytes of a column index and of a row pointer in compressed sparse rows (int32)."""


@dataclass(frozen=True)
class LinearCount:
    """What a format has to store of one linear `[rows, columns]`.

    Attributes:
        kept: weights that its mask keeps.
        two_of_four: whether at most two of every four consecutive columns of a row are kept.
    """

    rows: int
    columns: int
    kept: int
    two_of_four: bool

    @property
    def weights(self) -> int:
        return self.rows * self.columns


class Compressed(Facts):
    """Bytes after compression with zlib.

    Attributes:
        dense, pruned: of the prunable weights, before and after.
        rest: of what is never pruned.
        share: fraction of the bytes that was compressed; below 1, the sizes are extrapolated from that
        sample.
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
        weights, kept: the number of prunable weights, and how many of them are kept.
        rest: bytes of what is never pruned; included in each of the following.
        dense: every weight, including zeros: what a pruned model takes without a special format.
        bitmask: one bit per weight, and the kept values.
        csr: compressed sparse rows: values, an int32 column per value, an int32 pointer per row.
        semi_structured: half of the values, and a 2-bit position for each; None if the masks are not 2:4.
        not_semi_structured: why it is None, in a sentence; else empty.
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
    """Return the counts of a mask `[out, in]`, True = kept."""
    rows, columns = mask.shape
    return LinearCount(rows, columns, int(mask.sum()), is_two_of_four(mask))


def is_two_of_four(mask: Tensor) -> bool:
    """Return whether a mask `[out, in]` keeps at most two of every four consecutive columns, whatever the
    recipe's pattern.
    """
    # The reshape below would form groups across the ends of rows.
    if mask.shape[1] % 4:
        return False
    return bool(mask.reshape(-1, 4).sum(1).max() <= 2)  # [out * in / 4]


def bitmask_bytes(linear: LinearCount, width: int) -> int:
    """Return the bytes of one bit per weight, padded to whole bytes, and `width` bytes per kept weight."""
    return _bytes(linear.weights) + linear.kept * width


def csr_bytes(linear: LinearCount, width: int) -> int:
    """Return the bytes of a value and a column index per kept weight, and `rows + 1` row pointers."""
    return linear.kept * (width + INDEX) + (linear.rows + 1) * INDEX


def semi_structured_bytes(linear: LinearCount, width: int) -> int:
    """Return the bytes of two values per four columns, zero or not, and two bits for the position of each."""
    values = linear.weights // 2
    return values * width + _bytes(2 * values)


def sizes(
    linears: Sequence[LinearCount], dense: int, dtype: torch.dtype, compressed: Compressed
) -> SizeReport:
    """Return the report of a model with these prunable linears that takes `dense` bytes in all."""
    width = dtype.itemsize  # bytes per value; all prunable weights have this dtype
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
    """Return the compressed bytes of the tensors, concatenated as in a safetensors file.

    Args:
        share: the fraction that is compressed: one MiB of every `1 / share`, from the first; the rest is
            assumed to compress alike.
    """
    # `sample_share` returns 1 / n for a whole n, so rounding only undoes the division.
    every = max(1, round(1 / share))
    # One stream for all tensors: the compressor finds repetitions across their ends, as in a file.
    stream, total, read, packed = zlib.compressobj(LEVEL), 0, 0, 0
    for place, piece in enumerate(_pieces(tensors)):
        total += piece.nbytes
        if place % every == 0:  # includes the first piece, so `read` is never 0
            read += piece.nbytes
            packed += len(stream.compress(piece))
    packed += len(stream.flush())
    return packed if read == total else round(packed * total / read)


def sample_share(total: int) -> float:
    """Return the fraction of `total` bytes to compress: 1 for a small model."""
    return 1 / -(-total // SAMPLE) if total > SAMPLE else 1.0  # 1 / ceiling


def _pieces(tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    for tensor in tensors:
        # numpy has no bfloat16, so the values are viewed as bytes first; `view(-1)` because a 0-d tensor
        # cannot be.
        raw = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
        # Slices of a memoryview copy nothing.
        yield from (raw[start : start + PIECE] for start in range(0, raw.nbytes, PIECE))


def _bytes(bits: int) -> int:
    return -(-bits // 8)  # rounded up


def _not_two_of_four(linears: Sequence[LinearCount]) -> str:
    other = sum(not linear.two_of_four for linear in linears)
    if not other:
        return ""
    which = "all" if other == len(linears) else f"{other:,} of"
    return (
        f"The masks are not 2:4: in {which} {len(linears):,} linears, some groups of four consecutive "
        "weights "
        "of a row keep more than two."
    )

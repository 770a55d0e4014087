"""The pruned blocks of a run as files `blocks/000.safetensors`: a mapping from block index to weights.

A file holds, per linear, the mask with eight entries per byte, its shape, and the new weight and bias if it
has any. Each file carries a checksum of its tensors, so that a run never resumes from a damaged block.
Reading a block verifies the checksum; `has_full_length` only compares the header with the file's length,
which is cheap enough for a list of runs.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from engine.errors import StoreError
from engine.hardware import disk
from engine.pruning.weights import BlockWeights, PrunedLinear
from engine.store import atomic_files, plain_files

if TYPE_CHECKING:
    from torch import Tensor


LENGTH_BYTES = 8  # a safetensors file begins with its header's length, a little-endian integer
LARGEST_HEADER = 10**8  # in a damaged file those 8 bytes may say anything; do not read gigabytes


class MissingBlockError(StoreError, KeyError):
    """A block that a run does not have, which a user meets while the run is computed again."""

    __str__ = Exception.__str__  # a `KeyError` would put the sentence in quotes


class Blocks(MutableMapping[int, BlockWeights]):
    """The blocks in a directory, which is created with the first of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, index: int) -> Path:
        return self._directory / f"{index:03d}.safetensors"

    def __getitem__(self, index: int) -> BlockWeights:
        """Return the weights of a block.

        Raises:
            MissingBlockError: there is no such block.
            StoreError: its file is damaged.
        """
        path = self.path(index)
        if not os.path.lexists(path):
            raise MissingBlockError(
                f"The weights of block {index} of this run are not here: it is being computed, or was not "
                "finished. Try again when it has finished."
            )
        damaged = StoreError(f"The block file {path} is damaged. Delete the run and compute it again.")
        if not os.path.isfile(path):  # reading a pipe would wait for a writer
            raise damaged
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
                checksum = (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError) as error:
            raise damaged from error
        if checksum != _checksum(tensors):
            raise damaged
        try:
            return unpack(tensors)
        # The checksum covers the bytes, but not their types and shapes.
        except (ValueError, LookupError, RuntimeError) as error:
            raise damaged from error

    def __setitem__(self, index: int, weights: BlockWeights) -> None:
        """Write a block.

        Raises:
            StoreError: the disk refuses.
        """
        tensors = pack(weights)
        with atomic_files.store_errors(self._directory):
            if not self._directory.is_dir():
                disk.delete(self._directory)
            self._directory.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(self.path(index), lambda path: _save(tensors, path))

    def __delitem__(self, index: int) -> None:
        path = self.path(index)
        if not os.path.lexists(path):
            raise KeyError(index)
        plain_files.make_way(path)
        path.unlink(missing_ok=True)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and os.path.isfile(self.path(index))

    def __iter__(self) -> Iterator[int]:
        return iter(
            sorted(int(path.stem) for path in self._directory.glob("*.safetensors") if path.stem.isdigit())
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def masks(self, prefix: str) -> dict[str, Tensor]:
        """Return the mask `[out, in]` of each linear, True = kept, by its path in the model.

        Args:
            prefix: the path of the list of blocks in the model, for instance `model.layers`.

        Raises:
            StoreError: a block is damaged.
        """
        return {
            f"{prefix}.{index}.{name}": linear.keep for index in self for name, linear in self[index].items()
        }

    def has_full_length(self, index: int) -> bool:
        """Return whether the block's file exists and is as long as its header says."""
        path = self.path(index)
        try:
            # A pipe has no length, and opening it would wait for a writer.
            if not os.path.isfile(path):
                return False
            with path.open("rb") as file:
                length = int.from_bytes(file.read(LENGTH_BYTES), "little")
                entries = json.loads(file.read(length)) if length < LARGEST_HEADER else {}
                # `data_offsets` are a tensor's first byte and the byte after its last, counted from the end
                # of the header.
                ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
                return bool(file.seek(0, 2) == LENGTH_BYTES + length + max(ends))
        # What a damaged header leads to; `max` of nothing is a ValueError.
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False

    def readable(self, index: int) -> bool:
        """Return whether the block can be read and its checksum is right."""
        try:
            return bool(self[index])
        except (KeyError, StoreError, ValueError):
            return False

    def clear_after(self, count: int) -> None:
        """Delete the blocks after the first `count`, and temporary files of interrupted writes."""
        for path in self._directory.glob(f".*{atomic_files.TEMPORARY}"):
            path.unlink(missing_ok=True)
        for index in self:  # iterating lists the directory first, so files may be deleted meanwhile
            if index >= count:
                del self[index]


def pack(weights: BlockWeights) -> dict[str, Tensor]:
    """Return flat tensors for a file; the first of a mask's eight entries is the lowest bit of its byte."""
    tensors: dict[str, Tensor] = {}
    for name, pruned in weights.items():
        tensors[f"{name}.mask"] = _pack_bits(pruned.keep.cpu())  # uint8 [ceil(out * in / 8)]
        tensors[f"{name}.shape"] = torch.tensor(pruned.keep.shape)  # int64 [2]
        if pruned.weight is not None:
            tensors[f"{name}.weight"] = pruned.weight.cpu().contiguous()  # [out, in]
        if pruned.bias is not None:
            tensors[f"{name}.bias"] = pruned.bias.cpu().contiguous()  # [out]
    return tensors


def unpack(tensors: dict[str, Tensor]) -> BlockWeights:
    """Invert `pack`; the tensors are on the CPU.

    Raises:
        ValueError: their types or shapes are not those that `pack` gives them.
    """
    names = [key.removesuffix(".mask") for key in tensors if key.endswith(".mask")]
    found = {}
    for name in names:
        shape = tuple(tensors[f"{name}.shape"].tolist())
        found[name] = PrunedLinear(
            _unpack_bits(tensors, name),
            _values(tensors, f"{name}.weight", shape),
            _values(tensors, f"{name}.bias", shape[:1]),
        )
    return found


def _values(tensors: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor | None:
    """Return new values of a linear, None if there are none in the file."""
    values = tensors.get(name)
    if values is not None and not (values.is_floating_point() and values.shape == shape):
        raise ValueError(f"{name} has another type or shape than its mask")
    return values


def _pack_bits(mask: Tensor) -> Tensor:
    bits = mask.reshape(-1).to(torch.uint8)  # [out * in]
    padded = torch.nn.functional.pad(bits, (0, -len(bits) % 8)).view(-1, 8)  # [bytes, 8]
    # Each entry has its own bit, so the sum is the byte `[bytes]`.
    return (padded << torch.arange(8, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def _unpack_bits(tensors: dict[str, Tensor], name: str) -> Tensor:
    packed, shape = tensors[f"{name}.mask"], tensors[f"{name}.shape"]
    if (packed.dtype, shape.dtype, shape.shape) != (torch.uint8, torch.int64, (2,)):
        raise ValueError(f"{name} has a mask of another type")
    rows, columns = shape.tolist()
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1  # [bytes, 8]
    # [out, in], without the padding of the last byte.
    return bits.reshape(-1)[: rows * columns].view(rows, columns).bool()


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file  # imports torch

    try:
        save_file(tensors, path, metadata={"crc32": _checksum(tensors)})
    except SafetensorError as error:
        # safetensors reports a full disk only in words, `... (os error 28)`; the number becomes the errno
        _, _, tail = str(error).rpartition("os error ")
        digits = tail.rstrip(") }\"'")
        raise OSError(int(digits) if digits.isdigit() else 0, str(error)) from error


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Return the CRC-32 of all names and bytes, in the order of the names, as 8 hex digits."""
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].contiguous().reshape(-1)
        # Through a view as bytes, because numpy has no bfloat16.
        total = zlib.crc32(flat.view(torch.uint8).numpy().data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"

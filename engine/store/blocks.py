"""The pruned blocks of a run as files `blocks/000.safetensors`, a mapping from index to weights.

Each file carries a checksum of its tensors, so that a damaged one is never taken for a block: resuming would
go on from wrong weights. Reading checks it; `sound` looks at the length and the header only, which is cheap
enough for a list of runs.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import StoreError
from engine.pruning.weights import BlockWeights, pack, unpack
from engine.store import atomic_files

HEADER = 8  # bytes that hold the length of a safetensors file's header
LARGEST_HEADER = 10**8


class Blocks(MutableMapping[int, BlockWeights]):
    """The blocks in a directory, which is made with the first of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, index: int) -> Path:
        return self._directory / f"{index:03d}.safetensors"

    def __getitem__(self, index: int) -> BlockWeights:
        """The weights of a block.

        Raises:
            KeyError: it is not there.
            StoreError: its file is damaged.
        """
        path = self.path(index)
        if not path.is_file():
            raise KeyError(index)
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
                checksum = (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError) as error:
            raise _damaged(path) from error
        if checksum != _checksum(tensors):
            raise _damaged(path)
        return unpack(tensors)

    def __setitem__(self, index: int, weights: BlockWeights) -> None:
        """Keep a block.

        Raises:
            StoreError: the disk refuses.
        """
        tensors = pack(weights)
        with atomic_files.said(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(self.path(index), lambda path: _save(tensors, path))

    def __delitem__(self, index: int) -> None:
        try:
            self.path(index).unlink()
        except FileNotFoundError:
            raise KeyError(index) from None

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.path(index).is_file()

    def __iter__(self) -> Iterator[int]:
        return iter(
            sorted(int(path.stem) for path in self._directory.glob("*.safetensors") if path.stem.isdigit())
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def sound(self, index: int) -> bool:
        """Whether the file is there and as long as its header says."""
        try:
            with self.path(index).open("rb") as file:
                length = int.from_bytes(file.read(HEADER), "little")
                entries = json.loads(file.read(length)) if length < LARGEST_HEADER else {}
                ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
                return bool(file.seek(0, 2) == HEADER + length + max(ends))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False

    def readable(self, index: int) -> bool:
        """Whether the block can be read and its checksum is right."""
        try:
            return bool(self[index])
        except (KeyError, StoreError, ValueError):
            return False

    def clear_after(self, count: int) -> None:
        """Drop the blocks from `count` on, and what was left half-written."""
        for path in self._directory.glob(f".*{atomic_files.TEMPORARY}"):
            path.unlink(missing_ok=True)
        for index in self:
            if index >= count:
                del self[index]


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path, metadata={"crc32": _checksum(tensors)})
    except SafetensorError as error:  # carries the system's words, but not its number
        raise OSError(*_number(str(error))) from error


def _number(words: str) -> tuple[int, str]:
    """The number in `... (os error 28)`, and the words."""
    _, _, tail = words.rpartition("os error ")
    digits = tail.rstrip(") }\"'")
    return (int(digits) if digits.isdigit() else 0), words


def _checksum(tensors: dict[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].contiguous().reshape(-1)
        total = zlib.crc32(flat.view(torch.uint8).numpy().data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _damaged(path: Path) -> StoreError:
    return StoreError(f"The block file {path} is damaged. Delete the run and compute it again.")

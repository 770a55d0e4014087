"""The header of a GGUF file, the format of llama.cpp: its settings and its list of tensors.

A file consists of `GGUF`, the version, the two counts, the settings (name, type, value), the descriptions of
the tensors, and their data. Reading takes about 0.1 s per 100,000 tokens of the vocabulary; the package
`gguf` builds NumPy arrays for every token, which takes 50 times as long, and reports damage as an IndexError.
Values of arrays are not kept, only their lengths. Does not judge what it reads: `engine.models.gguf.faults`.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LAST_VERSION = 99  # no format has as many: a higher number is damage
ALIGNMENT = 32  # bytes, unless a setting says otherwise
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of values -> their format for `struct`."""
STRING, ARRAY = 8, 9
DEEPEST = 4  # dimensions of a tensor

Value = str | int | float | bool


class DamagedHeader(ValueError):
    """Not the header of a GGUF file that can be read; the message says why."""


class OtherFormat(DamagedHeader):
    """A sound header, but of a format that is not read."""


@dataclass(frozen=True)
class Array:
    """An array among the settings: the number of its elements."""

    length: int


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the header describes it.

    Attributes:
        shape: in the order of PyTorch, `[out, in]`.
        kind: the number of its type in ggml, for instance 3 for Q4_1.
        offset: bytes from the beginning of the data.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def weights(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself.

    Attributes:
        settings: by name.
        spans: first byte and end of each setting's value, by name.
        end: the byte after the last description of a tensor.
        size: bytes of the file.
    """

    settings: dict[str, Value | Array]
    spans: dict[str, tuple[int, int]]
    tensors: tuple[TensorInfo, ...]
    end: int
    size: int

    @property
    def architecture(self) -> str:
        return str(self.settings.get("general.architecture", ""))

    @property
    def data(self) -> int:
        """The byte of the file where the data of the tensors begins."""
        alignment = self.settings.get("general.alignment", ALIGNMENT)
        step = alignment if isinstance(alignment, int) and alignment > 0 else ALIGNMENT
        return -(-self.end // step) * step

    def length(self, name: str) -> int:
        """Return the number of elements of an array among the settings, 0 if there is none."""
        value = self.settings.get(name)
        return value.length if isinstance(value, Array) else 0


def starts_like_gguf(path: Path) -> bool:
    """Return whether a file begins like a GGUF file, whatever its name is: Ollama's names have no suffix."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """Return the header of a file.

    Raises:
        OSError: the file cannot be read.
        DamagedHeader: it is not one of a GGUF file, or is damaged.
        OtherFormat: it is of another version or order of bytes.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if not size:
            raise DamagedHeader("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).header(size)
            except (struct.error, IndexError) as error:
                raise DamagedHeader("it ends within its header, so it is incomplete") from error
            except UnicodeDecodeError as error:
                raise DamagedHeader("its header is damaged (a name is not text)") from error


class _Reader:
    """Reads values one after the other."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._place = 0

    def header(self, size: int) -> Header:
        if self._content[: len(MAGIC)] != MAGIC:
            raise DamagedHeader("it does not begin like a GGUF file")
        self._place = len(MAGIC)
        self._check_version(self._number("I"))
        tensors, settings = self._number("Q"), self._number("Q")
        values: dict[str, Value | Array] = {}
        spans = {}
        for _ in range(settings):
            name, kind = self._text(), self._number("I")
            start = self._place
            values[name] = self._value(kind)
            spans[name] = start, self._place
        infos = tuple(self._tensor() for _ in range(tensors))
        return Header(values, spans, infos, self._place, size)

    def _check_version(self, version: int) -> None:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version in VERSIONS:
            return
        if 0 < version <= LAST_VERSION:
            raise OtherFormat(f"it has version {version} of the format, and versions 2 and 3 are read")
        if 0 < swapped <= LAST_VERSION:
            raise OtherFormat("it is big-endian, and only little-endian files are read")
        raise DamagedHeader(f"its header is damaged ({version} is no version of the format)")

    def _tensor(self) -> TensorInfo:
        name, dimensions = self._text(), self._number("I")
        if dimensions > DEEPEST:
            raise DamagedHeader(f"its header is damaged (a tensor with {dimensions} dimensions)")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        return TensorInfo(name, shape[::-1], self._number("I"), self._number("Q"))

    def _value(self, kind: int) -> Value | Array:
        if kind in SCALARS:
            value: Value = struct.unpack_from(f"<{SCALARS[kind]}", self._content, self._place)[0]
            self._skip(struct.calcsize(f"<{SCALARS[kind]}"))
            return value
        if kind == STRING:
            return self._text()
        if kind != ARRAY:
            raise DamagedHeader(f"its header is damaged (a value of type {kind})")
        inner, length = self._number("I"), self._number("Q")
        if inner in SCALARS:
            self._skip(length * struct.calcsize(f"<{SCALARS[inner]}"))
        elif inner == STRING:
            for _ in range(length):
                self._skip(self._number("Q"))
        else:
            raise DamagedHeader(f"its header is damaged (an array of type {inner})")
        return Array(length)

    def _number(self, form: str) -> int:
        value: int = struct.unpack_from(f"<{form}", self._content, self._place)[0]
        self._skip(struct.calcsize(f"<{form}"))
        return value

    def _text(self) -> str:
        length = self._number("Q")
        start = self._place
        self._skip(length)
        return self._content[start : self._place].decode()

    def _skip(self, count: int) -> None:
        self._place += count
        if self._place > len(self._content):
            raise IndexError(self._place)

"""What keeps a GGUF file from being read, found in its header before anything is unpacked.

Whether transformers knows the architecture is found when it reads the configuration
(`engine.models.gguf.unpacking`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from engine.models.gguf.header import Array, DamagedHeader, Header, OtherFormat, read_header
from engine.numbers import listed, size

PACKAGES = {"gguf": "0.19.0", "accelerate": "1.15.0"}
"""The packages of the extra `gguf` and their releases; transformers reads GGUF files with them."""
INSTALL = (
    "GGUF files are read with the packages gguf and accelerate, which are optional and not installed; run "
    f"`pip install {' '.join(f'{name}=={release}' for name, release in PACKAGES.items())}` and restart"
)
AGAIN = "download it again"
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
BLOCK = re.compile(r"blk\.(\d+)\.")
TOKENS = "tokenizer.ggml.tokens"
KINDS = {
    "adapter": "it is an adapter (LoRA), not a model; merge it into its base model and choose the result",
    "mmproj": "it is the projector of a multimodal model (mmproj); choose the file of its language model",
    "imatrix": "it is an importance matrix, not a model; choose the file of the model",
}
"""By the setting `general.type`: what is no model."""


class UnreadableFile(ValueError):
    """A GGUF file that cannot be read: why, and what to do.

    A clause without a full stop that fits after "x.gguf was requested, but".
    """


def sound_header(file: Path) -> Header:
    """Return the header of a GGUF file against which nothing speaks.

    Raises:
        UnreadableFile: something does.
    """
    try:
        header = read_header(file)
    except OtherFormat as error:
        raise UnreadableFile(f"{error}; choose another file of the model") from error
    except DamagedHeader as error:
        raise UnreadableFile(f"{error}; {AGAIN}") from error
    except OSError as error:
        raise UnreadableFile(f"it cannot be read ({error.strerror})") from error
    for fault in _faults(file, header):
        raise UnreadableFile(fault)
    return header


def fault_of(file: Path) -> str | None:
    """Return why a GGUF file cannot be read, in the words of `UnreadableFile`; None if nothing is wrong."""
    try:
        sound_header(file)
    except UnreadableFile as error:
        return str(error)
    return None


def _faults(file: Path, header: Header) -> Iterator[str]:
    settings = header.settings
    kind = "mmproj" if header.architecture == "clip" else settings.get("general.type")
    if kind in KINDS:
        yield KINDS[str(kind)]
    if part := _part(file, header):
        yield f"it is {part} of a model; join the parts with `llama-gguf-split --merge` and choose the result"
    if not header.architecture:
        yield f"it does not name its architecture, so its header is damaged; {AGAIN}"
    if not header.tensors:
        yield "it holds a vocabulary without weights; choose the file of the model"
    if (blocks := _missing_blocks(header)) is not None:
        yield f"it holds {blocks} blocks of the model; {AGAIN}"
    if not header.length(TOKENS) or "tokenizer.ggml.model" not in settings:
        yield "it has no tokenizer, so no text can be read; choose a file with one"
    if isinstance(settings.get("tokenizer.ggml.model"), Array):
        yield f"its header is damaged (the tokenizer's name is a list); {AGAIN}"
    if not all(map(find_spec, PACKAGES)):
        yield INSTALL
    else:
        yield from _faults_of_types(header)


def _part(file: Path, header: Header) -> str:
    """Return which part of a split model a file is; empty if it is a whole one."""
    count, number = header.settings.get("split.count"), header.settings.get("split.no")
    if isinstance(count, int) and count > 1:
        return f"part {number + 1} of {count}" if isinstance(number, int) else f"one of {count} parts"
    named = PART.search(file.name)
    return f"part {int(named[1])} of {int(named[2])}" if named and int(named[2]) > 1 else ""


def _missing_blocks(header: Header) -> str | None:
    """Return how many of the blocks are there; None if all are."""
    stated = header.settings.get(f"{header.architecture}.block_count")
    found = {match[1] for tensor in header.tensors if (match := BLOCK.match(tensor.name))}
    return f"{len(found)} of {stated}" if found and isinstance(stated, int) and stated > len(found) else None


def _faults_of_types(header: Header) -> Iterator[str]:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    known = {int(kind): kind for kind in GGMLQuantizationType}
    if unknown := sorted({tensor.kind for tensor in header.tensors} - set(known)):
        types = listed([f"number {kind}" for kind in unknown])
        yield f"it holds weights of a type that the package gguf {PACKAGES['gguf']} does not know ({types})"
        return
    end = 0
    for tensor in header.tensors:
        weights, bytes_ = GGML_QUANT_SIZES[known[tensor.kind]]
        if not tensor.shape or tensor.shape[-1] % weights:
            yield f"its header is damaged ({tensor.name} has the shape {list(tensor.shape)}); {AGAIN}"
        end = max(end, header.data + tensor.offset + tensor.weights // weights * bytes_)
    if end > header.size:
        yield f"it is incomplete: it has {size(header.size)} of {size(end)}; {AGAIN}"
    if unreadable := [known[kind].name for kind in _kinds(header) if not _is_readable(kind)]:
        yield (
            f"its weights are quantised as {listed(unreadable)}, which the package gguf "
            f"{PACKAGES['gguf']} cannot turn back into weights; choose another quantisation"
        )


def _kinds(header: Header) -> list[int]:
    return sorted({tensor.kind for tensor in header.tensors})


def _is_readable(kind: int) -> bool:
    """Try to dequantise one block."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    type_ = GGMLQuantizationType(kind)
    try:
        with np.errstate(all="ignore"):
            dequantize(np.zeros((1, GGML_QUANT_SIZES[type_][1]), np.uint8), type_)
    except NotImplementedError:
        return False
    return True

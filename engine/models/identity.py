"""What a recipe's `model` stands for, without any heavy import: the bundled model, a local directory, or a
hub id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

DEMO = "demo"
ROOT = Path(__file__).parents[2]
DEMO_DIRECTORY = ROOT / "assets" / "demo-model"
SAMPLES, SAMPLE_BYTES = 64, 16_384


def resolve(model: str) -> str:
    """The directory or hub id that the model loads from."""
    if model == DEMO:
        return str(DEMO_DIRECTORY)
    path = Path(model).expanduser()
    return str(path) if path.is_dir() else model


def canonical(model: str) -> str:
    """One name for one model: `demo` for the bundled directory, the absolute path of any other, a hub id as
    it is.
    """
    path = Path(model).expanduser()
    if model == DEMO or not path.is_dir():
        return model
    absolute = path.resolve()
    return DEMO if absolute == DEMO_DIRECTORY.resolve() else str(absolute)


def fingerprint(model: str) -> str | None:
    """A hash of what a local directory holds, None for a hub id.

    Small files are hashed whole; of a large weight file its size, its header and 64 stretches of 16 KiB
    spread evenly over it.
    """
    directory = Path(resolve(model))
    if not directory.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(_content(directory)):
        digest.update(json.dumps([path.name, path.stat().st_size]).encode())
        for piece in _pieces(path):
            digest.update(piece)
    return digest.hexdigest()[:16]


def _content(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.suffix in {".safetensors", ".json", ".model", ".txt"} and path.is_file():
            yield path


def _pieces(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    if size <= SAMPLES * SAMPLE_BYTES:
        yield path.read_bytes()
        return
    with path.open("rb") as file:
        for index in range(SAMPLES):
            file.seek(index * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            yield file.read(SAMPLE_BYTES)

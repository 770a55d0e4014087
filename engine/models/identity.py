"""What a recipe's `model` refers to: the bundled model, a local directory, or a hub id. No heavy imports."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine.errors import ModelError
from engine.hardware.file_hash import sha256
from engine.hub.cache import stored_weights

DEMO = "demo"
ROOT = Path(__file__).parents[2]
DEMO_DIRECTORY = ROOT / "assets" / "demo-model"
SAMPLES, SAMPLE_BYTES = 64, 16_384  # 1 MiB of each file
BUNDLED_FINGERPRINTS = {"a10b87b5790077ee": "f24452901c34f412"}
"""The fingerprint of the bundled model's files -> the one that its recorded runs have."""
SHA256 = re.compile(r"[0-9a-f]{64}")
WEIGHT_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt", ".pth")
TEXT_SUFFIXES = {".json", ".model", ".tiktoken", ".txt"}  # pickles and scripts are never read


def looks_like_path(name: str) -> bool:
    """Return whether a name is written like a path, of this or another system, rather than like a hub id."""
    return (
        name.startswith((".", "~"))
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).is_absolute()
    )


def resolve(model: str) -> str:
    """Return the directory or hub id that the model is loaded from."""
    if model == DEMO:
        return str(DEMO_DIRECTORY)
    path = os.path.expanduser(model)
    # Unlike `Path`, these two functions raise nothing for a name that is too long or an unknown user.
    return str(Path(path)) if os.path.isdir(path) else model


def local_directory(model: str) -> Path | None:
    """Return the directory on this machine that a model refers to, None for a hub id.

    Raises:
        ModelError: it is written like a path, and there is no such directory.
    """
    if os.path.isdir(directory := resolve(model)):
        return Path(directory)
    if fault := path_fault(model):
        raise ModelError(f"The model {model} was requested, but {fault}.", kind="missing")
    return None


def path_fault(model: str) -> str | None:
    """Return why a model that is given as a path is no directory, and what to do; None for anything else."""
    path = Path(os.path.expanduser(model))
    is_file = os.path.isfile(path)
    # A hub id may have the name of a file that happens to be here.
    if os.path.isdir(path) or not (looks_like_path(model) or (path.suffix in WEIGHT_SUFFIXES and is_file)):
        return None
    if not is_file:
        return "there is no such directory; check the path"
    if path.suffix == ".gguf":
        return "GGUF files, the format of llama.cpp, are not read here; choose the full-precision model"
    return "it is a file; choose the directory of a model, with config.json and safetensors"


def canonical(model: str) -> str:
    """Return one name per model: `demo` for the bundled one, an absolute path, or the hub id unchanged."""
    path = os.path.expanduser(model)
    if model == DEMO or not os.path.isdir(path):
        return model
    absolute = Path(path).resolve()
    return DEMO if absolute == DEMO_DIRECTORY.resolve() else str(absolute)


def fingerprint(model: str) -> str | None:
    """Return a hash of the files in a local directory (16 hexadecimal digits), None for a hub id.

    Every byte counts of the configuration, the tokenizer, and the weight files that are read: not of the
    shards next to a single file, nor of copies for other programs. The first call for a model takes about 1 s
    per GB, later ones next to nothing (`engine.hardware.file_hash`).
    """
    directory = Path(resolve(model))
    if not os.path.isdir(directory):
        return None
    files = [(name, sha256(directory / name)) for name in sorted(_hashed_files(directory))]
    found = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    return BUNDLED_FINGERPRINTS.get(found, found)


def is_revision(model: str, revision: str | None) -> bool:
    """Return whether the files in a local directory are those of a recipe's `revision` (None: any)."""
    return revision in (None, fingerprint(model)) or revision == _sampled(Path(resolve(model)))


def _sampled(directory: Path) -> str:
    """Return the fingerprint that earlier runs of these files have: of a file over 1 MiB it covers only the
    size and 64 samples.
    """
    digest = hashlib.sha256()
    for name in sorted(_hashed_files(directory)):
        path = directory / name
        digest.update(json.dumps([name, path.stat().st_size]).encode())
        for piece in _samples(path):
            digest.update(piece)
    return digest.hexdigest()[:16]


def _hashed_files(directory: Path) -> set[str]:
    """Return the names of the configuration and tokenizer files, and of the weight files that are read."""
    try:
        weights = set(stored_weights(directory))
    except (OSError, ValueError):  # a damaged index, which loading reports
        weights = set()
    texts = {path.name for path in directory.iterdir() if path.suffix in TEXT_SUFFIXES}
    return {name for name in texts | weights if (directory / name).is_file()}


def digest(paths: Iterable[Path]) -> str:
    """Return a hash of all bytes of these files, 64 hexadecimal digits."""
    return hashlib.sha256("".join(_content(path) for path in sorted(paths)).encode()).hexdigest()


def _content(path: Path) -> str:
    target = path.resolve()
    if SHA256.fullmatch(target.name):  # the hub's cache names a large file after its hash
        return target.name
    return sha256(target)


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    if size <= SAMPLES * SAMPLE_BYTES:
        yield path.read_bytes()
        return
    with path.open("rb") as file:
        for index in range(SAMPLES):
            file.seek(index * (size - SAMPLE_BYTES) // (SAMPLES - 1))  # the last sample ends with the file
            yield file.read(SAMPLE_BYTES)

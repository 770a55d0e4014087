"""What a recipe's `model` refers to: the bundled model, a local directory, a GGUF file, or a hub id. No heavy
imports.

A directory that holds GGUF files and no safetensors stands for the one GGUF file in it. The content of a GGUF
file alone identifies it, so a file that was moved or renamed is the same model.
"""

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
from engine.models.gguf import unpacked
from engine.models.gguf.faults import fault_of
from engine.models.gguf.file_names import gguf_files, has_gguf_suffix
from engine.models.gguf.header import starts_like_gguf
from engine.models.known_files import KNOWN_FILES
from engine.numbers import listed

DEMO = "demo"
ROOT = Path(__file__).parents[2]
DEMO_DIRECTORY = ROOT / "assets" / "demo-model"
SAMPLES, SAMPLE_BYTES = 64, 16_384  # 1 MiB of each file
BUNDLED_FINGERPRINTS = {"a10b87b5790077ee": "f24452901c34f412"}
"""The fingerprint of the bundled model's files -> the one that its recorded runs have."""
HUB_ID = re.compile(r"(\b[\w.-]+\b/)?\b[\w.-]{1,96}\b", re.ASCII)
"""As the hub's own library checks it: `name` or `owner/name`."""
SHA256 = re.compile(r"[0-9a-f]{64}")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
OTHER_FILE = (
    "it is a file, but not a GGUF file; choose the directory of a model, with config.json and safetensors"
)
TEXT_SUFFIXES = {".json", ".model", ".tiktoken", ".txt"}  # pickles and scripts are never read


def looks_like_path(name: str) -> bool:
    """Return whether a name is written like a path, of this or another system, rather than like a hub id."""
    return (
        name.startswith((".", "~"))
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).is_absolute()
        or has_gguf_suffix(name)
    )


def resolve(model: str) -> str:
    """Return the directory, GGUF file or hub id that the model is loaded from."""
    if model == DEMO:
        return str(DEMO_DIRECTORY)
    path = os.path.expanduser(model)
    # Unlike `Path`, these functions raise nothing for a name that is too long or an unknown user.
    if os.path.isdir(path):
        files = gguf_files(Path(path))
        return str(files[0] if len(files) == 1 else Path(path))
    return str(Path(path)) if _is_gguf_file(path) else model


def local_source(model: str, revision: str | None = None) -> Path | None:
    """Return the directory or GGUF file on this machine that a model refers to, None for a hub id.

    If a GGUF file is gone, but its weights are still in the cache, that is their directory.

    Args:
        revision: the recipe's, which identifies the content of a GGUF file.

    Raises:
        ModelError: it is written like a path, and there is nothing that can be read.
    """
    if fault := path_fault(model, revision):
        raise ModelError(f"The model {model} was requested, but {fault}.", kind="missing")
    source = resolve(model)
    return (
        Path(source)
        if os.path.exists(source) and _is_local(source)
        else unpacked.find(_identified(model, revision))
    )


def path_fault(model: str, revision: str | None = None) -> str | None:
    """Return why a model's name is neither a readable path nor a hub id, and what to do; None if it is."""
    source = resolve(model)
    if os.path.isdir(source):
        if files := gguf_files(Path(source)):
            return f"it holds several GGUF files, {listed([file.name for file in files])}; choose one of them"
        return None
    if _is_gguf_file(source):
        return fault_of(Path(source))
    is_file = os.path.isfile(source)
    # A hub id may have the name of a file that happens to be here.
    if looks_like_path(model) or (Path(model).suffix in WEIGHT_SUFFIXES and is_file):
        return OTHER_FILE if is_file else _absence(model, revision)
    if not is_hub_id(model):
        return "it is neither a directory, a GGUF file nor a hub id (owner/name); check the name"
    return None


def _absence(model: str, revision: str | None) -> str | None:
    """Return what to do about a path that leads nowhere; None if the weights of that GGUF file are here."""
    if not has_gguf_suffix(model):
        return "there is no such directory; check the path"
    if unpacked.find(_identified(model, revision)):
        return None
    if model in KNOWN_FILES:
        return f"that file is not on this machine; {KNOWN_FILES[model].advice}"
    return (
        "there is no such file; check the path, or download it first (from the hub with "
        "`hf download OWNER/NAME FILE.gguf`)"
    )


def _identified(model: str, revision: str | None) -> str | None:
    """Return the revision, or that of a known file which is given by its name alone."""
    return KNOWN_FILES[model].fingerprint if revision is None and model in KNOWN_FILES else revision


def _is_local(source: str) -> bool:
    return os.path.isdir(source) or _is_gguf_file(source)


def _is_gguf_file(path: str) -> bool:
    return os.path.isfile(path) and (has_gguf_suffix(path) or starts_like_gguf(Path(path)))


def is_hub_id(model: str) -> bool:
    """Return whether the hub could have a model of this name."""
    return (
        bool(HUB_ID.fullmatch(model))
        and "--" not in model
        and ".." not in model
        and not model.endswith(".git")
    )


def canonical(model: str) -> str:
    """Return one name per model: `demo` for the bundled one, an absolute path, or the hub id unchanged."""
    source = resolve(model)
    if model == DEMO or not _is_local(source):
        return model
    path = Path(source).absolute()
    if path.is_file():
        return str(path.parent.resolve() / path.name)  # the hub's cache links names to hashes
    absolute = path.resolve()
    return DEMO if absolute == DEMO_DIRECTORY.resolve() else str(absolute)


def fingerprint(model: str) -> str | None:
    """Return a hash of a local model's files (of a directory 16 hexadecimal digits), None for a hub id. A
    known file has its own wherever it is, also if it is not here.

    Every byte counts of a GGUF file; and of the configuration, the tokenizer, and the weight files that are
    read: not of the shards next to a single file, nor of copies for other programs. The first call for a
    model takes about 1 s per GB, later ones next to nothing (`engine.hardware.file_hash`).
    """
    source = resolve(model)
    if _is_gguf_file(source):
        return unpacked.content(Path(source))
    directory = Path(source)
    if not os.path.isdir(directory):
        return _identified(model, None)
    files = [(name, sha256(directory / name)) for name in sorted(_hashed_files(directory))]
    found = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    return BUNDLED_FINGERPRINTS.get(found, found)


def is_revision(model: str, revision: str | None) -> bool:
    """Return whether the files of a local model are those of a recipe's `revision` (None: any)."""
    found = fingerprint(model)
    if revision in (None, found) or found is None:  # None: the GGUF file is gone, its weights are here
        return True
    return not unpacked.is_content(found) and revision == _sampled(Path(resolve(model)))


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

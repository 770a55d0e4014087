"""Method files: Python files outside the project whose methods are written as the built-in ones are.

A file is identified by the digest of its content, which is part of the key of every run that uses one of its
methods. It is run once, from memory, so no bytecode is stored next to it, and its methods are added together
or not at all. An edited file replaces its methods; the earlier versions stay for runs that were started with
them. What the file prints goes to stderr, because stdout is the command line's data. A file that does not
end by itself is given up after `engine.pruning.method_files.running.PATIENCE` seconds.

Running a file is running its author's code with all rights of this process. So only its user names files,
never a recipe, a link or an imported run.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MethodError
from engine.pruning.method_files.rules import CLASSES, checked, refuse_names, refuse_neighbours
from engine.pruning.method_files.running import Added, run_file
from engine.registry import METHOD_FILES, Method, Origin

LARGEST = 1_000_000  # bytes; a file is source code written by a person


@dataclass(frozen=True)
class MethodFile:
    """A loaded file.

    Attributes:
        methods: by axis (`pruner` for presets), what it has added.
    """

    origin: Origin
    methods: tuple[tuple[str, Method], ...]


_files: dict[str, MethodFile] = {}  # by path: what the user has loaded
_stamps: dict[str, tuple[int, int, int]] = {}  # by path: what the file looked like when it was last read
_faults: dict[str, str] = {}  # by path, of files that do not load as they are now
_sources: dict[str, bytes] = {}  # by digest, also of earlier versions
_loading = threading.RLock()


def load_methods(path: str | Path) -> MethodFile:
    """Load a method file, or load it again if its content has changed, and add its methods to the registries.

    Raises:
        MethodError: the file cannot be read or run, adds no method, or adds one that cannot be used. The
            methods of its previous content stay.
    """
    file = Path(path).expanduser().absolute()
    with _loading:
        _stamps[str(file)] = _stamp(file)
        source = _read(file)
        origin = Origin(str(file), digest_of(source))
        known = _files.get(origin.path)
        if known is not None and known.origin == origin:
            return known
        refuse_neighbours(origin, source)
        added = checked(origin, run_file(origin, source))
        refuse_names(origin, added)
        methods = tuple((registry.axis, method) for registry, method in added)
        _sources[origin.digest] = source
        _files[origin.path] = MethodFile(origin, methods)
        _replace(origin, added)
        return _files[origin.path]


def load_version(origin: Origin, source: bytes) -> None:
    """Load the content that a run was started with, next to whatever else is loaded.

    Raises:
        MethodError: it is not that content, or it cannot be run.
    """
    if digest_of(source) != origin.digest:
        raise MethodError(
            f"The stored copy of the method file {origin} has another content. Load the file itself again."
        )
    with _loading:
        added = checked(origin, run_file(origin, source))
        refuse_names(origin, added, of_files=False)
        _sources[origin.digest] = source
        if origin.path not in _files:
            _replace(origin, added)
        else:
            for registry, method in added:
                registry.remember([method])


def unload(path: str | Path) -> None:
    """Remove the methods of a file from the registries; runs that were started with them can still end."""
    file = str(Path(path).expanduser().absolute())
    with _loading:
        _files.pop(file, None)
        _stamps.pop(file, None)
        for registry, _ in CLASSES.values():
            registry.replace(file, ())


def loaded() -> list[MethodFile]:
    """Return the loaded files, in the order in which they were loaded first."""
    return list(_files.values())


def refresh(paths: Sequence[str]) -> list[str]:
    """Load the files that have not been loaded or have changed since, and return what is wrong with any of
    them, in sentences.
    """
    sentences = []
    for path in paths:
        file = Path(path).expanduser().absolute()
        with _loading:
            if _stamps.get(str(file)) != _stamp(file):
                _faults.pop(str(file), None)
                try:
                    load_methods(file)
                except MethodError as error:
                    kept = " Its previous version is still in use." if str(file) in _files else ""
                    _faults[str(file)] = f"{error}{kept}"
            if fault := _faults.get(str(file)):
                sentences.append(fault)
    return sentences


def listed() -> list[str]:
    """Return the paths in `PRUNESCOPE_METHODS`."""
    return [path for path in os.environ.get(METHOD_FILES, "").split(os.pathsep) if path.strip()]


def source_of(digest: str) -> bytes | None:
    """Return the content with this digest; None if this process has not loaded it."""
    return _sources.get(digest)


def digest_of(source: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(source).hexdigest()[:16]  # 64 bits


def _stamp(file: Path) -> tuple[int, int, int]:
    """Return what changes whenever a file is written; zeros if it cannot be read."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(file: Path) -> bytes:
    try:
        if not file.is_file():
            wrong = "is not a file" if file.exists() else "does not exist"
            raise MethodError(f"The method file {file} was requested, but it {wrong}. Check the path.")
        if file.stat().st_size > LARGEST:
            raise MethodError(
                f"The method file {file} has more than {LARGEST:,} bytes, so it is not source code. Check "
                "the path."
            )
        return file.read_bytes()
    except (OSError, ValueError) as error:
        raise MethodError(f"The method file {file} cannot be read ({error}). Check the path.") from error


def _replace(origin: Origin, added: Added) -> None:
    for registry, _ in CLASSES.values():
        registry.replace(origin.path, [method for own, method in added if own is registry])

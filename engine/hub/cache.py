"""Models that are on this machine already, in the hub's own cache: found without a network, and used without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.hub import place
from engine.hub.files import CONFIG, missing_weights

PREFIX = "models--"
KINDS = ("ForCausalLM", "LMHeadModel")
"""What the name of a causal language model's class ends with; other models that share the cache are not listed."""


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache.

    Attributes:
        id: the hub id.
        commit: which version, 40 hexadecimal digits.
        bytes: what its files take.
        complete: whether nothing is missing.
    """

    id: str
    commit: str
    bytes: int
    directory: Path
    complete: bool


def cached_models() -> tuple[CachedModel, ...]:
    """The causal language models in the cache, complete ones first, then by name. A cache that is missing or damaged has none."""
    try:
        folders = [path for path in place.hub_cache().iterdir() if path.name.startswith(PREFIX) and path.is_dir()]
    except OSError:
        return ()
    found = [model for folder in folders if (model := _newest(folder)) is not None]
    return tuple(sorted(found, key=lambda model: (not model.complete, model.id.lower())))


def snapshot(model: str, revision: str | None = None) -> Path | None:
    """The directory of a complete model in the cache, None where it is not there as a whole. No network."""
    folder = place.repo_cache(model)
    commit = commit_of(folder, revision or "main")
    if commit is None:
        return None
    directory = folder / "snapshots" / commit
    return directory if _is_complete(directory) else None


def commit_of(folder: Path, revision: str) -> str | None:
    """The commit that a branch, tag or commit stood for when it was last fetched."""
    if (folder / "snapshots" / revision).is_dir():
        return revision
    try:
        commit = (folder / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if commit and (folder / "snapshots" / commit).is_dir() else None


def _newest(folder: Path) -> CachedModel | None:
    commit = commit_of(folder, "main") or next((path.name for path in sorted(_directories(folder / "snapshots"))), None)
    if commit is None:
        return None
    directory = folder / "snapshots" / commit
    if not _is_language_model(directory):
        return None
    name = folder.name.removeprefix(PREFIX).replace("--", "/")
    return CachedModel(name, commit, _size(directory), directory, _is_complete(directory))


def _directories(parent: Path) -> Iterator[Path]:
    try:
        yield from (path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return


def _is_complete(directory: Path) -> bool:
    return (directory / CONFIG).is_file() and not missing_weights(directory)


def _is_language_model(directory: Path) -> bool:
    try:
        kinds = json.loads((directory / CONFIG).read_text(encoding="utf-8")).get("architectures") or []
    except (OSError, ValueError, AttributeError):
        return False
    return any(str(kind).endswith(KINDS) for kind in kinds)


def _size(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except OSError:  # a link to nothing
            continue
    return total

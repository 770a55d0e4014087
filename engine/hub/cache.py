"""Models that are on this machine already, in the hub's own cache: found without a network, and used without
one.

Which files of a model's repository a run needs: configuration, tokenizer, and the safetensors that
transformers reads.

Never a pickle, never a script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from engine.hub import settings

CONFIG, SINGLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TEXT = (
    CONFIG,
    "generation_config.json",
    "tokenizer*.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.*",
    INDEX,
)
"""What is fetched beside the weights: patterns of names at the top of the repository."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


def text_files(names: Iterable[str]) -> list[str]:
    """The small files among a repository's names."""
    return [name for name in names if "/" not in name and any(fnmatch(name, pattern) for pattern in TEXT)]


def weight_files(names: Sequence[str]) -> list[str]:
    """The safetensors that transformers would read; copies for other programs (`consolidated`, folders) are
    left out.

    An empty list: the repository has none. With an index the shards are named like it; which they are is in
    the index alone, but a repository has no other `model-*`.
    """
    if INDEX in names:
        return [name for name in names if "/" not in name and fnmatch(name, "model-*.safetensors")]
    return [SINGLE] if SINGLE in names else []


def has_pickles(names: Iterable[str]) -> bool:
    """Whether there are weights in a format that can hold code."""
    return any(fnmatch(name, pattern) for name in names for pattern in PICKLES)


def missing_weights(directory: Path) -> list[str]:
    """Weight files that a snapshot should hold and does not: what its index names, else the single file."""
    index = directory / INDEX
    try:
        names = (
            sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else [SINGLE]
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return [INDEX]
    return [name for name in names if not (directory / name).is_file()]


PREFIX = "models--"
KINDS = ("ForCausalLM", "LMHeadModel")
"""What the name of a causal language model's class ends with; other models that share the cache are not
listed.
"""


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
    """The causal language models in the cache, complete ones first, then by name. A cache that is missing or
    damaged has none.
    """
    try:
        folders = [
            path for path in settings.hub_cache().iterdir() if path.name.startswith(PREFIX) and path.is_dir()
        ]
    except OSError:
        return ()
    found = [model for folder in folders if (model := _newest(folder)) is not None]
    return tuple(sorted(found, key=lambda model: (not model.complete, model.id.lower())))


def snapshot(model: str, revision: str | None = None) -> Path | None:
    """The directory of a complete model in the cache, None where it is not there as a whole. No network."""
    folder = settings.repo_cache(model)
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
    commit = commit_of(folder, "main") or next(
        (path.name for path in sorted(_directories(folder / "snapshots"))), None
    )
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

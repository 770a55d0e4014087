"""The hub's cache on this machine: which models are complete, and which files of a repository a run needs.

A run needs the configuration, the tokenizer, and the safetensors that transformers reads; never a pickle and
never a script. Nothing in this file uses the network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from engine.hub import settings

# The names that `save_pretrained` gives them.
CONFIG, SINGLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
INDEX_SUFFIX = ".safetensors.index.json"
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
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    INDEX,
)
"""The files that are downloaded besides the weights, as patterns of names at the top level."""
ADAPTER_CONFIG = "adapter_config.json"
"""Says that the files hold an adapter (as of peft), or that one is next to a model."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")  # and formats of other frameworks
FOLDER_PREFIX = "models--"
CAUSAL_SUFFIXES = ("ForCausalLM", "LMHeadModel")
"""Endings of the class names of causal language models. Other models share the cache and are not listed."""


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache.

    Attributes:
        id: the hub id.
        commit: its version, 40 hexadecimal digits.
        bytes: total size of its files.
        complete: whether no file is missing.
    """

    id: str
    commit: str
    bytes: int
    directory: Path
    complete: bool


def text_files(names: Iterable[str]) -> list[str]:
    """Return the small files (configuration, tokenizer, index) among a repository's file names."""
    return [name for name in names if "/" not in name and any(fnmatch(name, pattern) for pattern in TEXT)]


def weight_files(names: Sequence[str]) -> list[str]:
    """Return the safetensors among a repository's file names that transformers would read.

    The single file comes before the index, as in transformers. Copies for other programs
    (`consolidated.safetensors`, folders) are left out. The list is empty if there are none. In a repository
    with an index every `model-*.safetensors` is taken for a shard, because the index itself has not been
    downloaded yet.
    """
    if SINGLE in names:
        return [SINGLE]
    if INDEX in names:
        return [name for name in names if "/" not in name and fnmatch(name, "model-*.safetensors")]
    return []


def has_pickles(names: Iterable[str]) -> bool:
    """Return whether there are weights in a format that can contain code."""
    return any(fnmatch(name, pattern) for name in names for pattern in PICKLES)


def holds_gguf(names: Iterable[str]) -> bool:
    """Return whether there are weights in the format of llama.cpp."""
    return any(name.lower().endswith(".gguf") for name in names)


def indexed_files(index: Path) -> list[str]:
    """Return the names of the shards that an index lists.

    Raises:
        ValueError: it is not an index, or lists a file outside its directory, where an export would write.
    """
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        content["metadata"]  # without it, transformers does not read the index
        # `weight_map`: tensor -> file, so a file occurs many times
        names = sorted(set(content["weight_map"].values()))
        outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{index} is not an index of shards") from error
    if outside:
        raise ValueError(f"{index.name} lists {outside[0]}, which is outside the model's directory")
    return names


def stored_weights(directory: Path) -> list[str]:
    """Return the names of the weight files that transformers reads from a directory, present or not.

    The first of these: the file that the configuration names (`transformers_weights`), the single file, the
    shards of the index.

    Raises:
        OSError, ValueError: the index cannot be read, or the configuration names an unsuitable file.
    """
    named = _named_weights(directory)
    if named and (".." in Path(named).parts or not named.endswith((".safetensors", INDEX_SUFFIX))):
        raise ValueError(f"transformers_weights in {CONFIG} is {named}")
    if named.endswith(INDEX_SUFFIX):
        return indexed_files(directory / named)
    if named:
        return [named]
    index = directory / INDEX
    return indexed_files(index) if index.is_file() and not (directory / SINGLE).is_file() else [SINGLE]


def _named_weights(directory: Path) -> str:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever reads the configuration reports that
        return ""
    return str(config.get("transformers_weights") or "") if isinstance(config, dict) else ""


def missing_weights(directory: Path) -> list[str]:
    """Return the weight files that a snapshot lacks; the index if it is damaged."""
    try:
        names = stored_weights(directory)
    except (OSError, ValueError):
        return [INDEX]  # a damaged index has to be downloaded again
    return [name for name in names if not (directory / name).is_file()]


def cached_models() -> tuple[CachedModel, ...]:
    """Return the causal language models in the cache, complete ones first, then by name.

    A cache that is missing or damaged contains none.
    """
    try:
        folders = [
            path
            for path in settings.hub_cache().iterdir()
            if path.name.startswith(FOLDER_PREFIX) and path.is_dir()
        ]
    except OSError:
        return ()
    models = [model for folder in folders if (model := _cached_model(folder)) is not None]
    return tuple(sorted(models, key=lambda model: (not model.complete, model.id.lower())))


def _cached_model(folder: Path) -> CachedModel | None:
    """Return the version that `main` points to, or else any version, if it is a causal language model."""
    # `min` for an arbitrary choice that is the same every time.
    commit = commit_of(folder, "main") or min(
        (path.name for path in _subfolders(folder / "snapshots")), default=None
    )
    if commit is None:
        return None
    directory = folder / "snapshots" / commit
    if not _is_causal(directory):
        return None
    name = folder.name.removeprefix(FOLDER_PREFIX).replace("--", "/")  # no hub id contains "--"
    return CachedModel(name, commit, _size(directory), directory, _is_complete(directory))


def snapshot(model: str, revision: str | None = None) -> Path | None:
    """Return the directory of a model in the cache, None if it is absent or incomplete."""
    folder = settings.model_cache(model)
    commit = commit_of(folder, revision or "main")
    if commit is None:
        return None
    directory = folder / "snapshots" / commit
    return directory if _is_complete(directory) else None


def commit_of(folder: Path, revision: str) -> str | None:
    """Return the commit that a branch, tag or commit pointed to when it was last downloaded.

    None if no snapshot of it exists.
    """
    if os.path.isdir(folder / "snapshots" / revision):  # it is a commit
        return revision
    try:
        # a text file per branch or tag
        commit = (folder / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if commit and (folder / "snapshots" / commit).is_dir() else None


def cached_dataset_file(repo: str, revision: str, file: str) -> Path | None:
    """Return the path of a dataset's file in the cache, None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    try:
        path = try_to_load_from_cache(
            repo, file, cache_dir=settings.hub_cache(), revision=revision, repo_type="dataset"
        )
    except OSError:
        return None
    return Path(path) if isinstance(path, str) else None  # also a marker object for "known to be absent"


def _subfolders(parent: Path) -> Iterator[Path]:
    try:
        yield from (path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return


def _is_complete(directory: Path) -> bool:
    return (directory / CONFIG).is_file() and not missing_weights(directory)


def _is_causal(directory: Path) -> bool:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        names = config.get("architectures") or []
    except (OSError, ValueError, AttributeError):
        return False
    return any(str(name).endswith(CAUSAL_SUFFIXES) for name in names)


def _size(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size  # of the blob that the link points to
        except OSError:  # a dangling link into the blobs
            continue
    return total

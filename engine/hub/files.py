"""Which files of a model's repository a run needs: configuration, tokenizer, and the safetensors that transformers reads.

Never a pickle, never a script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

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
    """The safetensors that transformers would read; copies for other programs (`consolidated`, folders) are left out.

    An empty list: the repository has none. With an index the shards are named like it; which they are is in the index alone, but a
    repository has no other `model-*`.
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
        names = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else [SINGLE]
    except (OSError, ValueError, KeyError, AttributeError):
        return [INDEX]
    return [name for name in names if not (directory / name).is_file()]

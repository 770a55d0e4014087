"""Reading a model's tokenizer. A model without one can still be measured on token ids; a tokenizer that is
there and cannot be used is named, because the texts would otherwise seem to be at fault.
"""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from transformers import AutoTokenizer

from engine.hub.failures import first_words

CONFIG = "tokenizer_config.json"
VOCABULARY = (
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "vocab.*",
    "*spiece.model",
    "*.bpe.model",
    "*.tiktoken",
)
"""Files that hold the tokens, as patterns of names."""
SIDE_FILES = (CONFIG, "special_tokens_map.json", "added_tokens.json", "merges.txt")


class ReadTokenizer(NamedTuple):
    """A tokenizer, None if there is none that can be used; `fault` is a sentence if one is broken."""

    tokenizer: Any = None
    fault: str = ""


def read_tokenizer(directory: Path) -> ReadTokenizer:
    """Return the tokenizer in a local directory."""
    names = sorted(path.name for path in directory.iterdir())
    vocabularies = [name for name in names if any(fnmatch(name, pattern) for pattern in VOCABULARY)]
    if not vocabularies:
        left = [name for name in names if name in SIDE_FILES]
        return ReadTokenizer(fault=_fault(left[0], "the file with its tokens is missing") if left else "")
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except Exception as error:  # damaged files and unknown classes raise many types
        return ReadTokenizer(fault=_fault(*_culprit(directory, vocabularies, error)))
    return ReadTokenizer(tokenizer)


def _culprit(directory: Path, vocabularies: list[str], error: Exception) -> tuple[str, str]:
    """Return the file that cannot be read, and why."""
    present = [name for name in (*SIDE_FILES, *vocabularies) if (directory / name).is_file()]
    for name in present:
        if name.endswith(".json"):
            try:
                json.loads((directory / name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as damage:
                return name, f"it is not valid JSON: {first_words(damage, 80)}"
    return vocabularies[0], first_words(error, 200)


def _fault(file: str, reason: str) -> str:
    return (
        f"The model's tokenizer cannot be used because of {file} ({reason.rstrip('.')}). Download or save "
        "it again."
    )

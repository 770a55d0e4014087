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
from engine.hub.git_lfs import FIX, is_pointer

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
NO_VOCABULARY = "the file with its tokens is missing"
SIDE_FILES = (CONFIG, "special_tokens_map.json", "added_tokens.json", "merges.txt")


class ReadTokenizer(NamedTuple):
    """A tokenizer, None if there is none that can be used; `fault` is a sentence if one is broken."""

    tokenizer: Any = None
    fault: str = ""


def read_tokenizer(directory: Path) -> ReadTokenizer:
    """Return the tokenizer in a local directory."""
    names = sorted(path.name for path in directory.iterdir())
    vocabularies = [name for name in names if any(fnmatch(name, pattern) for pattern in VOCABULARY)]
    side_files = [name for name in SIDE_FILES if name in names]
    if not vocabularies and not side_files:
        return ReadTokenizer()
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    except Exception as error:  # damaged files and unknown classes raise many types
        file, reason = _culprit(directory, [*side_files, *vocabularies], error)
        if not vocabularies:
            reason = NO_VOCABULARY
        return ReadTokenizer(fault=_fault(file, reason))
    # Some classes build an empty tokenizer if there is no vocabulary; those for bytes need none.
    if not vocabularies and not _knows_letters(tokenizer):
        return ReadTokenizer(fault=_fault(side_files[0], NO_VOCABULARY))
    return ReadTokenizer(tokenizer)


def _knows_letters(tokenizer: Any) -> bool:
    return "word" in tokenizer.decode(tokenizer("word")["input_ids"])


def _culprit(directory: Path, names: list[str], error: Exception) -> tuple[str, str]:
    """Return the file that cannot be read, and why; `names` are the tokenizer's files."""
    for name in names:
        if is_pointer(directory / name):
            return name, f"it is only a Git LFS pointer: {FIX[0].lower()}{FIX[1:]}"
        if name.endswith(".json"):
            try:
                json.loads((directory / name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as damage:
                return name, f"it is not valid JSON: {first_words(damage, 80)}"
    if "custom code" in str(error):  # words of transformers
        return CONFIG, "it requires code of its repository, which is never run here"
    return names[-1], first_words(error)


def _fault(file: str, reason: str) -> str:
    return (
        f"The model's tokenizer cannot be used because of {file} ({reason.rstrip('.')}). Replace the "
        "tokenizer's files, or use token ids in .npy files instead of texts."
    )

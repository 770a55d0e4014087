"""Any text as documents: the bundled stories, `.txt` (documents parted by lines `<|endoftext|>`, else one) and `.jsonl` (one a line).

A line of `.jsonl` is a string, or an object with a string `text`.
"""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import CorpusError

SEPARATOR = "<|endoftext|>"
STORIES = Path(__file__).parents[2] / "assets" / "stories"


def corpus_path(name: str, role: str) -> Path:
    """The file that a corpus name stands for in a role; the stories have a part of their own for each."""
    return STORIES / f"{role}.txt" if name == "stories" else Path(name).expanduser()


def read_documents(name: str, role: str) -> list[str]:
    """The documents of a corpus, without empty ones.

    Raises:
        CorpusError: the file is missing, not UTF-8, or not of the form its ending says.
    """
    path = corpus_path(name, role)
    text = _read(path)
    documents = _json_lines(path, text) if path.suffix == ".jsonl" else text.split(f"{SEPARATOR}\n")
    documents = [document.strip("\n") for document in documents if document.strip()]
    if not documents:
        raise CorpusError(f"The text {path} was asked for, but it holds no text. Choose another file.")
    return documents


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"The text {path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise CorpusError(f"The text {path} was asked for, but it cannot be read: {error.strerror}. Check the path.") from error


def _json_lines(path: Path, text: str) -> list[str]:
    documents = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(f"Line {number} of {path} is not JSON ({error.msg}). Give one JSON string or object a line.") from error
        document = value.get("text") if isinstance(value, dict) else value
        if not isinstance(document, str):
            raise CorpusError(f"Line {number} of {path} is neither a string nor an object with a string `text`.")
        documents.append(document)
    return documents

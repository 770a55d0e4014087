"""One's own text: what a `.txt` or `.jsonl` file means, and a place for what is pasted or uploaded.

A `.txt` file is one document, exactly as it stands, unless it has lines `<|endoftext|>`: these part
documents, whose newlines at both ends are dropped. A `.jsonl` file has one document a line, a string or an
object with a string `text`, exactly as it stands. Empty documents are left out. Newlines of every kind stay
what they are. What is kept has its content in its name, so the same text is kept once.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.errors import CorpusError
from engine.hardware import disk
from engine.hub.failures import DISK_FULL

SEPARATOR = "<|endoftext|>"
MOST_BYTES = 20_000_000
"""Of a pasted or uploaded text. A tokenizer takes about ten seconds, and memory of 60 times its size, for so
much.
"""
UNUSED_DAYS = 7
LONGEST_NAME = 40
ENDINGS = (".txt", ".jsonl")


def parse(content: bytes, suffix: str, source: str) -> tuple[str, ...]:
    """The documents of a file's content.

    Args:
        content: the whole file.
        suffix: its ending, which says what it holds; anything but `.jsonl` is text.
        source: how sentences call it.

    Raises:
        CorpusError: it is not UTF-8, not of the form that its ending says, or empty.
    """
    text = _decoded(content, source)
    documents = _json_lines(text, source) if suffix.lower() == ".jsonl" else _parted(text)
    documents = [document for document in documents if document.strip()]
    if not documents:
        raise CorpusError(f"{source} was asked for, but it holds no text. Choose another one.")
    return tuple(documents)


def save_text(content: str | bytes, directory: Path, suffix: str, name: str = "text") -> Path:
    """Keep a pasted or uploaded text in a directory.

    Args:
        name: what its file is called in the first place, before what tells its content.

    Raises:
        CorpusError: it is too long, not UTF-8, not of the form that its ending says, or empty, or the disk
            refuses.
    """
    suffix = suffix.lower()
    if suffix not in ENDINGS:
        raise CorpusError(
            f"A text ends in {' or '.join(ENDINGS)}, but this one ends in {suffix or 'nothing'}. Save it as one of these."
        )
    content = _encoded(content)
    if len(content) > MOST_BYTES:
        size = f"{len(content) / 1e6:,.1f} MB"
        raise CorpusError(
            f"The text has {size}, but at most {MOST_BYTES / 1e6:,.0f} MB are taken. Give a part of it, or the path of a file on this machine."
        )
    parse(content, suffix, "The text")
    path = _place(content, directory, suffix, name)
    try:
        _keep(path, content)
    except OSError as error:
        reason = "the disk is full" if error.errno in DISK_FULL else error.strerror or str(error)
        raise CorpusError(
            f"The text could not be kept in {directory} ({reason}). Free some space there, or check that it can be written."
        ) from error
    return path


def _place(content: bytes, directory: Path, suffix: str, name: str) -> Path:
    """Where the text is, or goes: a file that holds the same counts, whatever it is called."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST_NAME] or "text"
    return next(iter(sorted(directory.glob(f"*-{digest}{suffix}"))), directory / f"{plain}-{digest}{suffix}")


def touch_texts(names: Iterable[str], directory: Path) -> None:
    """Note that kept texts are used, wherever a name stands for one of this directory."""
    for name in names:
        path = Path(name)
        if path.parent == directory.resolve() and path.is_file():
            path.touch()


def drop_unused_texts(directory: Path) -> None:
    """Delete the kept texts that nobody has used for `UNUSED_DAYS`; what cannot be deleted stays."""
    oldest = time.time() - UNUSED_DAYS * 24 * 60 * 60
    for path in directory.glob("*"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; where it is there already it counts as used now."""
    if path.is_file() and path.stat().st_size == len(content):
        path.touch()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write_file(path, content)


def _encoded(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"The text holds half a character at place {error.start + 1}. Copy it again."
        ) from error


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{source} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error


def _parted(text: str) -> list[str]:
    documents = re.split(f"{re.escape(SEPARATOR)}\\r?\\n", text)
    return [document.strip("\r\n") for document in documents] if len(documents) > 1 else documents


def _json_lines(text: str, source: str) -> list[str]:
    """One document a line. Only a newline ends a line: JSON may hold the other line ends of Unicode in a
    string.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    return [
        _document(line, f"Line {number} of {source[0].lower()}{source[1:]}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _document(line: str, where: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = (
            error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or too long a number"
        )
        raise CorpusError(
            f"{where} is not JSON ({reason}). Give one JSON string or object a line."
        ) from error
    document = value.get("text") if isinstance(value, dict) else value
    if not isinstance(document, str):
        raise CorpusError(f"{where} is neither a string nor an object with a string `text`.")
    try:
        document.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{where} holds half a character (an escape of a lone surrogate). Write the character whole."
        ) from error
    return document

"""Any text as a list of documents: the bundled stories, a `.txt` or `.jsonl` file, or a named corpus.

A `.txt` file is one document, unchanged, unless it contains lines `<|endoftext|>`: these separate documents,
whose leading and trailing newlines are dropped. A `.jsonl` file has one document per line, a string or an
object with a string `text`, unchanged. Empty documents are left out. Newlines of every kind are preserved.
Files are UTF-8, or begin with the byte order mark of UTF-16 or UTF-32; a mark is not part of the text.

Files are read immediately. A named corpus that is not cached is downloaded, as a generator of progress that
may be closed at any time.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from engine.corpora.download import documents_of
from engine.corpora.named import NAMED, Role, corpus_path
from engine.errors import CorpusError
from engine.hub.git_lfs import FIX, holds_pointer
from engine.numbers import listed
from engine.progress import Progress

SEPARATOR = "<|endoftext|>"  # GPT-2's end token, written out
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # before UTF-16, whose little-endian mark begins this one
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and the encodings that they stand for."""
FORM = "Write each line as a JSON string, or as an object whose `text` is a string."
JSON_TYPES = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
"""What a JSON value is called, by the type that Python reads it as."""


@dataclass(frozen=True)
class Corpus:
    """Documents, and how they become windows.

    Attributes:
        documents: the texts, in order.
        joined: the separator if they are tokenised as one text. None: a single document is tokenised as the
            tokenizer does by default; of several, each begins with the start token.
        apart: whether a window must lie within one document.
        windows: only the first `windows` windows are measured; None for all.
        whole: whether these are all documents of the source.
        identity: the source of a named corpus: source, configuration, file, revision, split. Empty for files.
    """

    documents: tuple[str, ...]
    joined: str | None
    identity: Mapping[str, str]
    apart: bool = False
    windows: int | None = None
    whole: bool = True

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the documents and of how they are joined, 16 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.joined, self.apart)).encode())
        for document in self.documents:
            content = document.encode()
            # the length first, so that moving text between two documents changes the hash
            digest.update(len(content).to_bytes(8, "little") + content)
        return digest.hexdigest()[:16]


def fetch(name: str, role: Role, documents: int | None = None) -> Generator[Progress, None, Corpus]:
    """Return the documents of a corpus.

    Args: name: `stories`, a named corpus, or a file. role: what they are used for; a named corpus has a
        separate split for each role. documents: how many documents to read of a corpus of which only an
        excerpt is read, if not the default.

    Raises:
        CorpusError: it cannot be read, or is not on this machine and cannot be downloaded.
    """
    if name not in NAMED:
        return Corpus(tuple(read_documents(name, role)), joined=None, identity={})
    corpus = NAMED[name]
    part = corpus.parts[role]
    # A corpus that is read whole ignores `documents`.
    count = part.documents if part.documents is None or documents is None else documents
    texts, commit = yield from documents_of(corpus, part, count)
    if not any(text.strip() for text in texts):
        raise CorpusError(
            f"{corpus.title} was downloaded from {corpus.url}, but has no text. Try again later."
        )
    identity = {
        "source": corpus.repo,
        "config": corpus.config,
        "revision": commit,
        "split": part.split,
        "file": part.file,
    }
    return Corpus(
        texts,
        part.joined,
        identity,
        apart=part.apart,
        windows=part.windows,
        whole=count is None or len(texts) < count,  # fewer than requested: the file ends here
    )


def read_documents(name: str, role: Role) -> list[str]:
    """Return the documents of a file or of the bundled stories, without empty ones.

    Raises:
        CorpusError: the file is missing, not Unicode, or not in the format of its suffix.
    """
    path = corpus_path(name, role)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"The text {path} was requested, but it cannot be read: {error.strerror}. Check the path."
        ) from error
    return list(parse(content, path.suffix, f"The text {path}"))


def parse(content: bytes, suffix: str, source: str) -> tuple[str, ...]:
    """Return the documents in a file's content.

    Args:
        content: the whole file.
        suffix: its suffix, which determines the format; anything but `.jsonl` is text.
        source: what error messages call it.

    Raises:
        CorpusError: it is not Unicode, not in the format of its suffix, or empty.
    """
    if holds_pointer(content):
        raise CorpusError(f"{source} is only a Git LFS pointer, not the text itself. {FIX}.")
    text = _decoded(content, source)
    documents = _json_lines(text, source) if suffix.lower() == ".jsonl" else _separated(text)
    documents = [document for document in documents if document.strip()]
    if not documents:
        raise CorpusError(f"{source} was requested, but it contains no text. Choose another one.")
    return tuple(documents)


def _decoded(content: bytes, source: str) -> str:
    """Return a file's text without its byte order mark."""
    encoding = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding).removeprefix("\ufeff")  # only UTF-8 decodes the mark as a character
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{source} is not {encoding.upper()} (byte {error.start}). Save it as UTF-8."
        ) from error
    # English in UTF-16, whose every second byte is 0, is valid UTF-8 as well.
    if text.count("\0") > len(text) / 4:
        raise CorpusError(
            f"{source} has null characters throughout, so it is binary, or UTF-16 without a byte order mark. "
            "Save it as UTF-8."
        )
    return text


def _separated(text: str) -> list[str]:
    documents = re.split(f"{re.escape(SEPARATOR)}\\r?\\n", text)  # \r: Windows
    return [document.strip("\r\n") for document in documents] if len(documents) > 1 else documents


def _json_lines(text: str, source: str) -> list[str]:
    """Return one document per line.

    Only a newline ends a line (`splitlines` would be wrong): a JSON string may contain Unicode's other line
    ends.
    """
    return [
        _document(line, f"Line {number} of {source[0].lower()}{source[1:]}")
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def _document(line: str, where: str) -> str:
    try:
        value = json.loads(line)
    # A ValueError that is no JSONDecodeError: an integer with more digits than Python converts.
    except (ValueError, RecursionError) as error:
        reason = (
            error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or too long a number"
        )
        raise CorpusError(f"{where} is not JSON ({reason}). {FORM}") from error
    document = value.get("text") if isinstance(value, dict) else value
    if not isinstance(document, str):
        raise CorpusError(f"{where} is {_described(value)}. {FORM}")
    # JSON may escape half of a surrogate pair, and Python then decodes it without an error.
    try:
        document.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{where} contains half a character (an escaped lone surrogate). Write the whole character."
        ) from error
    return document


def _described(value: object) -> str:
    """Return what a line that holds no document holds instead."""
    if not isinstance(value, dict):
        return JSON_TYPES[type(value)]
    if not value:
        return "an empty object"
    if "text" in value:
        return f"an object whose `text` is {JSON_TYPES[type(value['text'])]}"
    return f"an object without `text`, with {listed([f'`{name}`' for name in value])}"

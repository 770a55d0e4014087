"""Any text as documents: the bundled stories, a `.txt` or `.jsonl` file, or a named corpus of the hub.

Files are read at once; a named corpus that is not cached comes over the network, as a generator of progress
that may be closed at any moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from engine.corpora.download import documents_of
from engine.corpora.named import NAMED, STORIES, NamedCorpus, Role, corpus_path
from engine.corpora.user_texts import parse
from engine.errors import CorpusError
from engine.progress import Progress

__all__ = ["STORIES", "Corpus", "corpus_path", "fetch", "read_documents"]


@dataclass(frozen=True)
class Corpus:
    """Documents, and how they become windows.

    Attributes:
        documents: the texts, in order.
        joined: what stands between them where they are tokenised as one text. None: a lone document is
            tokenised as the tokenizer does it, of several each begins with the start token.
        apart: whether a window lies within one document.
        windows: only the first so many are measured; None for all.
        whole: whether there are no more documents where these come from.
        identity: where a named corpus comes from: source, configuration, file, revision, split; empty for
            files.
    """

    documents: tuple[str, ...]
    joined: str | None
    identity: Mapping[str, str]
    apart: bool = False
    windows: int | None = None
    whole: bool = True

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the documents and of how they are joined, 16 hex digits."""
        digest = hashlib.sha256(repr((self.joined, self.apart)).encode())
        for document in self.documents:
            content = document.encode()
            digest.update(len(content).to_bytes(8, "little") + content)
        return digest.hexdigest()[:16]


def fetch(name: str, role: Role, documents: int | None = None) -> Generator[Progress, None, Corpus]:
    """The documents of a corpus.

    Args:
        name: `stories`, a named corpus, or a file.
        role: what they are for; a named corpus has a split of its own for each.
        documents: of a named corpus that is taken in part, how many instead of the usual number.

    Raises:
        CorpusError: it cannot be read, or is not here and cannot be fetched.
    """
    if name not in NAMED:
        return Corpus(tuple(read_documents(name, role)), joined=None, identity={})
    corpus = NAMED[name]
    part = corpus.parts[role]
    count = part.documents if part.documents is None or documents is None else documents
    texts, commit = yield from documents_of(corpus, part, count)
    if not any(text.strip() for text in texts):
        raise CorpusError(f"{corpus.title} came without any text from {corpus.url}. Try again later.")
    identity = _identity(corpus, role, commit)
    return Corpus(
        texts,
        part.joined,
        identity,
        apart=part.apart,
        windows=part.windows,
        whole=count is None or len(texts) < count,
    )


def _identity(corpus: NamedCorpus, role: Role, commit: str) -> dict[str, str]:
    part = corpus.parts[role]
    return {
        "source": corpus.repo,
        "config": corpus.config,
        "revision": commit,
        "split": part.split,
        "file": part.file,
    }


def read_documents(name: str, role: Role) -> list[str]:
    """The documents of a file or of the bundled stories, without empty ones.

    Raises:
        CorpusError: the file is missing, not UTF-8, or not of the form its ending says.
    """
    path = corpus_path(name, role)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"The text {path} was asked for, but it cannot be read: {error.strerror}. Check the path."
        ) from error
    return list(parse(content, path.suffix, f"The text {path}"))

"""Windows of token ids: cut from a text without overlap, from single documents, or read from an `.npy` file.

Evaluation uses all windows in order (of C4 the first 256); a remainder that does not fill a window is
dropped. Calibration uses a seeded choice of the same kind of windows, or (C4) one window at a random position
of each of a seeded choice of the documents that are longer than a window. The ids of an `.npy` file are used
unchanged. All functions are generators of progress: a text may have to be downloaded, and a long one takes
seconds to tokenise.

So a text is tokenised once per tokenizer, and its rows are cached on disk; a million tokens take 5 MB. A
file's name is a hash of everything its rows depend on: the documents and how they are joined, the tokenizer
and the version of its library, and the length limit if short rows are left out. Files are written atomically,
so several runs may share a directory, and checked when they are read; a damaged file counts as absent. If the
disk cannot be written, the next run has to tokenise again, and nothing else happens.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.corpora.documents import Corpus, fetch
from engine.corpora.named import NAMED, Role, corpus_path, holds_token_ids
from engine.corpora.tokenise import Rows, inserted_start, tokenise, tokenizer_fingerprint
from engine.errors import CorpusError
from engine.hardware import disk
from engine.hub.git_lfs import FIX, is_pointer
from engine.numbers import listed, plural
from engine.progress import Progress

FORMAT = 2
"""Increase when the content of a cached file changes, or how rows are made."""
MOST_BYTES = 500_000_000
"""Limit for all files of cached rows together."""
SUFFIX = ".tokens.npz"


@dataclass(frozen=True)
class Windows:
    """Token ids `[windows, length]`, int64, and their source.

    Attributes:
        available: windows in the corpus; if a window must lie within one document, the number of documents
            that are longer than a window.
        documents: documents in the corpus, None for an `.npy` file.
        seed: the seed of the choice, None if all windows are used in order.
        bytes: UTF-8 bytes of the predicted tokens, which are all but the first of each window; None if not
            known.
        starts: windows that begin with the start token; None if the tokenizer does not put one in front of a
            text by itself.
        identity: the source of the text: `text` (fingerprint of the documents), `tokens` (number of all
            tokens), and for a named corpus also source, config, revision, split and file. Empty for an `.npy`
            file.
    """

    ids: Tensor
    available: int
    documents: int | None
    seed: int | None
    bytes: int | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    starts: int | None = None

    def in_order(self, order: int) -> Windows:
        """Return the same windows in another order, see `Recipe.order`."""
        if order == 0:
            return self
        if order == 1:
            return replace(self, ids=self.ids.flip(0))
        generator = torch.Generator().manual_seed(order)  # on the CPU, the same on every device
        return replace(self, ids=self.ids[torch.randperm(len(self.ids), generator=generator)])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the ids (int64, little endian, row-major), 16 hexadecimal digits."""
        return hashlib.sha256(self.ids.numpy().astype("<i8").tobytes()).hexdigest()[:16]


Steps = Generator[Progress, None, Windows]


def calibration_windows(
    name: str,
    tokenizer: Any,
    vocabulary: int,
    *,
    samples: int,
    length: int,
    seed: int,
    cache: Path | None = None,
) -> Steps:
    """Return `samples` windows of `length` tokens, chosen with the seed; an `.npy` file is used unchanged.

    Args:
        name: `stories`, a named corpus, or a file.
        tokenizer: the model's, None if it has none.
        vocabulary: number of the model's token ids.
        length: tokens per window.
        cache: directory of tokenised texts; None to cache nothing.

    Raises:
        CorpusError: the corpus cannot be read or downloaded, or contains fewer than `samples` windows.
    """
    if holds_token_ids(name):
        return _read_npy(name, vocabulary)
    corpus, rows = yield from _rows(name, "calibration", tokenizer, length, samples, cache)
    starts = _starts(corpus, rows, length)
    if len(starts) < samples:
        requested = f"{plural(samples, 'calibration window')} of {length} tokens were requested from {name}"
        raise CorpusError(f"{requested}, but {_shortage(corpus, rows, len(starts))}")
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so the choice is the same on every device
    # `[samples]`, indices into starts
    chosen = torch.randperm(len(starts), generator=generator)[:samples].numpy()
    if corpus.apart:
        # one random position per chosen document, such that the window still fits
        spare = [row.stop - row.start - length for row in rows]  # at least 1 each: shorter rows are left out
        # The same generator continues, so one seed determines both choices.
        shifts = [int(torch.randint(spare[row] + 1, (), generator=generator)) for row in chosen]
        return _windows(
            corpus, rows, tokenizer, starts[chosen] + shifts, length, vocabulary, len(starts), seed
        )
    return _windows(corpus, rows, tokenizer, starts[chosen], length, vocabulary, len(starts), seed)


def evaluation_windows(
    name: str, tokenizer: Any, vocabulary: int, *, length: int, cache: Path | None = None
) -> Steps:
    """Return all windows of `length` tokens in order; an `.npy` file is used unchanged.

    Args: as for `calibration_windows`.

    Raises:
        CorpusError: the corpus cannot be read or downloaded, or is shorter than one window.
    """
    if holds_token_ids(name):
        return _read_npy(name, vocabulary)
    corpus, rows = yield from _rows(name, "evaluation", tokenizer, length, 0, cache)
    starts = _starts(corpus, rows, length)[: corpus.windows]
    if not len(starts):
        raise CorpusError(
            f"Windows of {length} tokens were requested from {name}, but {_shortage(corpus, rows, 0)}"
        )
    return _windows(corpus, rows, tokenizer, starts, length, vocabulary, len(starts), None)


def _rows(
    name: str, role: Role, tokenizer: Any, length: int, samples: int, cache: Path | None
) -> Generator[Progress, None, tuple[Corpus, Rows]]:
    """Return a corpus and its tokens.

    If only an excerpt of the corpus is read, its number of documents is doubled until there are enough
    windows.
    """
    if tokenizer is None:
        raise CorpusError(
            f"The text {name} needs a tokenizer, but the model has none. Use token ids in an .npy file "
            f"instead."
        )
    part = NAMED[name].parts[role] if name in NAMED else None
    count, most = (part.documents, part.most_documents) if part else (None, None)
    while True:
        corpus = yield from fetch(name, role, count)
        # Short rows may be left out only if no window crosses rows.
        rows = yield from _tokenised(corpus, tokenizer, length if corpus.apart else None, name, cache)
        has_more = not corpus.whole and count is not None and most is not None and count < most
        # Only corpora of which each row is one window (C4) have a limit to double up to.
        if not has_more or len(rows.ends) >= samples:
            return corpus, rows
        assert count is not None and most is not None
        count = min(2 * count, most)


def _tokenised(
    corpus: Corpus, tokenizer: Any, longer_than: int | None, name: str, cache: Path | None
) -> Generator[Progress, None, Rows]:
    """Return the rows, from the cache if possible."""
    what = NAMED[name].title if name in NAMED else Path(name).name
    fingerprint = tokenizer_fingerprint(tokenizer) if cache is not None else None
    if cache is None or fingerprint is None:
        return (yield from tokenise(corpus, tokenizer, longer_than, what))
    store, key = RowCache(cache), f"{corpus.fingerprint} {fingerprint} {longer_than}"
    rows = store.get(key)
    if rows is None:
        rows = yield from tokenise(corpus, tokenizer, longer_than, what)
        store.put(key, rows)
    return rows


def _starts(corpus: Corpus, rows: Rows, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return where windows may start: every `length` tokens, or at the start of each row."""
    if corpus.apart:
        return np.array([row.start for row in rows], dtype=np.int64)
    return np.arange(len(rows.ids) // length, dtype=np.int64) * length  # windows may span several rows


def _windows(
    corpus: Corpus,
    rows: Rows,
    tokenizer: Any,
    starts: np.ndarray[Any, np.dtype[np.int64]],
    length: int,
    vocabulary: int,
    available: int,
    seed: int | None,
) -> Windows:
    positions = starts[:, None] + np.arange(length)  # [windows, length]
    ids = rows.ids[positions]  # `[windows, length]`
    if ids.max() >= vocabulary:
        raise _beyond(ids[ids >= vocabulary], tokenizer, vocabulary)
    # the first token of a window is not predicted
    predicted_bytes = None if rows.counts is None else int(rows.counts[positions[:, 1:]].sum())
    identity = {**corpus.identity, "text": corpus.fingerprint, "tokens": str(len(rows.ids))}
    start = inserted_start(tokenizer)
    return Windows(
        ids=torch.from_numpy(ids),
        available=available,
        documents=len(corpus.documents),
        seed=seed,
        bytes=predicted_bytes,
        identity=identity,
        starts=None if start is None else int((ids[:, 0] == start).sum()),
    )


def _beyond(ids: np.ndarray[Any, np.dtype[np.int64]], tokenizer: Any, vocabulary: int) -> CorpusError:
    """Return the error for ids that the model does not have."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    unknown = [int(number) for number in np.unique(ids)]
    if all(number in added for number in unknown):
        names = listed([f"{added[number]} (id {number})" for number in unknown])
        return CorpusError(
            f"The windows contain {names}, but the model has embeddings for the ids 0 to {vocabulary - 1} "
            "only: its tokenizer was extended, and the model was not. Use a text without these tokens, or a "
            "model with an embedding for them (`resize_token_embeddings`)."
        )
    return CorpusError(
        f"The tokenizer returns ids up to {unknown[-1]}, but the model has ids 0 to {vocabulary - 1}. Use "
        "the tokenizer of this model."
    )


def _shortage(corpus: Corpus, rows: Rows, available: int) -> str:
    """Return why there are only `available` windows, and what to do."""
    fewer = f"at most {plural(available, 'window')}, " if available else ""
    if corpus.apart:
        count = f"only {available}" if available else "none"
        first = plural(len(corpus.documents), "document")
        return f"{count} of its first {first} are longer. Use {fewer}shorter windows, or another text."
    if available:
        return f"only {available} fit. Use {fewer}shorter windows, or more text."
    tokens = len(rows.ids)
    shorter = "shorter windows, or " if tokens > 1 else ""  # a window has at least two tokens
    return f"the text has only {plural(tokens, 'token')}. Use {shorter}more text."


def _read_npy(name: str, vocabulary: int) -> Windows:
    path = corpus_path(name, "calibration")  # the role matters only for the stories
    if is_pointer(path):
        raise CorpusError(f"The token ids {path} are only a Git LFS pointer. {FIX}.")
    try:
        ids = np.load(path, allow_pickle=False)  # unpickling could run code
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(
            f"The token ids {path} cannot be read: {error}. Use a NumPy file of int64 [windows, length]."
        ) from error
    if not isinstance(ids, np.ndarray):  # an `.npz` archive under this name
        raise CorpusError(
            f"The file {path} holds several arrays. Use a NumPy file of one, int64 [windows, length]."
        )
    # A window of one token contains nothing to predict.
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or ids.shape[0] < 1 or ids.shape[1] < 2:
        raise CorpusError(
            f"The token ids {path} are {ids.dtype} {list(ids.shape)}. Use int64 [windows, length], with a "
            "length of at least 2."
        )
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise CorpusError(
            f"The token ids {path} range from {ids.min()} to {ids.max()}, but the model has ids 0 to "
            f"{vocabulary - 1}. Use the ids of this model's tokenizer."
        )
    windows = torch.from_numpy(ids.astype(np.int64))
    return Windows(windows, len(windows), None, None)


# ---- cache of tokenised rows -------------------------------------------------------------------------------


class RowCache:
    """Rows by key in a directory, which is created with the first file."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most_bytes = most_bytes

    def get(self, key: str) -> Rows | None:
        """Return the rows stored under `key`, None if they are absent or damaged."""
        path = self._path(key)
        try:
            # reading an archive compares its checksums
            with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as file:
                rows = Rows(
                    ids=file["ids"].astype(np.int64),
                    # absent if the tokenizer does not allow counting
                    counts=file["counts"].astype(np.int64) if "counts" in file else None,
                    ends=file["ends"].astype(np.int64),
                )
                if file["format"] != FORMAT:
                    return None
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            return None
        with suppress(OSError):
            path.touch()  # the time of last use
        return rows

    def put(self, key: str, rows: Rows) -> None:
        """Store rows; without effect if the disk cannot be written."""
        path = self._path(key)
        arrays: dict[str, Any] = {
            "ids": rows.ids.astype("<u4"),  # half of int64; no vocabulary exceeds 32 bits
            "ends": rows.ends.astype("<i8"),
            "format": np.int64(FORMAT),
        }
        if rows.counts is not None:
            # uint8 unless a token is longer than 255 bytes; `initial` is for a text without tokens.
            arrays["counts"] = rows.counts.astype(np.min_scalar_type(int(rows.counts.max(initial=0))))

        def save(temporary: Path) -> None:
            with temporary.open("wb") as file:  # given a name, numpy would append its own suffix
                np.savez(file, allow_pickle=False, **arrays)

        # Another run may evict the same files at the same time, which raises an OSError as well.
        with suppress(OSError):
            disk.make_private(self._directory)
            disk.replace_file(path, save)
            self._evict(path)

    def _evict(self, newest: Path) -> None:
        """Delete the least recently used files, but never the newest, until the rest is within the limit."""
        # `get` touches what it reads, so the time of modification is that of the last use.
        files = sorted(
            (path.stat().st_mtime, path.stat().st_size, path) for path in self._directory.glob(f"*{SUFFIX}")
        )
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(f'{FORMAT} {key}'.encode()).hexdigest()[:24]}{SUFFIX}"

"""Windows of token ids: cut from a text without overlap, or from single documents, or given as an `.npy` file
and used exactly as they are.

Measurement takes all windows in order (of C4 the first 256); what does not fill a window is dropped.
Calibration takes a seeded choice of the same kind of windows, or (C4) one window at a random place of each of
a seeded choice of the documents that are longer than a window. Both are generators of progress: what is not
on this machine has to come over the network, and a long text takes seconds to tokenise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.corpora.documents import Corpus, fetch
from engine.corpora.named import NAMED, Role, corpus_path
from engine.corpora.row_cache import RowCache, tokenizer_fingerprint
from engine.corpora.tokenise import Rows, tokenised
from engine.errors import CorpusError
from engine.progress import Progress


@dataclass(frozen=True)
class Windows:
    """Token ids `[windows, length]`, int64, and where they come from.

    Attributes:
        available: windows that the corpus holds; where a window lies within one document, documents that are
            longer than one.
        documents: documents it holds, None for given ids.
        seed: what chose among them, None where all are used in order.
        bytes: of the text (UTF-8) that the predicted tokens stand for, which are all but each window's first;
            None where that is not known.
        identity: where the text comes from: `text` (fingerprint of the documents) and `tokens` (of all of
            them), and of a named corpus also source, config, revision, split and file. Empty for given ids.
    """

    ids: Tensor
    available: int
    documents: int | None
    seed: int | None
    bytes: int | None = None
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the ids (int64, little endian, row-major), 16 hex digits."""
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
    """`samples` windows of `length` tokens, chosen by the seed; an `.npy` file is used as it is.

    Args:
        name: `stories`, a named corpus, or a file.
        tokenizer: of the model, None where it has none.
        vocabulary: ids that the model takes.
        samples: how many windows.
        length: tokens a window.
        seed: chooses them.
        cache: where tokenised texts are kept, None for nowhere.

    Raises:
        CorpusError: the corpus cannot be had, or holds fewer windows than asked.
    """
    if _is_ids(name):
        return _given(name, vocabulary)
    corpus, rows = yield from _rows(name, "calibration", tokenizer, length, samples, cache)
    starts = _starts(corpus, rows, length)
    if len(starts) < samples:
        raise CorpusError(_too_few(name, corpus, samples, length, len(starts)))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(starts), generator=generator)[:samples].numpy()
    if corpus.apart:
        spare = [row.stop - row.start - length for row in rows]
        shifts = [int(torch.randint(spare[row] + 1, (), generator=generator)) for row in chosen]
        return _windows(corpus, rows, starts[chosen] + shifts, length, vocabulary, len(starts), seed)
    return _windows(corpus, rows, starts[chosen], length, vocabulary, len(starts), seed)


def evaluation_windows(
    name: str, tokenizer: Any, vocabulary: int, *, length: int, cache: Path | None = None
) -> Steps:
    """All windows of `length` tokens in order; an `.npy` file is used as it is. Arguments as for the
    calibration.

    Raises:
        CorpusError: the corpus cannot be had, or holds not even one window.
    """
    if _is_ids(name):
        return _given(name, vocabulary)
    corpus, rows = yield from _rows(name, "evaluation", tokenizer, length, 0, cache)
    starts = _starts(corpus, rows, length)[: corpus.windows]
    if not len(starts):
        raise CorpusError(
            f"Windows of {length} tokens were asked of {name}, but the text is shorter than one. Ask for shorter windows."
        )
    return _windows(corpus, rows, starts, length, vocabulary, len(starts), None)


def _is_ids(name: str) -> bool:
    return Path(name).suffix == ".npy"


def _rows(
    name: str, role: Role, tokenizer: Any, length: int, samples: int, cache: Path | None
) -> Generator[Progress, None, tuple[Corpus, Rows]]:
    """A corpus and its tokens; of one that is taken in part twice as many documents until there are enough
    windows.
    """
    if tokenizer is None:
        raise CorpusError(
            f"The text {name} needs a tokenizer, but the model has none. Give token ids as an .npy file."
        )
    part = NAMED[name].parts[role] if name in NAMED else None
    count, most = (part.documents, part.most_documents) if part else (None, None)
    while True:
        corpus = yield from fetch(name, role, count)
        rows = yield from _tokenised(corpus, tokenizer, length if corpus.apart else None, name, cache)
        if corpus.whole or count is None or most is None or count >= most or len(rows.ends) >= samples:
            return corpus, rows
        count = min(2 * count, most)


def _tokenised(
    corpus: Corpus, tokenizer: Any, longer_than: int | None, name: str, cache: Path | None
) -> Generator[Progress, None, Rows]:
    """The rows, from the cache where they are there."""
    what = NAMED[name].title if name in NAMED else Path(name).name
    fingerprint = tokenizer_fingerprint(tokenizer) if cache is not None else None
    if cache is None or fingerprint is None:
        return (yield from tokenised(corpus, tokenizer, longer_than, what))
    store, key = RowCache(cache), f"{corpus.fingerprint} {fingerprint} {longer_than}"
    rows = store.get(key)
    if rows is None:
        rows = yield from tokenised(corpus, tokenizer, longer_than, what)
        store.put(key, rows)
    return rows


def _starts(corpus: Corpus, rows: Rows, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where windows begin: every `length` tokens, or at each row's begin."""
    if corpus.apart:
        return np.array([row.start for row in rows], dtype=np.int64)
    return np.arange(len(rows.ids) // length, dtype=np.int64) * length


def _windows(
    corpus: Corpus,
    rows: Rows,
    starts: np.ndarray[Any, np.dtype[np.int64]],
    length: int,
    vocabulary: int,
    available: int,
    seed: int | None,
) -> Windows:
    places = starts[:, None] + np.arange(length)  # [windows, length]
    ids = rows.ids[places]
    if ids.max() >= vocabulary:
        raise CorpusError(
            f"The tokenizer gives ids up to {ids.max()}, but the model has ids 0 to {vocabulary - 1}. Take the tokenizer of this model."
        )
    stood_for = None if rows.counts is None else int(rows.counts[places[:, 1:]].sum())
    identity = {**corpus.identity, "text": corpus.fingerprint, "tokens": str(len(rows.ids))}
    return Windows(torch.from_numpy(ids), available, len(corpus.documents), seed, stood_for, identity)


def _too_few(name: str, corpus: Corpus, samples: int, length: int, there: int) -> str:
    asked = f"{samples} calibration windows of {length} tokens were asked of {name}, but "
    if corpus.apart:
        return (
            f"{asked}{there} of its first {len(corpus.documents):,} documents are longer. "
            f"Ask for at most {there}, or for shorter windows, or take another text."
        )
    return f"{asked}{there} fit. Ask for at most {there}, or for shorter windows, or give more text."


def _given(name: str, vocabulary: int) -> Windows:
    path = corpus_path(name, "calibration")
    try:
        ids = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(
            f"The token ids {path} cannot be read: {error}. Give a NumPy file of int64 [windows, length]."
        ) from error
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or ids.shape[0] < 1 or ids.shape[1] < 2:
        raise CorpusError(
            f"The token ids {path} are {ids.dtype} {list(ids.shape)}; expected int64 [windows, length], length at least 2."
        )
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise CorpusError(
            f"The token ids {path} run from {ids.min()} to {ids.max()}, but the model has ids 0 to {vocabulary - 1}."
        )
    windows = torch.from_numpy(ids.astype(np.int64))
    return Windows(windows, len(windows), None, None)

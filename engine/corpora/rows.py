"""Documents as rows of token ids: one row of the whole text, or one of each document.

A text is tokenised in one step, exactly as the tokenizer does it by itself: a cut in between could fall into a word or a run of
newlines. 10 MB take about 10 s and 0.7 GB (2.7 million tokens, one core); it happens in a thread, so that the reader may go away
meanwhile. Several documents are tokenised a few at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.corpora.documents import Corpus
from engine.corpora.pieces import ByteCounter
from engine.hub.background import Report, in_background
from engine.hub.progress import Progress

AT_ONCE = 64
"""Documents that are tokenised together, between two looks at whether anybody still waits."""
MOST_INSERTED = 8
"""Tokens that a tokenizer puts in by itself; two are usual."""


@dataclass(frozen=True)
class Rows:
    """Tokens of a corpus.

    Attributes:
        ids: all rows one after the other, `[tokens]`.
        counts: the UTF-8 bytes that each token stands for, `[tokens]`; None where that is not known.
        ends: where each row ends in them, `[rows]`.
    """

    ids: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64] | None
    ends: npt.NDArray[np.int64]

    def __iter__(self) -> Iterator[slice]:
        """Where each row is."""
        return map(slice, [0, *self.ends[:-1].tolist()], self.ends.tolist())


def tokenised(corpus: Corpus, tokenizer: Any, longer_than: int | None, what: str) -> Generator[Progress, None, Rows]:
    """The rows of a corpus.

    Args:
        corpus: the documents and how they are joined.
        tokenizer: of the model.
        longer_than: only rows with more tokens than this; None for all.
        what: the name to report.
    """

    def work(report: Report) -> Rows:
        return _packed(_rows(corpus, tokenizer, longer_than, report), longer_than)

    return (yield from in_background(what, work))


Row = tuple[list[int], npt.NDArray[np.int64] | None]


def _rows(corpus: Corpus, tokenizer: Any, longer_than: int | None, report: Report) -> Iterator[Row]:
    if corpus.apart:
        # a token stands for at least a byte, but for the few that are put in: shorter documents need not be tried
        texts = [text for text in corpus.documents if len(text.encode()) + MOST_INSERTED > (longer_than or 0)]
        return _each(texts, tokenizer, report, special=True)
    if corpus.joined is not None or len(corpus.documents) == 1:
        return _each([(corpus.joined or "").join(corpus.documents)], tokenizer, report, special=True)
    return _started(_each(corpus.documents, tokenizer, report, special=False), tokenizer)


def _started(rows: Iterator[Row], tokenizer: Any) -> Iterator[Row]:
    """Rows behind the start token, where there is one; it stands for no text."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    for ids, counts in rows:
        if start is None:
            yield ids, counts
        else:
            yield [start, *ids], None if counts is None else np.concatenate([np.zeros(1, dtype=np.int64), counts])


def _each(texts: Sequence[str], tokenizer: Any, report: Report, *, special: bool) -> Iterator[Row]:
    """Each text's row, with or without the tokens that the tokenizer puts in."""
    report.total, report.note = sum(len(text.encode()) for text in texts), "Tokenising."
    counter = ByteCounter(tokenizer)
    for first in range(0, len(texts), AT_ONCE):
        report.check()
        some = texts[first : first + AT_ONCE]
        yield from _some(counter, tokenizer, some, special=special)
        report.done += sum(len(text.encode()) for text in some)


def _some(counter: ByteCounter, tokenizer: Any, texts: Sequence[str], *, special: bool) -> Iterator[Row]:
    asked = texts if len(texts) > 1 else texts[0]
    known = hasattr(tokenizer, "convert_ids_to_tokens")
    more = {"return_special_tokens_mask": True, "return_attention_mask": False} if known else {}
    found = tokenizer(asked, add_special_tokens=special, verbose=False, **more)
    ids, inserted = found["input_ids"], found.get("special_tokens_mask")
    if len(texts) == 1:
        ids, inserted = [ids], [inserted]
    for place, text in enumerate(texts):
        yield ids[place], counter.counts(text, ids[place], inserted[place], special=special) if known else None


def _packed(rows: Iterator[Row], longer_than: int | None) -> Rows:
    kept = [row for row in rows if longer_than is None or len(row[0]) > longer_than]
    empty = np.zeros(0, dtype=np.int64)
    counted = [counts for _, counts in kept if counts is not None]
    return Rows(
        ids=np.concatenate([empty, *(np.asarray(ids, dtype=np.int64) for ids, _ in kept)]),
        counts=np.concatenate([empty, *counted]) if len(counted) == len(kept) else None,
        ends=np.cumsum([len(ids) for ids, _ in kept], dtype=np.int64) if kept else empty,
    )

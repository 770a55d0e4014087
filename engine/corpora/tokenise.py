"""Documents as rows of token ids: one row of the whole text, or one of each document.

A text is tokenised in one step, exactly as the tokenizer does it by itself: a cut in between could fall into
a word or a run of newlines. 10 MB take about 10 s and 0.7 GB (2.7 million tokens, one core); it happens in a
thread, so that the reader may go away meanwhile. Several documents are tokenised a few at a time.

How many bytes of a text each token stands for, so that a model's loss can be told in bits per byte.

First the tokens' own spellings are tried, in the two alphabets there are (bytes written as letters; words
that begin with "▁", single bytes as <0xNN>). Where the spellings one after the other are the text, their
lengths are exact, also inside a character that is split over tokens. Where they are not (a tokenizer that
changes the text, for instance to composed characters), the offsets of a fast tokenizer say where each token
ends; a character that is split then counts wholly for the first of its tokens, which moves at most three
bytes over a window's edge. Where neither is known there is no count.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.corpora.documents import Corpus
from engine.progress import Progress, Report, in_background

Counts = npt.NDArray[np.int64]


Spelling = Callable[[str], bytes | None]


class ByteCounter:
    """Counts for the texts of one tokenizer.

    Args:
        tokenizer: one of transformers; anything else is never known.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {
            number: str(token).encode()
            for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        }
        self._tables: dict[Spelling, dict[int, bytes | None]] = {_letters: {}, _words: {}}

    def counts(
        self, text: str, ids: Sequence[int], inserted: Sequence[int], *, special: bool
    ) -> Counts | None:
        """UTF-8 bytes that each token stands for, `[tokens]`; None where that cannot be known.

        Args:
            text: what the ids were made of.
            ids: the tokens.
            inserted: 1 for each token that the tokenizer put in without there being text for it.
            special: whether it was asked to put in such tokens.
        """
        content = text.encode()
        for spell in self._tables:
            if (counts := self._spelt(spell, content, ids, inserted)) is not None:
                return counts
        return (
            _by_offsets(self._tokenizer, text, ids, special)
            if getattr(self._tokenizer, "is_fast", False)
            else None
        )

    def _spelt(
        self, spell: Spelling, content: bytes, ids: Sequence[int], inserted: Sequence[int]
    ) -> Counts | None:
        """The lengths of the spellings, if these are the text, or the text behind a blank that the tokenizer
        puts before every text.
        """
        table = self._table(spell, ids)
        pieces = [b"" if put_in else table[number] for number, put_in in zip(ids, inserted, strict=True)]
        known = [piece for piece in pieces if piece is not None]
        if len(known) < len(pieces):
            return None
        spelling = b"".join(known)
        counts = np.fromiter(map(len, known), dtype=np.int64, count=len(known))
        if spelling == content:
            return counts
        if spelling == b" " + content:
            counts[np.flatnonzero(counts)[0]] -= 1
            return counts
        return None

    def _table(self, spell: Spelling, ids: Sequence[int]) -> dict[int, bytes | None]:
        """What each token is spelt, of all tokens seen so far."""
        table = self._tables[spell]
        new = list(set(ids) - table.keys())
        for number, name in zip(new, self._tokenizer.convert_ids_to_tokens(new), strict=True):
            table[number] = self._added[number] if number in self._added else spell(name or "")
        return table


@cache
def _alphabet() -> dict[str, int]:
    """The letter that stands for each byte in byte-level vocabularies: printable ones for themselves, the
    others from U+0100 on in order (GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


def _letters(name: str) -> bytes | None:
    alphabet = _alphabet()
    return bytes(alphabet[letter] for letter in name) if all(letter in alphabet for letter in name) else None


def _words(name: str) -> bytes | None:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes.fromhex(name[3:5])
    return name.replace("▁", " ").encode()


def spelt_bytes(name: str) -> bytes | None:
    """The bytes of a token from its name in the vocabulary, where that spells bytes in either alphabet."""
    return _words(name) if name.startswith("<0x") else _letters(name)


def _by_offsets(tokenizer: Any, text: str, ids: Sequence[int], special: bool) -> Counts | None:
    """From each token's end in the text, which never goes back; what no token covers counts for the next one."""
    found = tokenizer(
        text,
        add_special_tokens=special,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    if list(found["input_ids"]) != list(ids):
        return None
    ends = np.fromiter((end for _, end in found["offset_mapping"]), dtype=np.int64, count=len(ids))
    letters = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (letters >= 0x80).astype(np.int64) + (letters >= 0x800) + (letters >= 0x10000)
    bytes_before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(widths)])
    counts: Counts = (
        np.diff(bytes_before[np.maximum.accumulate(ends)], prepend=0)
        if len(ids)
        else np.zeros(0, dtype=np.int64)
    )
    return counts


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


def tokenised(
    corpus: Corpus, tokenizer: Any, longer_than: int | None, what: str
) -> Generator[Progress, None, Rows]:
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
        # a token stands for at least a byte, but for the few that are put in: shorter documents need not be
        # tried
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
            yield (
                [start, *ids],
                None if counts is None else np.concatenate([np.zeros(1, dtype=np.int64), counts]),
            )


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
        yield (
            ids[place],
            counter.counts(text, ids[place], inserted[place], special=special) if known else None,
        )


def _packed(rows: Iterator[Row], longer_than: int | None) -> Rows:
    kept = [row for row in rows if longer_than is None or len(row[0]) > longer_than]
    empty = np.zeros(0, dtype=np.int64)
    counted = [counts for _, counts in kept if counts is not None]
    return Rows(
        ids=np.concatenate([empty, *(np.asarray(ids, dtype=np.int64) for ids, _ in kept)]),
        counts=np.concatenate([empty, *counted]) if len(counted) == len(kept) else None,
        ends=np.cumsum([len(ids) for ids, _ in kept], dtype=np.int64) if kept else empty,
    )

"""Documents as rows of token ids (one row for the whole text, or one per document), with bytes per token.

A text is tokenised in one call, exactly as the tokenizer does it: a cut could fall into a word or a run of
newlines. 10 MB take about 10 s and 0.7 GB (2.7 million tokens, one core), in a thread, so that the reader may
cancel. Several documents are tokenised a few at a time.

The number of bytes that each token stands for is needed for bits per byte. First the tokens' own spellings
are tried, in the two existing alphabets: bytes written as letters; or words that begin with "▁", with single
bytes as <0xNN>. If the spellings add up to the text, their lengths are exact, even within a character that is
split over several tokens. If not (the tokenizer changes the text, for instance to composed characters), the
offsets of a fast tokenizer say where each token ends. A split character then counts for the first of its
tokens alone, which moves at most three bytes across the edge of a window. If neither works, there are no
counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.corpora.documents import Corpus
from engine.progress import Progress, Report, in_background

BATCH = 64
"""Documents that are tokenised together, between two checks for cancellation."""
MOST_INSERTED = 8
"""Upper bound for the special tokens that a tokenizer inserts; two are usual."""

Ints = npt.NDArray[np.int64]
Row = tuple[list[int], Ints | None]
"""Token ids, and bytes per token if known."""

# ---- rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The tokens of a corpus.

    Attributes:
        ids: all rows concatenated, `[tokens]`.
        counts: the UTF-8 bytes that each token stands for, `[tokens]`; None if not known.
        ends: the end of each row within `ids`, `[rows]`.
    """

    ids: Ints
    counts: Ints | None
    ends: Ints

    def __iter__(self) -> Iterator[slice]:
        """Yield the slice of `ids` that each row occupies."""
        return map(slice, [0, *self.ends[:-1].tolist()], self.ends.tolist())


def tokenizer_fingerprint(tokenizer: Any) -> str | None:
    """Return the SHA-256 of a fast tokenizer's complete state, 16 hexadecimal digits.

    None for a slow tokenizer, whose state cannot be hashed.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not getattr(tokenizer, "is_fast", False):
        return None
    import tokenizers
    import transformers

    # Another version may tokenise differently from the same state.
    versions = f"{tokenizers.__version__} {transformers.__version__} {type(tokenizer).__name__}"
    # not part of the backend's state, but used by `_with_start`
    special = f"{tokenizer.bos_token_id} {tokenizer.eos_token_id}"
    return hashlib.sha256(f"{versions} {special} {backend.to_str()}".encode()).hexdigest()[:16]


def tokenise(
    corpus: Corpus, tokenizer: Any, longer_than: int | None, what: str
) -> Generator[Progress, None, Rows]:
    """Return the rows of a corpus.

    Args:
        longer_than: keep only rows with more tokens than this; None for all.
        what: the name shown with the progress.
    """

    def work(report: Report) -> Rows:
        return _concatenated(_rows(corpus, tokenizer, longer_than, report), longer_than)

    return (yield from in_background(what, work, doing="tokenising"))


def _rows(corpus: Corpus, tokenizer: Any, longer_than: int | None, report: Report) -> Iterator[Row]:
    if corpus.apart:
        # Apart from the inserted ones, each token stands for at least one byte, so shorter documents can
        # be left out untokenised.
        texts = [text for text in corpus.documents if len(text.encode()) + MOST_INSERTED > (longer_than or 0)]
    # As in the published codes: special tokens are inserted once, around the whole text.
    elif corpus.joined is not None or len(corpus.documents) == 1:
        texts = [(corpus.joined or "").join(corpus.documents)]
    else:
        texts = _without_start(corpus.documents, tokenizer, start_token(tokenizer))
        return _with_start(_in_batches(texts, tokenizer, report, special=False), tokenizer)
    texts = _without_start(texts, tokenizer, inserted_start(tokenizer))
    return _in_batches(texts, tokenizer, report, special=True)


def start_token(tokenizer: Any) -> int | None:
    """Return the id of the token that documents begin with, None if the tokenizer has none."""
    # Without a start token (Qwen), the end token separates documents just as well.
    start: int | None = tokenizer.bos_token_id
    return start if start is not None else tokenizer.eos_token_id


def inserted_start(tokenizer: Any) -> int | None:
    """Return the id of the start token if the tokenizer puts it in front of a text, else None."""
    start: int | None = tokenizer.bos_token_id
    return start if start is not None and list(tokenizer("a")["input_ids"])[:1] == [start] else None


def _without_start(texts: Sequence[str], tokenizer: Any, start: int | None) -> list[str]:
    """Return the texts without the start token that will be put in front of them: a text that was rendered
    with a chat template begins with it already.
    """
    names = (getattr(tokenizer, name, None) for name in ("bos_token", "eos_token"))
    # A tokenizer may also be set to read the names of special tokens as plain text.
    read = [str(name) for name in names if name and _ids(tokenizer, str(name)) == [start]]
    return [text.removeprefix(read[0]) for text in texts] if read else list(texts)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _with_start(rows: Iterator[Row], tokenizer: Any) -> Iterator[Row]:
    """Put the start token, if there is one, in front of each row; it stands for no bytes."""
    start = start_token(tokenizer)
    if start is None:
        yield from rows
        return
    for ids, counts in rows:
        yield [start, *ids], None if counts is None else np.concatenate([np.zeros(1, dtype=np.int64), counts])


def _in_batches(texts: Sequence[str], tokenizer: Any, report: Report, *, special: bool) -> Iterator[Row]:
    """Yield one row per text; `special`: with the special tokens that the tokenizer inserts."""
    report.total = sum(len(text.encode()) for text in texts)
    counter = ByteCounter(tokenizer)
    for first in range(0, len(texts), BATCH):
        report.check()
        batch = texts[first : first + BATCH]
        yield from _batch(counter, tokenizer, batch, special=special)
        report.done += sum(len(text.encode()) for text in batch)


def _batch(counter: ByteCounter, tokenizer: Any, texts: Sequence[str], *, special: bool) -> Iterator[Row]:
    is_transformers = hasattr(tokenizer, "convert_ids_to_tokens")  # others take no further options
    options = {"return_special_tokens_mask": True, "return_attention_mask": False} if is_transformers else {}
    # a single text is passed as a string: some tokenizers treat a list of one differently
    given = texts if len(texts) > 1 else texts[0]
    # verbose: would warn that the text exceeds the context
    output = tokenizer(given, add_special_tokens=special, verbose=False, **options)
    ids, inserted = output["input_ids"], output.get("special_tokens_mask")
    if len(texts) == 1:
        ids, inserted = [ids], [inserted]
    for index, text in enumerate(texts):
        counts = (
            counter.counts(text, ids[index], inserted[index], special=special) if is_transformers else None
        )
        yield ids[index], counts


def _concatenated(rows: Iterator[Row], longer_than: int | None) -> Rows:
    long_enough = [row for row in rows if longer_than is None or len(row[0]) > longer_than]
    empty = np.zeros(0, dtype=np.int64)
    counted = [counts for _, counts in long_enough if counts is not None]
    return Rows(
        ids=np.concatenate([empty, *(np.asarray(ids, dtype=np.int64) for ids, _ in long_enough)]),
        # all or none: a total over some rows would be wrong
        counts=np.concatenate([empty, *counted]) if len(counted) == len(long_enough) else None,
        ends=np.cumsum([len(ids) for ids, _ in long_enough], dtype=np.int64) if long_enough else empty,
    )


# ---- bytes per token ---------------------------------------------------------------------------------------

Spelling = Callable[[str], bytes | None]
"""Returns the bytes of a token from its name in the vocabulary, None if the alphabet does not have it."""


class ByteCounter:
    """Counts the bytes per token for texts of one tokenizer.

    Args:
        tokenizer: a tokenizer of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # Added tokens are spelt as plain text, in either alphabet.
        self._added = {
            number: str(token).encode()
            for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        }
        # By alphabet, then by token id; filled as tokens occur, because a vocabulary can have 256,000.
        self._tables: dict[Spelling, dict[int, bytes | None]] = {_byte_letters: {}, _words: {}}

    def counts(self, text: str, ids: Sequence[int], inserted: Sequence[int], *, special: bool) -> Ints | None:
        """Return the UTF-8 bytes that each token stands for, `[tokens]`; None if that cannot be determined.

        Args:
            text: the text that was tokenised.
            ids: its tokens.
            inserted: 1 for each token that the tokenizer inserted and that stands for no text.
            special: whether the tokenizer was allowed to insert such tokens.
        """
        content = text.encode()
        for spell in self._tables:
            if (counts := self._by_spelling(spell, content, ids, inserted)) is not None:
                return counts
        if not getattr(self._tokenizer, "is_fast", False):
            return None
        return _by_offsets(self._tokenizer, text, ids, special)

    def _by_spelling(
        self, spell: Spelling, content: bytes, ids: Sequence[int], inserted: Sequence[int]
    ) -> Ints | None:
        """Return the lengths of the spellings if these add up to the text.

        Some tokenizers put a space in front of every text; it is not counted.
        """
        table = self._table(spell, ids)
        pieces = [
            b"" if is_inserted else table[number] for number, is_inserted in zip(ids, inserted, strict=True)
        ]
        known = [piece for piece in pieces if piece is not None]
        if len(known) < len(pieces):
            return None
        spelling = b"".join(known)
        counts = np.fromiter(map(len, known), dtype=np.int64, count=len(known))
        if spelling == content:
            return counts
        if spelling == b" " + content:
            # the first token that stands for text begins with that space
            counts[np.flatnonzero(counts)[0]] -= 1
            return counts
        return None

    def _table(self, spell: Spelling, ids: Sequence[int]) -> dict[int, bytes | None]:
        """Return the spellings of all tokens so far, including these."""
        table = self._tables[spell]
        new = list(set(ids) - table.keys())
        for number, name in zip(new, self._tokenizer.convert_ids_to_tokens(new), strict=True):
            # the name is None if the id is outside the vocabulary
            table[number] = self._added[number] if number in self._added else spell(name or "")
        return table


@cache
def _alphabet() -> dict[str, int]:
    """Return the byte of each letter in byte-level vocabularies (GPT-2).

    Printable bytes stand for themselves; the others are the letters from U+0100 on, in order.
    """
    # The ranges of `bytes_to_unicode` in GPT-2's encoder.py.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


def _byte_letters(name: str) -> bytes | None:
    alphabet = _alphabet()
    return bytes(alphabet[letter] for letter in name) if all(letter in alphabet for letter in name) else None


def _words(name: str) -> bytes | None:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):  # byte fallback, such as <0x0A>
        return bytes.fromhex(name[3:5])
    return name.replace("▁", " ").encode()  # SentencePiece's mark (U+2581) in place of a space


def spelt_bytes(name: str) -> bytes | None:
    """Return the bytes that a token's name in the vocabulary spells, None if in neither alphabet."""
    return _words(name) if name.startswith("<0x") else _byte_letters(name)


def _by_offsets(tokenizer: Any, text: str, ids: Sequence[int], special: bool) -> Ints | None:
    """Count from each token's end in the text. Text that no token covers counts for the next token."""
    output = tokenizer(
        text,
        add_special_tokens=special,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    if list(output["input_ids"]) != list(ids):
        return None
    if not len(ids):
        return np.zeros(0, dtype=np.int64)
    # in code points
    ends = np.fromiter((end for _, end in output["offset_mapping"]), dtype=np.int64, count=len(ids))
    letters = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")  # one code point per entry
    widths = 1 + (letters >= 0x80).astype(np.int64) + (letters >= 0x800) + (letters >= 0x10000)  # UTF-8 bytes
    # `[code points + 1]`
    bytes_before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(widths)])
    # inserted tokens have the offsets (0, 0), so ends may go back
    counts: Ints = np.diff(bytes_before[np.maximum.accumulate(ends)], prepend=0)  # `[tokens]`
    return counts

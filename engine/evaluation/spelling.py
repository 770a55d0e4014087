"""How tokens are shown: each one's part of a text, and what a token is called where it stands alone.

The parts of a text's tokens, one after the other, are the text: a character that is spread over several tokens belongs to the last of them. A token's
name is its text as it stands behind another word, so that a blank at its beginning is seen; one that is no text is called by its bytes or by the
vocabulary's own word for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.corpora.pieces import spelt_bytes

UNKNOWN = "\ufffd"
ANCHOR = "a"
"""A word to stand before a token: at the beginning of a text some tokenizers leave a blank away."""


class Spelling:
    """What the tokens of one tokenizer are called.

    Args:
        tokenizer: one of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._anchor = list(tokenizer(ANCHOR, add_special_tokens=False)["input_ids"])
        self._names: dict[int, str] = {}

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each token's part of the text; empty for a special one, and inside a character that is not whole yet."""
        found, before = [], ""
        for end in range(1, len(ids) + 1):
            text = self.text(ids[:end])
            whole = end == len(ids) or not text.endswith(UNKNOWN)
            found.append(text[len(before) :] if whole else "")
            before = text if whole else before
        return found

    def text(self, ids: Sequence[int]) -> str:
        """The text that these tokens are, without the special ones."""
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False, skip_special_tokens=True))

    def name(self, number: int) -> str:
        """What a token is called alone: ` cat`, `⟨F0 9F⟩`, `<|endoftext|>`."""
        if number not in self._names:
            self._names[number] = self._name(number)
        return self._names[number]

    def _name(self, number: int) -> str:
        raw = str(self._tokenizer.convert_ids_to_tokens(number) or f"⟨token {number}⟩")  # some vocabularies are larger than their tokenizer
        if number in self._special:
            return raw
        text = self.text([*self._anchor, number])[len(self.text(self._anchor)) :]
        if text and UNKNOWN not in text:
            return text
        spelt = spelt_bytes(raw)
        return f"⟨{spelt.hex(' ').upper()}⟩" if spelt else raw

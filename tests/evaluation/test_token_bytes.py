"""What tokens are called, for tokenizers of every kind: their parts of a text join to it, and no half of a
character is passed off as text.
"""

import pytest

from engine.evaluation.tokens import Spelling
from tests.corpora import tokenizers

KINDS = {
    kind.__name__: kind
    for kind in (tokenizers.bundled, tokenizers.byte_level, tokenizers.words, tokenizers.composing)
}
TEXTS = ["Once there was a café.", "你好 🙂🎉!", "  two  spaces\n\nand lines", '<b>"&"</b>', "👩‍👩‍👧"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_join_to_the_text(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]()
    ids = tokenizer(text)["input_ids"]
    pieces = Spelling(tokenizer).pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_split_character_is_shown_at_its_last_token_and_bytes_at_the_others() -> None:
    for tokenizer in (tokenizers.bundled(), tokenizers.words()):
        spelling, ids = Spelling(tokenizer), tokenizer("龘", add_special_tokens=False)["input_ids"]
        pieces, names = spelling.pieces(ids), [spelling.name(number) for number in ids]
        assert pieces[-1].strip() == "龘" and "".join(pieces[:-1]).strip() == ""
        spelt = "".join(name.strip("⟨⟩ ").replace(" ", "") for name in names)
        assert spelt.replace("▁", "") == "龘".encode().hex().upper()


def test_a_text_that_ends_within_a_character_is_complete() -> None:
    tokenizer = tokenizers.byte_level()
    ids = tokenizer("a龘")["input_ids"][:-1]
    spelling = Spelling(tokenizer)
    assert "".join(spelling.pieces(ids)) == spelling.text(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_before_a_word_is_part_of_its_name(kind: str) -> None:
    tokenizer = KINDS[kind]()
    number = tokenizer("in the end", add_special_tokens=False)["input_ids"]
    names = "".join(Spelling(tokenizer).name(one) for one in number)
    assert names.lstrip() == "in the end"
    assert names.count(" ") - (names[0] == " ") == 2


def test_special_tokens_have_their_names_in_the_vocabulary() -> None:
    tokenizer = tokenizers.bundled()
    spelling = Spelling(tokenizer)
    assert spelling.name(tokenizer.eos_token_id) == "<|endoftext|>"
    assert spelling.pieces([tokenizer.eos_token_id]) == [""]


def test_an_unknown_id_has_a_name_too() -> None:
    tokenizer = tokenizers.bundled()
    assert "99999" in Spelling(tokenizer).name(99_999)

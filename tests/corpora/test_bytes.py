"""Bytes per token, compared with a slow count, including characters that are split over several tokens."""

from pathlib import Path

import pytest

from engine.corpora.tokenise import ByteCounter
from engine.corpora.windows import calibration_windows, evaluation_windows
from engine.progress import drain
from tests.corpora.tokenizers import TEXT, bundled, byte_level, composing, slow_bytes, words

ALL = [bundled, byte_level, words]


def counts(tokenizer, text: str) -> list[int] | None:
    found = tokenizer(text, return_special_tokens_mask=True, verbose=False)
    made = ByteCounter(tokenizer).counts(text, found["input_ids"], found["special_tokens_mask"], special=True)
    return None if made is None else made.tolist()


@pytest.mark.parametrize("make", ALL)
def test_bytes_per_token_are_exact_within_split_characters(make) -> None:
    tokenizer = make()
    assert counts(tokenizer, TEXT) == slow_bytes(tokenizer, TEXT)
    assert sum(slow_bytes(tokenizer, TEXT)) == len(TEXT.encode())
    assert any(1 <= count < 4 for count in slow_bytes(tokenizer, "龘👩")), "the sample splits no character"


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("length", [2, 3, 7, 16])
def test_a_window_counts_all_tokens_except_its_first(make, length: int, tmp_path: Path) -> None:
    tokenizer = make()
    (file := tmp_path / "a.txt").write_bytes(TEXT.encode())
    windows = drain(evaluation_windows(str(file), tokenizer, 10_000, length=length))
    single = slow_bytes(tokenizer, TEXT)
    whole = len(single) // length
    assert windows.bytes == sum(
        sum(single[start + 1 : start + length]) for start in range(0, whole * length, length)
    )


def test_chosen_windows_count_their_own_bytes(tmp_path: Path) -> None:
    tokenizer = byte_level()
    (file := tmp_path / "a.txt").write_bytes(TEXT.encode())
    chosen = drain(calibration_windows(str(file), tokenizer, 10_000, samples=9, length=5, seed=3))
    single, ids = slow_bytes(tokenizer, TEXT), tokenizer(TEXT)["input_ids"]
    by_window: dict[tuple[int, ...], set[int]] = {}
    for start in range(0, len(ids) - 4, 5):
        by_window.setdefault(tuple(ids[start : start + 5]), set()).add(sum(single[start + 1 : start + 5]))
    assert all(len(found) == 1 for found in by_window.values())
    assert chosen.bytes == sum(next(iter(by_window[tuple(window)])) for window in chosen.ids.tolist())


def test_offsets_are_used_if_the_tokenizer_changes_the_text() -> None:
    text = "cafe\u0301 and more " * 5  # composed before it is tokenised: 3 bytes of the text become 2
    made = counts(composing(), text)
    assert made is not None
    assert sum(made) == len(text.encode())
    assert made != slow_bytes(composing(), text)


def test_the_start_token_of_each_document_stands_for_nothing(tmp_path: Path) -> None:
    tokenizer = byte_level()
    (file := tmp_path / "a.jsonl").write_text('"first 你"\n"second 🙂🎉"\n', encoding="utf-8")
    ids = [tokenizer.bos_token_id, *tokenizer("first 你", add_special_tokens=False)["input_ids"]]
    ids += [tokenizer.bos_token_id, *tokenizer("second 🙂🎉", add_special_tokens=False)["input_ids"]]
    windows = drain(evaluation_windows(str(file), tokenizer, 10_000, length=len(ids)))
    assert windows.ids.tolist() == [ids]
    assert windows.bytes == len("first 你second 🙂🎉".encode())


class NoOffsets:
    """A tokenizer that is not from transformers: it returns ids and nothing else."""

    bos_token_id = eos_token_id = None

    def __call__(
        self, text: str, add_special_tokens: bool = True, verbose: bool = False
    ) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


def test_bytes_are_unknown_for_npy_files_and_other_tokenizers(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "a.npy", np.zeros((2, 4), dtype=np.int64))
    assert drain(evaluation_windows(str(tmp_path / "a.npy"), None, 9, length=4)).bytes is None
    (tmp_path / "a.txt").write_text("abcdef")
    assert drain(evaluation_windows(str(tmp_path / "a.txt"), NoOffsets(), 200, length=3)).bytes is None

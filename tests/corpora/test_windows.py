"""Text and token ids as windows: what is cut, what is chosen, and the errors if there is too little text."""

import json
from collections.abc import Callable
from copy import copy, deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import torch

from engine.corpora.documents import read_documents
from engine.corpora.named import STORIES
from engine.corpora.windows import calibration_windows, evaluation_windows
from engine.errors import CorpusError
from engine.progress import drain
from engine.recipe import Recipe, pin
from tests.corpora.tokenizers import bundled, byte_level, words


class Letters:
    """A tokenizer that gives each character its code point, starts with 0, and adds that by itself only to a
    lone text.
    """

    bos_token_id = 0
    eos_token_id = 1

    def __call__(
        self, text: str | list[str], add_special_tokens: bool = True, verbose: bool = False
    ) -> dict[str, list]:
        if isinstance(text, str):
            return {"input_ids": [0] * add_special_tokens + [ord(letter) for letter in text]}
        return {"input_ids": [[ord(letter) for letter in one] for one in text]}


def calibration(path: Path, samples: int = 2, length: int = 3, seed: int = 0) -> torch.Tensor:
    return drain(
        calibration_windows(str(path), Letters(), 200, samples=samples, length=length, seed=seed)
    ).ids


def evaluation(path: Path, length: int = 3) -> torch.Tensor:
    return drain(evaluation_windows(str(path), Letters(), 200, length=length)).ids


def test_evaluation_windows_are_cut_in_order_without_overlap_and_the_remainder_is_dropped(
    tmp_path: Path,
) -> None:
    (file := tmp_path / "a.txt").write_text("abcdefg")
    assert evaluation(file).tolist() == [[0, 97, 98], [99, 100, 101]]


def test_each_of_several_documents_begins_with_the_start_token(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("ab\n<|endoftext|>\ncd\n<|endoftext|>\n\n")
    assert evaluation(file).tolist() == [[0, 97, 98], [0, 99, 100]]


STARTED = {"inserts": byte_level, "only has one": bundled, "words": words}


@pytest.mark.parametrize("make", STARTED.values(), ids=STARTED.keys())
@pytest.mark.parametrize("documents", [["Once there was"], ["One day in", "two, and three", "four"]], ids=len)
def test_a_text_that_begins_with_the_start_token_is_not_given_another(
    documents: list[str], make: Callable[[], Any], tmp_path: Path
) -> None:
    tokenizer, files = make(), {"plain": "", "rendered": make().bos_token}
    windows = {}
    for name, start in files.items():
        (file := tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps(start + text) + "\n" for text in documents)
        )
        windows[name] = drain(evaluation_windows(str(file), tokenizer, len(tokenizer), length=2))
    if make is bundled and len(documents) == 1:  # which puts none in front of a lone text, so one is right
        assert windows["rendered"].ids[0, 0] == tokenizer.bos_token_id != windows["plain"].ids[0, 0]
        return
    assert torch.equal(windows["plain"].ids, windows["rendered"].ids)
    assert windows["plain"].bytes == windows["rendered"].bytes
    assert windows["plain"].starts == (None if make is bundled else 1 if len(documents) == 1 else ANY)


def test_the_spelling_of_a_start_token_may_be_plain_text(tmp_path: Path) -> None:
    tokenizer = copy(byte_level())
    tokenizer.split_special_tokens = True
    (file := tmp_path / "a.txt").write_text("<s>Once")
    ids = drain(evaluation_windows(str(file), tokenizer, len(tokenizer), length=2)).ids.flatten().tolist()
    assert tokenizer.decode(ids).startswith("<s><s")


def test_tokens_that_the_model_has_no_embedding_for_are_named(tmp_path: Path) -> None:
    tokenizer = deepcopy(bundled())
    tokenizer.add_tokens(["<|user|>", "<|pad|>"], special_tokens=True)
    (file := tmp_path / "a.txt").write_text("<|user|><|pad|>Once there was")
    with pytest.raises(
        CorpusError, match=r"<\|user\|> \(id 2048\) and <\|pad\|> \(id 2049\), but.* 0 to 2047"
    ):
        drain(evaluation_windows(str(file), tokenizer, 2048, length=2))
    with pytest.raises(CorpusError, match="Use the tokenizer of this model"):
        drain(evaluation_windows(str(file), tokenizer, 40, length=2))


@pytest.mark.parametrize("line", ["ab", {"text": "ab", "meta": 3}])
def test_jsonl_has_one_string_or_object_with_text_per_line(tmp_path: Path, line: object) -> None:
    (file := tmp_path / "a.jsonl").write_text(f"{json.dumps(line)}\n\n{json.dumps('cd')}\n")
    assert evaluation(file).tolist() == [[0, 97, 98], [0, 99, 100]]


def test_calibration_is_a_seeded_choice_of_distinct_windows(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("".join(chr(40 + i % 100) for i in range(299)))
    every = {tuple(window) for window in evaluation(file).tolist()}
    first, again, other = calibration(file, 20), calibration(file, 20), calibration(file, 20, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(window) for window in first.tolist()} & every) == 20


def test_too_little_text_reports_how_many_windows_fit(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("abcdefgh")
    with pytest.raises(CorpusError, match=r"4 calibration windows of 3 tokens .* but only 3 fit"):
        calibration(file, 4)
    assert len(calibration(file, 3)) == 3
    with pytest.raises(CorpusError, match=r"has only 9 tokens. Use shorter windows, or more text\.$"):
        evaluation(file, 100)
    with pytest.raises(
        CorpusError, match=r"4 calibration windows .* has only 9 tokens. Use shorter windows, or"
    ):
        calibration(file, 4, length=100)


def test_a_text_of_one_token_needs_more_text(tmp_path: Path) -> None:
    (file := tmp_path / "a.jsonl").write_text('"a"')
    starts = drain(evaluation_windows(str(file), Letters(), 200, length=2)).ids
    assert starts.tolist() == [[0, 97]]
    unstarted = type("Unstarted", (Letters,), {"__call__": lambda self, text, **_: {"input_ids": [97]}})()
    with pytest.raises(CorpusError, match=r"has only 1 token\. Use more text\.$"):
        drain(evaluation_windows(str(file), unstarted, 200, length=2))


def test_the_suffix_of_a_file_may_be_in_capitals(tmp_path: Path) -> None:
    (text := tmp_path / "A.TXT").write_text("abcdefg")
    (lines := tmp_path / "A.Jsonl").write_text('"abcdefg"')
    np.save(ids := tmp_path / "a.npy", np.zeros((2, 3), dtype=np.int64))
    ids.rename(capitals := tmp_path / "A.NPY")
    assert evaluation(text).tolist() == evaluation(lines).tolist()
    assert evaluation(capitals).tolist() == [[0, 0, 0]] * 2
    for file in (text, lines, capitals):
        assert pin(Recipe.build(calibration=str(file))).calibration == str(file)


def test_token_ids_are_used_unchanged(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 200, (5, 7))
    np.save(file := tmp_path / "a.npy", ids)
    for windows in (calibration(file, samples=2, length=3), evaluation(file)):
        assert windows.tolist() == ids.tolist()
    found = drain(calibration_windows(str(file), None, 200, samples=1, length=2, seed=3))
    assert (found.seed, found.documents, found.available) == (None, None, 5)


@pytest.mark.parametrize(
    ("ids", "wrong"),
    [
        (np.zeros((2, 3)), "float64"),
        (np.zeros(5, dtype=np.int64), r"\[5\]"),
        (np.zeros((0, 3), dtype=np.int64), r"\[0, 3\]"),
        (np.full((2, 3), 200), "range from 200 to 200, but the model has ids 0 to 199"),
        (np.full((2, 3), -1), "range from -1 to -1"),
        (np.array([["a", "b"]], dtype=object), "cannot be read"),
    ],
)
def test_wrong_token_ids_are_rejected_with_a_reason(tmp_path: Path, ids: np.ndarray, wrong: str) -> None:
    np.save(file := tmp_path / "a.npy", ids, allow_pickle=True)
    with pytest.raises(CorpusError, match=wrong):
        evaluation(file)


def test_an_archive_of_token_ids_is_rejected(tmp_path: Path) -> None:
    np.savez(archive := tmp_path / "a.npz", ids=np.zeros((2, 3), dtype=np.int64))
    archive.rename(file := tmp_path / "a.npy")
    with pytest.raises(CorpusError, match="holds several arrays"):
        evaluation(file)


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("a.txt", b"\xff\xfe\x00", r"not UTF-16 \(byte 2\). Save it as UTF-8"),
        (
            "a.txt",
            "text".encode("utf-16-le"),
            "null characters throughout, so it is binary, or UTF-16 without",
        ),
        ("a.txt", b" \n ", "contains no text"),
        ("a.jsonl", b'"fine"\n{"text": 3}\n', "Line 2 .* is an object whose `text` is a number. Write each"),
        ("a.jsonl", b'{"text": null}', "Line 1 .* is an object whose `text` is null. Write each line as"),
        ("a.jsonl", b'{"content": "a", "id": 1}', "without `text`, with `content` and `id`. Write each"),
        ("a.jsonl", b"{}", "Line 1 .* is an empty object. Write each line as a JSON string, or as an"),
        ("a.jsonl", b'["a", "b"]', "Line 1 .* is an array. Write each"),
        ("a.jsonl", b"3.5", "Line 1 .* is a number. Write each"),
        ("a.jsonl", b"true", "Line 1 .* is true or false. Write each"),
        ("a.jsonl", b'"fine"\n{oops\n', "Line 2 .* not JSON"),
        ("a.npy", b"not numpy", "cannot be read"),
        (None, b"", "cannot be read: No such file"),
    ],
)
def test_a_damaged_file_has_an_error_message(
    tmp_path: Path, name: str | None, content: bytes, wrong: str
) -> None:
    file = tmp_path / (name or "missing.txt")
    if name:
        file.write_bytes(content)
    with pytest.raises(CorpusError, match=wrong):
        evaluation(file)


def test_text_without_a_tokenizer_requires_ids(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("abc")
    with pytest.raises(CorpusError, match=r"has none. Use token ids in an \.npy file"):
        drain(evaluation_windows(str(file), None, 200, length=2))


def test_the_fingerprint_depends_on_the_ids(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("abcdefgh")
    one, two = (
        drain(evaluation_windows(str(file), Letters(), 200, length=length)).fingerprint for length in (2, 3)
    )
    assert one != two
    assert one == drain(evaluation_windows(str(file), Letters(), 200, length=2)).fingerprint


def test_no_story_is_in_both_parts() -> None:
    calibration_part, evaluation_part = (
        read_documents("stories", role) for role in ("calibration", "evaluation")
    )
    assert len(calibration_part) + len(evaluation_part) == 140
    assert not set(calibration_part) & set(evaluation_part)
    assert 1.8 < len(calibration_part) / len(evaluation_part) < 2.2
    assert all((STORIES / f"{role}.txt").exists() for role in ("calibration", "evaluation"))

"""Token counts and perplexities of one's own text equal those that transformers gives by itself."""

import json
import os
import time
import warnings
from math import exp
from pathlib import Path
from statistics import mean

import pytest

from engine.corpora.documents import parse
from engine.corpora.user_texts import MOST_BYTES, UNUSED_DAYS, drop_unused_texts, save_text, touch_texts
from engine.corpora.windows import calibration_windows, evaluation_windows
from engine.errors import CorpusError
from engine.progress import drain
from tests.corpora.plain import ids_of, losses_of, perplexity_of
from tests.corpora.tokenizers import TEXT, bundled, byte_level, composing, words

DEMO = Path(__file__).parents[2] / "assets" / "demo-model"
AWKWARD = [
    TEXT,
    f"\n\n  {TEXT}\n\n\n",
    "after \ufeff a mark " + TEXT,  # only the first character of a file is a byte order mark
    TEXT.replace("<unk>", "<|endoftext|> "),
    TEXT + "<s>",
]


@pytest.mark.parametrize("make", [bundled, byte_level, words, composing])
@pytest.mark.parametrize("text", AWKWARD)
def test_a_lone_text_is_tokenised_as_it_stands(make, text: str, tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_bytes(text.encode())
    windows = drain(evaluation_windows(str(file), make(), 10_000, length=16))
    assert windows.ids.tolist() == ids_of(make(), text, 16)
    assert windows.identity["tokens"] == str(len(make()(text, verbose=False)["input_ids"]))


def test_a_text_longer_than_the_model_takes_gives_no_warning(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("word " * 3000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(drain(evaluation_windows(str(file), bundled(), 10_000, length=512)).ids) > 1


def test_perplexity_and_bits_per_byte_equal_those_computed_plainly(tmp_path: Path) -> None:
    text = "Once upon a time there was a small dog. It ran to the hill, and it was happy.\n\n" * 60
    (file := tmp_path / "a.txt").write_bytes(text.encode())
    windows = drain(evaluation_windows(str(file), bundled(), 2048, length=64))
    losses = losses_of(DEMO, windows.ids.tolist())
    plain = ids_of(bundled(), text, 64)
    assert exp(mean(losses)) == pytest.approx(perplexity_of(DEMO, plain), rel=1e-4)
    left_out = "".join(bundled().decode(window[:1]) for window in plain) + bundled().decode(
        bundled()(text, verbose=False)["input_ids"][64 * len(plain) :]
    )
    assert windows.bytes == len(text.encode()) - len(left_out.encode())


def test_newlines_of_every_kind_are_preserved(tmp_path: Path) -> None:
    content = "one\r\ntwo\rthree\n"
    (file := tmp_path / "a.txt").write_bytes(content.encode())
    assert parse(file.read_bytes(), ".txt", "The text") == (content,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(("suffix", "content"), [(".txt", TEXT), (".jsonl", json.dumps(TEXT))])
def test_a_byte_order_mark_says_the_encoding_and_is_no_text(encoding: str, suffix: str, content: str) -> None:
    assert parse(f"\ufeff{content}".encode(encoding), suffix, "The text") == (TEXT,)


def test_documents_are_separated_by_marks_with_any_newline() -> None:
    assert parse(b"one\n\n<|endoftext|>\n\ntwo\n<|endoftext|>\n \n", ".txt", "The text") == ("one", "two")
    assert parse(b"one\r\n<|endoftext|>\r\ntwo\r\n", ".txt", "The text") == ("one", "two")


def test_json_lines_are_documents_unchanged() -> None:
    documents = ["  kept \n", "line\u2028end and \x0b too", "🙂"]
    lines = "\n".join(json.dumps(document, ensure_ascii=False) for document in documents)
    assert parse(f'\ufeff{lines}\r\n\n""\n'.encode(), ".jsonl", "The text") == tuple(documents)
    assert parse(b'{"text": "a", "more": [1]}', ".JSONL", "The text") == ("a",)


def test_a_single_json_line_is_tokenised_as_the_tokenizer_does_it(tmp_path: Path) -> None:
    (file := tmp_path / "a.jsonl").write_text(json.dumps(TEXT))
    assert drain(evaluation_windows(str(file), byte_level(), 10_000, length=8)).ids.tolist() == ids_of(
        byte_level(), TEXT, 8
    )


@pytest.mark.parametrize(
    ("content", "suffix", "wrong"),
    [
        (b"fine \xff", ".txt", r"not UTF-8 \(byte 5\)"),
        (b'"a"\n{"no": 1}', ".jsonl", "Line 2 of the text is an object without `text`, with `no`. Write"),
        (b'"a"\n\n[1', ".jsonl", "Line 3 of the text is not JSON"),
        (b'"\\ud83d"', ".jsonl", "Line 1 of the text contains half a character"),
        (b"[" * 100_000, ".jsonl", "Line 1 of the text is not JSON"),
        (b"1" * 10_000, ".jsonl", "Line 1 of the text is not JSON"),
        ("half \ud83d", ".txt", "half a character at position 6"),
        (b" \n\t", ".txt", "contains no text"),
        (b"", ".jsonl", "contains no text"),
        (b"text", ".pdf", r"ends with \.txt or \.jsonl, but this one ends with \.pdf"),
        (b"a" * (MOST_BYTES + 1), ".txt", "20.0 MB, but the limit is 20 MB"),
    ],
)
def test_a_wrong_upload_has_an_error_message(
    content: str | bytes, suffix: str, wrong: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=wrong):
        save_text(content, tmp_path / "texts", suffix)
    assert not (tmp_path / "texts").exists()


def test_the_same_text_is_stored_once(tmp_path: Path) -> None:
    directory = tmp_path / "texts"
    pasted, uploaded, other = (
        save_text("a 🙂", directory, ".txt"),
        save_text("a 🙂".encode(), directory, ".TXT"),
        save_text("b", directory, ".txt"),
    )
    assert pasted == uploaded != other
    assert pasted.read_bytes() == "a 🙂".encode()
    assert save_text("a 🙂", directory, ".txt", "Another name") == pasted
    assert sorted(directory.iterdir()) == sorted([pasted, other])


@pytest.mark.parametrize(
    ("name", "stem"),
    [("My Story (2)", "my-story-2"), ("../../etc", "etc"), ("日本", "text"), ("a" * 300, "a" * 40)],
)
def test_the_file_name_of_a_text_begins_with_its_name(name: str, stem: str, tmp_path: Path) -> None:
    path = save_text("some text", tmp_path, ".txt", name)
    assert path.parent == tmp_path and path.name.rpartition("-")[0] == stem


def test_a_text_stored_again_counts_as_used_and_a_damaged_one_is_repaired(tmp_path: Path) -> None:
    path = save_text("some text", tmp_path, ".txt")
    os.utime(path, (1, 1))
    save_text("some text", tmp_path, ".txt")
    assert path.stat().st_mtime > 1
    path.write_bytes(b"cut")
    assert save_text("some text", tmp_path, ".txt").read_bytes() == b"some text"


def test_a_text_unused_for_a_week_is_deleted(tmp_path: Path) -> None:
    used, old, fresh = (save_text(text, tmp_path, ".txt") for text in ("used", "old", "fresh"))
    elsewhere = tmp_path.parent / "elsewhere.txt"
    elsewhere.write_text("not ours")
    long_ago = time.time() - (UNUSED_DAYS + 1) * 86_400
    for path in (used, old, elsewhere):
        os.utime(path, (long_ago, long_ago))
    touch_texts(("stories", str(used), str(elsewhere), str(tmp_path / "gone.txt")), tmp_path)
    drop_unused_texts(tmp_path)
    assert (used.is_file(), old.is_file(), fresh.is_file()) == (True, False, True)
    assert elsewhere.stat().st_mtime == pytest.approx(long_ago)
    drop_unused_texts(tmp_path / "never made")


def test_an_unwritable_directory_has_an_error_message(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(CorpusError, match=r"could not be saved in .*in the way"):
        save_text("text", tmp_path / "in the way", ".txt")


def test_ids_beyond_the_vocabulary_are_rejected(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("words " * 50)
    with pytest.raises(CorpusError, match="the model has ids 0 to 9"):
        drain(evaluation_windows(str(file), bundled(), 10, length=4))


def test_calibration_and_evaluation_cut_the_same_windows(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_bytes(TEXT.encode())
    every = drain(evaluation_windows(str(file), byte_level(), 10_000, length=6)).ids.tolist()
    chosen = drain(calibration_windows(str(file), byte_level(), 10_000, samples=len(every), length=6, seed=1))
    assert sorted(chosen.ids.tolist()) == sorted(every)
    assert (chosen.seed, chosen.available) == (1, len(every))

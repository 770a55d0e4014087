"""Tokenised texts are cached by what they depend on, and background work ends when its reader is closed."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine import progress
from engine.corpora.tokenise import Rows, tokenizer_fingerprint
from engine.corpora.windows import RowCache, Windows, evaluation_windows
from engine.progress import Report, Stopped, drain, in_background
from tests.corpora.tokenizers import TEXT, bundled, byte_level, composing, words


def rows(tokens: int = 10, counts: bool = True) -> Rows:
    ids = np.arange(tokens, dtype=np.int64)
    return Rows(ids, ids % 300 if counts else None, np.array([4, tokens], dtype=np.int64))


@pytest.mark.parametrize("counts", [True, False])
def test_rows_are_read_as_they_were_stored(tmp_path: Path, counts: bool) -> None:
    store = RowCache(tmp_path / "new")
    assert store.get("a") is None
    store.put("a", rows(1000, counts))
    found = store.get("a")
    assert found is not None
    assert found.ids.tolist() == rows(1000).ids.tolist()
    assert found.ends.tolist() == [4, 1000]
    assert (found.counts is None) == (not counts)
    assert found.counts is None or found.counts.tolist() == (np.arange(1000) % 300).tolist()
    assert found.ids.dtype == found.ends.dtype == np.int64
    assert store.get("b") is None


def test_every_damaged_byte_is_detected_or_harmless(tmp_path: Path) -> None:
    store = RowCache(tmp_path)
    store.put("a", rows())
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found = store.get("a")
        assert found is None or (found.ids.tolist(), found.ends.tolist()) == (rows().ids.tolist(), [4, 10]), (
            place
        )
    for length in (0, 1, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert store.get("a") is None


def test_the_least_recently_used_files_are_evicted(tmp_path: Path) -> None:
    RowCache(tmp_path).put("a", rows())
    size = next(tmp_path.iterdir()).stat().st_size
    store = RowCache(tmp_path, most_bytes=3 * size)
    for place, key in enumerate("bcd"):
        for file in tmp_path.iterdir():
            os.utime(file, (file.stat().st_mtime - 10, file.stat().st_mtime - 10))
        if key == "d":
            assert store.get("a") is not None  # used just now
        store.put(key, rows())
        assert len(list(tmp_path.iterdir())) == min(place + 2, 3)
    assert [key for key in "abcd" if store.get(key) is not None] == ["a", "c", "d"]


def test_an_unwritable_directory_is_ignored(tmp_path: Path) -> None:
    (file := tmp_path / "a file").write_text("")
    store = RowCache(file / "below")
    store.put("a", rows())
    assert store.get("a") is None


def test_concurrent_writers_leave_complete_files(tmp_path: Path) -> None:
    def work(number: int) -> bool:
        store = RowCache(tmp_path)
        store.put("same", rows(5000))
        found = store.get("same")
        return found is not None and len(found.ids) == 5000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert [file.suffix for file in tmp_path.iterdir()] == [".npz"]


def test_different_tokenizers_have_different_fingerprints() -> None:
    known = [tokenizer_fingerprint(make()) for make in (bundled, byte_level, words, composing)]
    assert len(set(known)) == 4
    assert tokenizer_fingerprint(byte_level()) == known[1]
    assert tokenizer_fingerprint(object()) is None


def cut(file: Path, length: int, cache: Path | None) -> Windows:
    return drain(evaluation_windows(str(file), byte_level(), 10_000, length=length, cache=cache))


def test_a_text_is_tokenised_again_only_if_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.corpora import windows

    calls = []
    plain = windows.tokenise
    monkeypatch.setattr(windows, "tokenise", lambda *given: calls.append(given[-1]) or plain(*given))
    (file := tmp_path / "a.txt").write_bytes(TEXT.encode())
    cache = tmp_path / "cache"
    fresh, first, again, shorter = (
        cut(file, 16, None),
        cut(file, 16, cache),
        cut(file, 16, cache),
        cut(file, 8, cache),
    )
    assert len(calls) == 2
    assert first.ids.tolist() == again.ids.tolist() == fresh.ids.tolist()
    assert first.bytes == again.bytes == fresh.bytes
    assert first.identity == again.identity == fresh.identity
    assert shorter.ids.tolist() == cut(file, 8, None).ids.tolist()
    file.write_bytes(TEXT.encode() + b"!")
    assert cut(file, 16, cache).identity["text"] != first.identity["text"]
    next(cache.iterdir()).write_bytes(b"damaged")
    file.write_bytes(TEXT.encode())
    assert cut(file, 16, cache).ids.tolist() == first.ids.tolist()


def test_the_same_text_split_differently_is_cached_separately(tmp_path: Path) -> None:
    """One document of two lines is not two documents, though the letters are the same."""
    (one := tmp_path / "a.jsonl").write_text('"ab cd"\n')
    (two := tmp_path / "b.jsonl").write_text('"ab"\n" cd"\n')
    cache = tmp_path / "cache"
    assert cut(one, 2, cache).ids.tolist() != cut(two, 2, cache).ids.tolist()
    assert cut(two, 2, cache).ids.tolist() == cut(two, 2, None).ids.tolist()


def test_work_reports_and_returns() -> None:
    go = threading.Event()

    def work(report: Report) -> int:
        report.done, report.total, report.note = 3, 9, "so far"
        assert go.wait(30)
        return 7

    steps = in_background("a thing", work)
    step = next(step for step in steps if step.note)
    assert (step.what, step.done, step.total, step.note) == ("a thing", 3, 9, "so far")
    assert step.seconds > 0
    go.set()
    assert drain(steps) == 7


def test_an_exception_of_the_work_reaches_the_reader() -> None:
    def work(report: Report) -> int:
        raise TimeoutError("the work's own")

    with pytest.raises(TimeoutError, match="the work's own"):
        drain(in_background("a thing", work))


def test_closing_returns_immediately_and_cancels_the_work() -> None:
    ended = threading.Event()

    def work(report: Report) -> None:
        try:
            while True:
                report.check()
                time.sleep(0.01)
        except Stopped:
            ended.set()
            raise

    steps = in_background("a thing", work)
    next(steps)
    steps.close()
    assert ended.wait(30)


def test_cancelling_while_tokenising_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    (file := tmp_path / "a.txt").write_text("many words of a longer text, " * 100_000)
    steps = evaluation_windows(str(file), bundled(), 10_000, length=64, cache=tmp_path / "cache")
    step = next(step for step in steps if step.total)
    assert (step.doing, step.what, step.total) == ("tokenising", "a.txt", 2_900_000)
    steps.close()
    assert not (tmp_path / "cache").exists()

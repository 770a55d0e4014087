"""All classes of an app: from many threads nothing is lost, a restart keeps the counts, and old classes make
room.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.errors import ClassError
from engine.lessons.classroom import Tally
from engine.store import classes
from engine.store.classes import Classes

QUESTION = "groups.row"


def files(home: Path) -> list[Path]:
    return sorted((home / "classes").glob("*"))


def test_answers_of_many_threads_are_all_counted() -> None:
    made = Classes(None)
    made.create("a", "teacher", guided=True)

    def answer(student: int) -> None:
        for choice in range(8):
            made.attend("a", f"s{student}")
            made.answer("a", f"s{student}", QUESTION, choice % 3)
        made.answer("a", f"s{student}", QUESTION, student % 2)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(answer, range(120)))
    view = made.attend("a", "teacher")
    assert view.tallies == {QUESTION: Tally(before=(60, 60, 0))} and view.present == 120


def test_a_restart_keeps_counts_and_code_but_no_sessions(tmp_path: Path) -> None:
    first = Classes(tmp_path)
    code = first.create("Übung", "teacher", guided=True)
    first.answer("übung", "the-session-of-ann", QUESTION, 1)
    first.set_steps("Übung", "teacher", ["groups.row"], True)
    first.reveal("Übung", "teacher", QUESTION)
    first.save()
    (file,) = files(tmp_path)
    text = file.read_text()
    assert "the-session-of-ann" not in text and code not in text
    assert set(json.loads(text)) == {"name", "code", "guided", "steps", "revealed", "tallies", "changed"}

    second = Classes(tmp_path)
    view = second.attend("Übung", "ann")
    assert view.totals == {QUESTION: (1, 0)} and view.is_open("groups.row") and QUESTION in view.revealed
    assert not second.attend("Übung", "teacher").teaches
    assert second.enter("Übung", "teacher", code).tallies == {QUESTION: Tally(before=(0, 1))}


def test_changes_are_written_together_a_moment_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "DELAY", 0.01)
    before = set(threading.enumerate())
    made = Classes(tmp_path)
    made.create("a", "teacher", guided=True)
    saving = list(set(threading.enumerate()) - before)
    assert len(saving) == 1
    made.answer("a", "ann", QUESTION, 0)
    saving[0].join(10)
    assert len(files(tmp_path)) == 1


def test_a_disk_that_refuses_costs_no_answer(
    tmp_path: Path, log_of: Callable[[str], pytest.LogCaptureFixture]
) -> None:
    log = log_of(classes.__name__)
    (tmp_path / "classes").write_text("a file where the directory should be")
    made = Classes(tmp_path)
    made.create("a", "teacher", guided=True)
    made.save()
    assert made.answer("a", "ann", QUESTION, 0).totals == {QUESTION: (1, 0)}
    made.save()
    assert log.text.count("were not saved") == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[]", b'{"name": "../a", "code": ""}'])
def test_a_damaged_file_is_left_out(tmp_path: Path, content: bytes) -> None:
    made = Classes(tmp_path)
    made.create("a", "teacher", guided=True)
    made.save()
    (tmp_path / "classes" / "other.json").write_bytes(content)
    again = Classes(tmp_path)
    assert again.find("a", "ann") is not None
    assert (tmp_path / "classes" / "other.json").read_bytes() == content


def test_unused_classes_expire_and_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Classes(tmp_path)
    for name in "ab":
        made.create(name, f"teacher of {name}", guided=True, most=2)
    made.save()
    with pytest.raises(ClassError, match="2 classes"):
        made.create("c", "carl", guided=True, most=2)
    now = time.time()
    monkeypatch.setattr(classes.time, "time", lambda: now + 2 * 86_400)
    made.attend("a", "ann")  # present, so not unused
    made.create("c", "carl", guided=True, most=2)
    assert [made.find(name, "x") is not None for name in "abc"] == [True, False, True]
    assert len(files(tmp_path)) == 1, "its file is gone; that of c follows"
    made.save()
    monkeypatch.setattr(classes.time, "time", lambda: now + 40 * 86_400)
    assert Classes(tmp_path).find("c", "x") is None


def test_a_name_is_taken_once_and_one_session_creates_few(tmp_path: Path) -> None:
    made = Classes(None)
    made.create("a", "teacher", guided=True)
    with pytest.raises(ClassError, match="already"):
        made.create("A", "other", guided=True)
    for name in "bcde":
        made.create(name, "teacher", guided=True)
    with pytest.raises(ClassError, match="5 classes in this tab"):
        made.create("f", "teacher", guided=True)
    with pytest.raises(ClassError, match="no such class"):
        made.attend("zzz", "ann")
    assert made.find("../../etc/passwd", "ann") is None

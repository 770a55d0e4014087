"""A class: answers are counted once per session and phase, teachers need their code, and everything is
limited.
"""

from __future__ import annotations

import pytest

from engine.errors import ClassError
from engine.lessons import classroom
from engine.lessons.classroom import (
    MOST_CHANGES,
    MOST_CODES,
    Classroom,
    ClassState,
    Tally,
    class_key,
    digest,
    new_code,
)

QUESTION, STEP = "groups.row", "groups.price"
CODE = "K7QF-M2XD-9PLT"


def make(guided: bool = True) -> Classroom:
    room = Classroom(ClassState(name="Test", code=digest(CODE), guided=guided))
    room.enter("teacher", CODE, 0.0)
    return room


def tally(room: Classroom) -> Tally:
    return room.view("teacher", 0.0).tallies.get(QUESTION, Tally())


def test_an_answer_is_counted_once_and_a_changed_one_moves() -> None:
    room = make()
    for session, choice in (("ann", 0), ("bob", 2), ("ann", 0), ("ann", 2), ("ann", 1)):
        room.answer(session, QUESTION, choice, 0.0)
    assert tally(room) == Tally(before=(0, 1, 1))
    assert room.view("ann", 0.0).chosen == {QUESTION: 1}
    assert room.view("ann", 0.0).totals == {QUESTION: (2, 0)}


def test_answers_after_the_reveal_are_counted_separately() -> None:
    room = make()
    room.answer("ann", QUESTION, 0, 0.0)
    room.answer("bob", QUESTION, 0, 0.0)
    room.reveal("teacher", QUESTION)
    room.answer("ann", QUESTION, 1, 0.0)
    room.answer("ann", QUESTION, 2, 0.0)
    room.answer("cid", QUESTION, 1, 0.0)
    assert tally(room) == Tally(before=(2,), after=(0, 1, 1))
    assert room.view("ann", 0.0).chosen == {QUESTION: 2} and room.view("bob", 0.0).chosen == {QUESTION: 0}


def test_at_its_own_pace_a_session_sees_the_answer_when_it_has_chosen() -> None:
    room = make(guided=False)
    assert room.view("ann", 0.0).is_open(STEP)
    assert not room.view("ann", 0.0).shows_answer(QUESTION, answered=False)
    assert room.view("ann", 0.0).shows_answer(QUESTION, answered=True)
    room.answer("ann", QUESTION, 0, 0.0)
    room.answer("ann", QUESTION, 1, 0.0)  # has seen the answer by now
    room.answer("bob", QUESTION, 0, 0.0)
    assert tally(room) == Tally(before=(2,), after=(0, 1))


def test_in_a_guided_class_the_teacher_opens_and_reveals() -> None:
    room = make()
    before = room.view("ann", 0.0)
    assert not before.is_open(STEP) and not before.shows_answer(QUESTION, answered=True)
    room.set_steps("teacher", [STEP], True)
    room.reveal("teacher", QUESTION)
    after = room.view("ann", 0.0)
    assert after.is_open(STEP) and after.shows_answer(QUESTION, answered=False)
    assert after.version > before.version
    room.set_steps("teacher", [STEP], False)
    assert not room.view("ann", 0.0).is_open(STEP)


def test_an_answer_does_not_redraw_the_pages_of_the_others() -> None:
    room = make()
    version = room.view("bob", 0.0).version
    room.answer("ann", QUESTION, 0, 0.0)
    assert room.view("bob", 0.0).version == version


def test_students_do_not_see_the_distribution() -> None:
    room = make()
    room.answer("ann", QUESTION, 0, 0.0)
    assert room.view("ann", 0.0).tallies == {} and room.view("teacher", 0.0).tallies


def test_clearing_deletes_counts_and_reveals_but_leaves_steps_open() -> None:
    room = make()
    room.set_steps("teacher", [STEP], True)
    room.answer("ann", QUESTION, 0, 0.0)
    room.reveal("teacher", QUESTION)
    ballot = room.view("ann", 0.0).ballot
    room.clear("teacher")
    view = room.view("ann", 0.0)
    assert not view.chosen and not view.totals and not view.revealed and view.is_open(STEP)
    assert view.ballot != ballot, "or the browser's old choice would be counted again"
    room.answer("ann", QUESTION, 0, 0.0)
    assert tally(room) == Tally(before=(1,))


def test_a_browser_that_returns_as_a_new_session_does_not_count_its_old_choice() -> None:
    room = make()
    assert room.view("ann", 0.0).ballot == room.view("ann", 9.0).ballot
    assert (
        len({room.view("ann", 0.0).ballot, room.view("bob", 0.0).ballot, make().view("ann", 0.0).ballot}) == 3
    )


def test_only_the_teacher_teaches() -> None:
    room = make()
    for act in (
        lambda: room.set_steps("ann", [STEP], True),
        lambda: room.reveal("ann", QUESTION),
        lambda: room.clear("ann"),
    ):
        with pytest.raises(ClassError, match="Only the teacher"):
            act()
    with pytest.raises(ClassError, match="not counted"):
        room.answer("teacher", QUESTION, 0, 0.0)


@pytest.mark.parametrize("code", [CODE, "k7qf m2xd 9plt", "K7QFM2XD9PLT"])
def test_a_code_may_be_typed_in_several_ways(code: str) -> None:
    room = make()
    room.enter("other", code, 0.0)
    assert room.view("other", 0.0).teaches


@pytest.mark.parametrize("code", ["", " ", "x" * 5_000, "\ud800", digest(CODE), CODE[:-1], CODE + "A"])
def test_wrong_codes_are_refused_and_limited_per_session(code: str) -> None:
    room = make()
    for _ in range(MOST_CODES):
        with pytest.raises(ClassError, match="not the code"):
            room.enter("ann", code, 0.0)
    with pytest.raises(ClassError, match="Too many"):
        room.enter("ann", CODE, 1.0)
    room.enter("bob", CODE, 1.0)  # others are not locked out
    room.enter("ann", CODE, 61.0)


def test_codes_are_random_and_not_stored() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100 and all(len(code) == 14 for code in codes)
    assert CODE not in make().state.model_dump_json()


def test_answers_are_limited_per_session() -> None:
    room = make()
    for number in range(MOST_CHANGES):
        room.answer("ann", QUESTION, number % 2, 0.0)
    with pytest.raises(ClassError, match="30 times"):
        room.answer("ann", QUESTION, 0, 1.0)
    room.answer("bob", QUESTION, 0, 1.0)
    room.answer("ann", QUESTION, 0, 61.0)
    assert tally(room) == Tally(before=(2, 0))


def test_a_full_class_takes_no_more_until_someone_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "MOST_STUDENTS", 2)
    room = make()
    room.answer("ann", QUESTION, 0, 0.0)
    room.attend("bob", 0.0)
    with pytest.raises(ClassError, match="full"):
        room.attend("cid", 1.0)
    room.attend("bob", 600.0)
    room.answer("cid", QUESTION, 1, 601.0)
    assert tally(room) == Tally(before=(1, 1)), "the count of who has left stays"


def test_present_are_the_students_whose_page_is_open() -> None:
    room = make()
    room.attend("teacher", 0.0)
    room.attend("ann", 0.0)
    room.attend("bob", 5.0)
    assert [room.view("ann", now).present for now in (5.0, 12.0, 60.0)] == [2, 1, 0]


@pytest.mark.parametrize(
    "name", ["", " ", "-a", "a b", "a/b", "../etc", "a" * 41, "a\n", "a\u202eb", "<b>", "a.b", "\ud800", "\0"]
)
def test_names_of_classes_are_checked(name: str) -> None:
    with pytest.raises(ClassError, match="1 to 40 letters"):
        class_key(name)


def test_case_makes_no_other_class() -> None:
    assert class_key("Übung-7B") == class_key("übung-7b") and class_key("5年A组") == "5年a组"


@pytest.mark.parametrize(
    "place", ["", "row", "groups.row.x", "GROUPS.row", "groups.<b>", "a" * 41 + ".b", "\ud800"]
)
def test_what_is_no_step_or_question_is_not_stored(place: str) -> None:
    room = make()
    before = room.state
    for act in (
        lambda: room.answer("ann", place, 0, 0.0),
        lambda: room.reveal("teacher", place),
        lambda: room.set_steps("teacher", [place], True),
    ):
        with pytest.raises(ClassError, match="no such step or question"):
            act()
    with pytest.raises(ClassError, match="no such choice"):
        room.answer("ann", QUESTION, 26, 0.0)
    with pytest.raises(ClassError, match="no such choice"):
        room.answer("ann", QUESTION, -1, 0.0)
    assert room.state is before


def test_a_class_knows_a_limited_number_of_questions() -> None:
    room = make()
    room.set_steps("teacher", [f"a.{number}" for number in range(classroom.MOST_PLACES)], True)
    with pytest.raises(ClassError):
        room.set_steps("teacher", ["b.b"], True)

"""Windows that present the same talk move together; rooms separate those that do not."""

import pytest

from engine.errors import StoreError
from engine.jobs import presentations
from engine.jobs.presentations import GONE, Presentations
from engine.store.talk import Talk, View

TALK = Talk(name="A", views=tuple(View(title=title, page="compare") for title in "abcd"))


class Shelf:
    """Stored talks, and a clock that the test sets."""

    def __init__(self) -> None:
        self.talks = {"A": TALK}
        self.time = 100.0
        self.presented = Presentations(self.load, lambda: self.time)

    def load(self, name: str) -> Talk:
        if name not in self.talks:
            raise StoreError("There is no such talk.")
        return self.talks[name]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_a_move_reaches_every_window(shelf: Shelf) -> None:
    presented = shelf.presented
    presented.start("A", "", "one")
    before = presented.get("A", "")
    assert (before.position, before.windows, before.talk) == (0, 1, TALK)
    presented.go_to("A", "", 2)
    after = presented.get("A", "")
    assert after.position == 2 and after.version > before.version
    presented.go_to("A", "", 2)
    assert presented.get("A", "").version == after.version, "nothing to draw again"
    for target, position in ((-3, 0), (99, 3)):
        presented.go_to("A", "", target)
        assert presented.get("A", "").position == position


def test_rooms_do_not_move_each_other(shelf: Shelf) -> None:
    shelf.presented.start("A", "x", "one", 1)
    shelf.presented.go_to("A", "y", 3)
    assert shelf.presented.get("A", "x").position == 1 and shelf.presented.get("A", "").position == 0


def test_a_second_window_joins_where_the_talk_is(shelf: Shelf) -> None:
    presented = shelf.presented
    presented.start("A", "", "one", 2)
    shelf.time += 5
    presented.start("A", "", "two")
    now = presented.get("A", "")
    assert (now.position, now.windows, now.elapsed) == (2, 2, 5)
    presented.start("A", "", "two", 0)  # an address that names a view moves all
    assert presented.get("A", "").position == 0 and presented.get("A", "").elapsed == 5
    shelf.time += GONE + 1
    assert presented.get("A", "", "two").windows == 1, "the other was closed"
    presented.start("A", "", "two")
    assert presented.get("A", "").elapsed == 0, "alone, it begins again"
    presented.leave("A", "", "two")
    assert presented.get("A", "").windows == 0


def test_the_clock(shelf: Shelf) -> None:
    assert shelf.presented.get("A", "").elapsed is None
    shelf.presented.start("A", "", "one")
    shelf.time += 61.5
    assert shelf.presented.get("A", "").elapsed == 61.5
    shelf.presented.restart_clock("A", "")
    assert shelf.presented.get("A", "").elapsed == 0


def test_a_changed_talk_is_shown_as_it_is_now(shelf: Shelf) -> None:
    shelf.presented.start("A", "", "one", 3)
    shelf.presented.update(TALK.without(3).without(2))
    assert shelf.presented.get("A", "").position == 1
    shelf.talks["A"] = Talk(name="A")
    shelf.presented.start("A", "", "one")
    assert shelf.presented.get("A", "").position == 0 and not shelf.presented.get("A", "").talk.views


def test_a_talk_goes_on_after_it_was_deleted(shelf: Shelf) -> None:
    shelf.presented.start("A", "", "one")
    del shelf.talks["A"]
    shelf.presented.go_to("A", "", 1)
    assert shelf.presented.get("A", "").position == 1
    with pytest.raises(StoreError, match="no such talk"):
        shelf.presented.get("B", "")


def test_no_number_of_rooms_ends_a_talk_that_is_presented(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presentations, "MOST", 3)
    shelf.presented.start("A", "mine", "one", 2)
    for number in range(10):
        shelf.time += 1
        shelf.presented.get("A", "mine", "one")
        shelf.presented.get("A", f"room {number}")
    assert shelf.presented.get("A", "mine").position == 2
    assert len(shelf.presented._rooms) == 3

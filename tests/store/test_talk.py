"""A talk is stored, changed and read back; a link becomes a view, and foreign links are explained."""

from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.store.runs import Store
from engine.store.talk import (
    MOST_VIEWS,
    Talk,
    View,
    default_talk,
    load_talk,
    reset_talk,
    save_talk,
    view_from_link,
)

PAGES = ("explore", "compare", "learn")
TALK = Talk(views=tuple(View(title=name, page="compare") for name in "abc"))


def titles(talk: Talk) -> str:
    return "".join(view.title for view in talk.views)


def test_moving_and_removing() -> None:
    assert titles(TALK.moved(0, 1)) == "bac" and titles(TALK.moved(2, -1)) == "acb"
    assert titles(TALK.moved(0, -1)) == "abc" and titles(TALK.moved(2, 5)) == "abc"
    assert titles(TALK.without(1)) == "ac"
    assert titles(TALK.with_view(View(title="d", page="learn"))) == "abcd"


def test_a_full_talk_says_so() -> None:
    full = Talk(views=TALK.views[:1] * MOST_VIEWS)
    with pytest.raises(StoreError, match="at most 60 views"):
        full.with_view(TALK.views[0])


def test_it_is_stored_in_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert load_talk(home) == default_talk()
    save_talk(home, TALK)
    assert load_talk(home) == TALK
    reset_talk(home)
    assert load_talk(home) == default_talk()


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text('{"views": [{"page": 3}]}')
    with pytest.raises(StoreError, match="cannot be read"):
        load_talk(tmp_path)


@pytest.mark.parametrize(
    ("link", "page", "parameters"),
    [
        ("http://localhost:8501/compare?x=1&y=2", "compare", {"x": "1", "y": "2"}),
        ("?run=abc&focus=depth", "explore", {"run": "abc", "focus": "depth"}),
        ("http://localhost:8501/", "explore", {}),
        ("https://host/tool/learn?a=1&a=2&b=", "learn", {"a": "1,2", "b": ""}),
    ],
)
def test_a_link_is_a_view(link: str, page: str, parameters: dict[str, str]) -> None:
    view = view_from_link(link, PAGES, "A title")
    assert (view.title, view.page, view.parameters) == ("A title", page, parameters)


def test_a_link_to_an_unknown_page_is_explained() -> None:
    with pytest.raises(StoreError, match="there is no page nowhere"):
        view_from_link("http://localhost:8501/nowhere", PAGES)


def test_the_default_talk_shows_bundled_runs(tmp_path: Path) -> None:
    recorded = {run.key for run in Store(tmp_path).recorded}
    keys = [view.parameters["run"] for view in default_talk().views if "run" in view.parameters]
    assert keys and set(keys) <= recorded

"""A talk is changed, and exchanged as a file that is not trusted; a link becomes a view."""

import json
from typing import Any

import pytest

from engine.errors import StoreError
from engine.store import talk as limits
from engine.store.talk import Talk, View, check, clean_name, free_name, from_file, to_file, view_from_link

TALK = Talk(name="Ana's talk", views=tuple(View(title=name, page="compare") for name in "abc"))


def titles(talk: Talk) -> str:
    return "".join(view.title for view in talk.views)


def test_moving_removing_and_replacing_views() -> None:
    assert titles(TALK.moved(0, 1)) == "bac" and titles(TALK.moved(2, -1)) == "acb"
    assert titles(TALK.moved(0, -1)) == "abc" and titles(TALK.moved(2, 5)) == "abc"
    assert titles(TALK.without(1)) == "ac"
    other = View(title="d", page="learn", notes="Say this.")
    assert titles(TALK.with_view(other)) == "abcd" and titles(TALK.with_view(other, 1)) == "adc"
    assert TALK.without(0).moved(0, 1).name == TALK.name


def view(**changed: Any) -> dict[str, Any]:
    return {"title": "A", "page": "learn", **changed}


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([view()] * (limits.MOST_VIEWS + 1), "at most 60 views"),
        ([view(title="x" * 201)], "its title may have 200 characters"),
        ([view(notes="x" * 5_001)], "its notes may have 5,000 characters"),
        ([view(parameters={"a": "x" * 5_001})], "its link may have"),
        ([view(parameters={"x" * 5_001: ""})], "its link may have"),
        ([view(parameters={f"a{number}": "" for number in range(61)})], "at most 60 are accepted"),
        ([view(page="present")], "there is no page present"),
        ([view(page="../../app")], "there is no page"),
        ([view(page="https://evil.example")], "there is no page"),
        ([view(parameters={"a": 1})], "string"),
        ([view(parameters=["a"])], "should be an object"),
        ([view(title=None)], "string"),
        ([{"title": "A"}], "required"),
        ([], "no views"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_exceeds_a_limit_is_refused_with_a_reason(views: list[Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        from_file(json.dumps({"name": "A", "views": views}).encode(), "talk.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b"3", b'{"views": 3}', b"[" * 10_000, b"x" * (limits.MOST_BYTES + 1)],
    ids=lambda content: content[:12].decode(errors="replace"),
)
def test_a_file_that_is_no_talk_is_refused(content: bytes) -> None:
    with pytest.raises(StoreError, match=r"is not a talk|has no views|at most 2 MB"):
        from_file(content, "talk.json")


def test_a_talk_survives_its_file() -> None:
    talk = TALK.with_view(View(title="é", page="explore", parameters={"run": "1", "b": ""}, notes="Ä\n- b"))
    assert from_file(to_file(talk), "other.json") == talk


def test_a_file_of_another_version_is_read() -> None:
    old = {"views": [view()]}
    assert from_file(json.dumps(old).encode(), "talk.json").name == "talk"
    assert from_file(json.dumps(old).encode(), "../x.json").name == "My talk"
    newer = {"name": "A", "color": 3, "views": [view(minutes=1)]}
    assert from_file(json.dumps(newer).encode(), "talk.json").views == (View(title="A", page="learn"),)


def test_a_view_cannot_start_a_talk_within_the_talk() -> None:
    parameters = {"present": "1", "talk": "A", "notes": "1", "room": "x", "embed": "true", "run": "K"}
    assert View(title="A", page="explore", parameters=parameters).parameters == {"run": "K"}


@pytest.mark.parametrize("name", ["A", "Ana's talk, 2 (short)", "Été 2026", "日本", "x" * 50])
def test_names(name: str) -> None:
    assert clean_name(f"  {name}\n") == name
    check(TALK.named(name))


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "a/b", "a\\b", "../a", "a.json", "-a", "_a", "a\0", "a:b", "x" * 51, "<b>"]
)
def test_names_that_are_refused(name: str) -> None:
    for refused in (lambda: clean_name(name), lambda: check(TALK.named(name))):
        with pytest.raises(StoreError, match="cannot be used for a talk"):
            refused()


def test_a_free_name_is_not_too_long() -> None:
    assert free_name("A", ["b"]) == "A"
    assert free_name("A", ["a", "A 2"]) == "A 3"
    assert free_name("x" * 50, ["x" * 50]) == f"{'x' * 48} 2"


@pytest.mark.parametrize(
    ("link", "page", "parameters"),
    [
        ("http://localhost:8501/compare?x=1&y=2", "compare", {"x": "1", "y": "2"}),
        ("?run=abc&focus=depth&present=3&talk=A", "explore", {"run": "abc", "focus": "depth"}),
        ("http://localhost:8501/", "explore", {}),
        ("https://host/tool/learn?a=1&a=2&b=", "learn", {"a": "1,2", "b": ""}),
        ("https://host/tool/?run=abc", "explore", {"run": "abc"}),
        ("https://host/tool/", "explore", {}),
        ("https://host/tool/compare/", "compare", {}),
    ],
)
def test_a_link_is_a_view(link: str, page: str, parameters: dict[str, str]) -> None:
    found = view_from_link(link, "A title")
    assert (found.title, found.page, found.parameters) == ("A title", page, parameters)
    assert view_from_link(found.link, "A title") == found


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("http://localhost:8501/nowhere", "no page nowhere"),
        ("nowhere/", "no page nowhere"),
        ("http://[", "not an address"),
    ],
)
def test_a_link_that_is_no_view_is_explained(link: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        view_from_link(link)

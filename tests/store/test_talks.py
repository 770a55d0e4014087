"""The talks of a home: stored, renamed, deleted; the default one and that of an earlier version."""

import os
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.record import RunRecord
from engine.store import talks as limits
from engine.store.default_talk import default_talk
from engine.store.runs import RECORDED, Store
from engine.store.talk import DEFAULT, Talk, View, check
from engine.store.talks import Talks

TALK = Talk(name="Short", views=(View(title="a", page="compare", notes="Say a."),))


@pytest.fixture
def talks(tmp_path: Path) -> Talks:
    return Talks(tmp_path / "home")


def test_a_talk_is_stored(talks: Talks) -> None:
    assert talks.names == (DEFAULT,) and talks.latest == DEFAULT
    talks.add(TALK)
    assert talks.names == (DEFAULT, "Short") and talks.latest == "Short"
    assert talks.load("Short") == TALK
    talks.save(TALK.without(0))
    assert talks.load("Short").views == ()
    talks.delete("Short")
    assert talks.names == (DEFAULT,)
    with pytest.raises(StoreError, match="no talk “Short”"):
        talks.load("Short")


def test_the_default_talk_is_changed_and_reset(talks: Talks) -> None:
    assert talks.load(DEFAULT) == default_talk()
    talks.save(default_talk().without(0))
    assert talks.load(DEFAULT) == default_talk().without(0) and talks.names == (DEFAULT,)
    talks.delete(DEFAULT)
    assert talks.load(DEFAULT) == default_talk()


def test_renaming(talks: Talks) -> None:
    talks.add(TALK)
    assert talks.rename("Short", " Long  talk ") == "Long talk"
    assert talks.rename("Long talk", "LONG talk") == "LONG talk"
    assert talks.names == (DEFAULT, "LONG talk") and talks.load("LONG talk").views == TALK.views
    with pytest.raises(StoreError, match="already a talk"):
        talks.rename("LONG talk", "default TALK")
    assert talks.rename(DEFAULT, "Mine") == "Mine"
    assert talks.names == (DEFAULT, "LONG talk", "Mine")
    assert talks.load("Mine").views == talks.load(DEFAULT).views == default_talk().views


def test_a_new_talk_replaces_no_other(talks: Talks, monkeypatch: pytest.MonkeyPatch) -> None:
    talks.add(TALK)
    with pytest.raises(StoreError, match="already a talk “SHORT”"):
        talks.add(TALK.named("SHORT"))
    assert talks.add_file(TALK.model_dump_json().encode(), "a.json") == "Short 2"
    monkeypatch.setattr(limits, "MOST_TALKS", 3)
    with pytest.raises(StoreError, match="3 talks, which is the most"):
        talks.add(TALK.named("Another"))


def test_the_talk_of_an_earlier_version_becomes_one_of_its_own(talks: Talks, tmp_path: Path) -> None:
    old = tmp_path / "home/talk.json"
    old.parent.mkdir()
    for name in ("My talk", "My talk 2"):
        old.write_text('{"views": [{"title": "a", "page": "compare", "parameters": {"x": "1"}}]}')
        assert talks.latest == name and not old.exists()
        assert talks.load(name).views == (View(title="a", page="compare", parameters={"x": "1"}),)


def test_a_damaged_talk_is_explained_and_can_be_deleted(talks: Talks, tmp_path: Path) -> None:
    talks.add(TALK)
    path = tmp_path / "home/talks/Short.json"
    for content in ("nonsense", '{"views": [{"title": "a", "page": "/etc/passwd"}]}'):
        path.write_text(content)
        with pytest.raises(StoreError, match="cannot be read"):
            talks.load("Short")
    talks.delete("Short")
    assert talks.names == (DEFAULT,)


@pytest.mark.parametrize("name", ["../talk", "/etc/passwd", "..", "a\0"])
def test_no_name_leads_out_of_the_home(talks: Talks, name: str) -> None:
    for send in (
        lambda: talks.load(name),
        lambda: talks.delete(name),
        lambda: talks.add(TALK.named(name)),
        lambda: talks.rename(DEFAULT, name),
    ):
        with pytest.raises(StoreError, match="cannot be used"):
            send()


def test_other_files_are_no_talks(talks: Talks, tmp_path: Path) -> None:
    talks.add(TALK)
    for name in (".Short.json.1.tmp", "a.b.json", "_.json"):
        (tmp_path / "home/talks" / name).write_text("{}")
    os.mkfifo(tmp_path / "home/talks/pipe.json")
    assert talks.names == (DEFAULT, "pipe", "Short")
    with pytest.raises(StoreError, match="cannot be read"):  # and it does not wait for a writer
        talks.load("pipe")


def test_the_default_talk_shows_bundled_runs(tmp_path: Path) -> None:
    keys = [view.parameters["run"] for view in default_talk().views if "run" in view.parameters]
    assert keys and all((RECORDED / key).is_dir() for key in keys)
    check(default_talk())


def test_the_notes_of_the_default_talk_state_the_figures_of_its_runs(tmp_path: Path) -> None:
    records: dict[str, RunRecord] = {
        view.title: Store(tmp_path).find(view.parameters["run"]).record()
        for view in default_talk().views
        if "run" in view.parameters
    }
    notes = {view.title: view.notes for view in default_talk().views}
    half = records["What removing half costs"]
    assert half.dense and half.pruned
    figures = f"from {half.dense.perplexity:.2f} to {half.pruned.perplexity:.2f}"
    assert figures in notes["What removing half costs"]
    searched = records["How much of each block? A search decides"]
    assert f"{len(searched.search)} candidates" in notes["How much of each block? A search decides"]
    assert all(notes.values())

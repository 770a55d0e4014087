"""Preparing talks: choosing, creating, renaming, exporting, importing and deleting them, and their views."""

from __future__ import annotations

import json

import pytest

from engine.recipe import Recipe
from engine.store.default_talk import default_talk
from engine.store.runs import Store
from engine.store.talk import DEFAULT, Talk, View, to_file
from engine.store.talks import Talks
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

FIRST = View(title="First", page="learn", parameters={"lesson": "by_hand"}, notes="Say this.")
TALK = Talk(name="Ours", views=(FIRST, View(title="Second", page="methods")))


@pytest.fixture
def talks(engine, tmp_path):
    engine.store = Store(tmp_path / "home")
    return Talks(engine.store.home)


@pytest.fixture
def ours(talks, open_app):
    """The editor with a talk."""
    talks.add(TALK)
    return open_app("present")


def press(app, label):
    return healthy(next(button for button in app.button if button.label == label).click().run())


def expander_place(app):
    """The position of the part that creates and imports talks."""
    (place,) = (place for place, node in app.main.children.items() if node.type == "expander")
    return place


def test_the_default_talk_is_there_at_first(talks, open_app):
    app = open_app("present")
    assert "The text falls apart" in words(app)
    assert not app.button(key="present.start").disabled and app.button(key="present.usual").disabled


def test_views_are_moved_removed_and_added(talks, ours):
    healthy(ours.button(key="present.Later.0").click().run())
    assert [view.title for view in talks.load("Ours").views] == ["Second", "First"]
    healthy(ours.button(key="present.remove.0").click().run())
    assert [view.title for view in talks.load("Ours").views] == ["First"]
    press(ours, "Undo")
    assert [view.title for view in talks.load("Ours").views] == ["Second", "First"]
    ours.text_input(key="present.link").set_value("http://localhost:8501/compare?x=1")
    ours.text_input(key="present.title").set_value("Curves")
    ours.text_area(key="present.notes").set_value("Point at the cliff.")
    press(ours, "Add this view")
    added = View(title="Curves", page="compare", parameters={"x": "1"}, notes="Point at the cliff.")
    assert talks.load("Ours").views[-1] == added


def test_a_page_shown_in_this_tab_is_added_where_it_belongs(talks, engine, open_app):
    talks.add(TALK)
    run = Recipe.build()
    engine.views[run.key] = run_view(run, "finished")
    app = open_app(run=run.key, focus="depth")
    app.switch_page("pages/present.py")
    healthy(app.run())
    (page,) = app.selectbox(key="present.visited").options
    assert page == f"Explore · {run.title} · focus depth"
    app.selectbox(key="present.visited").set_value(page)
    app.number_input(key="present.place.3").set_value(1)
    press(app, "Add this view")
    added = View(title=page, page="explore", parameters={"run": run.key, "focus": "depth"})
    assert talks.load("Ours").views == (added, *TALK.views)
    assert page in words(app), "the list names the run, not its key"
    assert app.number_input(key="present.place.4").value == 4


def test_nothing_to_add_is_an_error(talks, ours):
    assert "Choose a page that this tab has shown" in words(press(ours, "Add this view"))
    assert talks.load("Ours") == TALK


def test_a_view_is_moved_to_a_position(talks, ours):
    healthy(ours.button(key="present.edit.1").click().run())
    ours.number_input(key="present.place.1.2").set_value(1)
    press(ours, "Save")
    assert [view.title for view in talks.load("Ours").views] == ["Second", "First"]


def test_title_notes_and_link_of_a_view_are_edited(talks, ours):
    healthy(ours.button(key="present.edit.0").click().run())
    assert ours.text_area(key="present.notes.0").value == "Say this."
    assert ours.text_input(key="present.link.0").value == "/learn?lesson=by_hand"
    ours.text_input(key="present.title.0").set_value("Renamed")
    ours.text_area(key="present.notes.0").set_value("Say that.")
    press(ours, "Save")
    assert talks.load("Ours").views[0] == FIRST.model_copy(update={"title": "Renamed", "notes": "Say that."})
    assert "Say that." in words(ours) and "present.notes.0" not in {area.key for area in ours.text_area}


def test_an_invalid_link_is_an_error_and_changes_nothing(talks, ours):
    ours.text_input(key="present.link").set_value("http://localhost:8501/nowhere")
    app = press(ours, "Add this view")
    assert "no page nowhere" in words(app) and talks.load("Ours") == TALK


@pytest.mark.parametrize(
    ("begins", "views"),
    [
        ("A copy of this talk", TALK.views),
        ("The default 10-minute talk", default_talk().views),
        ("No views", ()),
    ],
)
def test_a_new_talk(talks, ours, begins, views):
    ours.text_input(key="present.name").set_value("Another")
    ours.selectbox(key="present.begin").set_value(begins)
    press(ours, "Create")
    assert talks.load("Another").views == views and talks.load("Ours") == TALK
    assert ours.selectbox(key="present.talk").value == "Another"


@pytest.mark.parametrize("name", ["ours", "", "a/b"])
def test_a_new_talk_with_a_name_that_cannot_be_used(talks, ours, name):
    ours.text_input(key="present.name").set_value(name)
    app = press(ours, "Create")
    assert app.error and talks.names == (DEFAULT, "Ours") and talks.load("Ours") == TALK


def test_renaming(talks, ours):
    ours.text_input(key="present.rename.Ours").set_value("Theirs")
    press(ours, "Rename")
    assert talks.names == (DEFAULT, "Theirs") and ours.selectbox(key="present.talk").value == "Theirs"


def test_deleting_is_undone(talks, ours):
    healthy(ours.button(key="present.delete").click().run())
    assert talks.names == (DEFAULT,) and "“Ours” was deleted" in words(ours)
    press(ours, "Undo")
    assert talks.load("Ours") == TALK and ours.selectbox(key="present.talk").value == "Ours"


def test_the_default_talk_is_reset(talks, open_app):
    changed = default_talk().without(0)
    talks.save(changed)
    app = open_app("present")
    healthy(app.button(key="present.usual").click().run())
    assert talks.load(DEFAULT) == default_talk()
    press(app, "Undo")
    assert talks.load(DEFAULT) == changed


def test_an_exported_talk_is_imported_and_presented(talks, engine, ours):
    assert "Export" in {button.label for button in ours.get("download_button")}
    ours.file_uploader(key="present.file").upload("talk.json", to_file(TALK), "application/json")
    press(ours, "Import")
    assert to_file(talks.load("Ours 2")) == to_file(TALK.named("Ours 2"))
    assert ours.selectbox(key="present.talk").value == "Ours 2" and "Say this." in words(ours)
    ours.button(key="present.start").click().run()
    shown = engine.presentation("Ours 2")
    assert (shown.talk.views, shown.position, shown.windows) == (TALK.views, 0, 1)


def test_a_hostile_file_is_refused_and_its_texts_are_literal(talks, ours):
    bad = {"name": "![x](http://evil.example/x.png)", "views": [{"title": "a", "page": "[y](http://e)"}]}
    before = expander_place(ours.run())
    ours.file_uploader(key="present.file").upload("a.json", json.dumps(bad).encode(), "application/json")
    app = press(ours, "Import")
    assert "is not a talk" in words(app) and "[y]" not in words(app).replace("\\[", "")
    assert talks.names == (DEFAULT, "Ours")
    assert expander_place(app) == before, "elsewhere, Streamlit would close it"


def test_a_damaged_talk_is_an_error_message_and_can_be_deleted(talks, engine, open_app):
    talks.add(TALK)
    (engine.store.home / "talks/Ours.json").write_text("nonsense")
    app = open_app("present")
    assert "cannot be read" in words(app)
    healthy(app.button(key="present.delete").click().run())
    assert talks.names == (DEFAULT,)


def test_a_talk_is_chosen_in_the_address(talks, engine, open_app):
    talks.add(TALK)
    assert open_app("present", talk=DEFAULT).selectbox(key="present.talk").value == DEFAULT
    app = open_app("present", talk="![x](y)")
    assert "no talk “!\\[x\\](y)”" in words(app) and app.selectbox(key="present.talk").value == "Ours"


def test_a_talk_that_others_present_is_joined(talks, engine, ours):
    engine.start_talk("Ours", "", "another window", 1)
    app = healthy(ours.run())
    assert "view 2 of 2" in words(app) and app.button(key="present.start").label == "Join"
    app.button(key="present.start").click().run()
    assert engine.presentation("Ours").position == 1

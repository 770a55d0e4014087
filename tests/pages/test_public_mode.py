"""A public app's pages: they say what it is, keep working, and leave out what the engine refuses."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import streamlit as st

from engine import run as engine_run
from engine.errors import PublicModeError
from engine.jobs import messages, worker
from engine.jobs.execute import execute
from engine.jobs.questions import Answer
from engine.jobs.service import BackgroundEngine
from engine.models.known_files import SMOLLM2
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from pages.widgets import engine_handle, public_mode
from pages.widgets.recorder import record
from tests.jobs import imitation
from tests.pages.conftest import APP, healthy, words
from tests.pages.fakes import SUMMARY

OTHERS = pin(Recipe.build(samples=2, length=16, evaluation=None))


def _ask(self, function, *args, **named):
    return Answer(SUMMARY) if function is worker.summarise_model else Answer(pending=True)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """The real engine in public mode, without a worker, with a run that another visitor has started."""
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", "1")
    monkeypatch.setattr(engine_run, "run", imitation.run)
    monkeypatch.setattr(BackgroundEngine, "start", lambda self: None)
    monkeypatch.setattr(BackgroundEngine, "_ask", _ask)
    engine = BackgroundEngine(Store(tmp_path / "home"), visitor=lambda: public_mode.visitor() or "another")
    execute(OTHERS, engine.store.folder(OTHERS.key))
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: engine)
    return engine


def test_the_app_says_that_it_is_public(engine, open_app):
    shown = words(open_app())
    assert shown.count("Public app.") == 1 and "on your own machine" in shown
    assert "Public app" not in words(open_app(present="1")), "not in a talk"


@pytest.mark.parametrize("page", ["compare", "microscope", "generate", "learn", "methods"])
def test_pages_stay_usable(engine, open_app, page):
    app = open_app(page)
    assert not app.error and not app.warning


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "/etc/passwd"), ("model", "/etc"), ("model", "~nosuchuser"), ("model", "x" * 5_000),
        ("evaluation", "/etc/passwd.txt"), ("evaluation", "stories,/etc/passwd.txt"), ("evaluation", "c4"),
        ("calibration", "../../etc/hosts.txt"), ("tasks", "boolq"), ("model", SMOLLM2.name),
    ],
)  # fmt: skip
def test_an_address_gets_a_refusal_and_nothing_is_read(engine, open_app, monkeypatch, field, value):
    asked = []
    monkeypatch.setattr("engine.recipe.pin", asked.append)
    app = open_app(**{field: value})
    assert "public mode" in "\n".join(error.value for error in app.error)
    assert app.button(key="prune").disabled and not asked
    assert engine.active() == []


def test_a_sweep_of_files_is_refused_before_they_are_read(engine, open_app, monkeypatch):
    pinned = []
    monkeypatch.setattr(
        "engine.analysis.comparison.sweep.pin", lambda recipe: pinned.append(recipe) or recipe
    )
    app = open_app("compare", section="Sweep", model="/etc", evaluation="/etc/passwd.txt")
    assert {"/etc" in error.value and "public mode" in error.value for error in app.error} == {True}
    assert len(app.error) == 2 and not pinned


def test_prune_starts_a_run_that_the_visitor_may_cancel(engine, open_app):
    app = open_app()
    app = healthy(app.button(key="prune").click().run())
    (key,) = engine.active()
    assert not app.button(key="cancel").disabled
    healthy(app.button(key="cancel").click().run())
    assert engine.active() == [] and "The run that was started here" not in words(app)  # it never began
    assert engine.view(key).state == "finished"  # the bundled run of the same recipe stands in for it


def test_the_fifth_run_is_refused_with_a_sentence(engine, open_app):
    app = open_app()
    for seed in range(5):
        app.number_input(key="form.seed").set_value(seed)
        app = healthy(app.button(key="prune").click().run())
    assert len(engine.active()) == 4
    assert "4 runs running or waiting" in "\n".join(item.value for item in app.warning)


def test_runs_of_others_are_looked_at_only(engine, open_app):
    app = open_app("runs")
    app = healthy(app.selectbox(key="runs.one").set_value(OTHERS.key).run())
    names = {button.label for button in app.button}
    assert not names & {"Delete", "Delete them", "Pin", "Save", "Import", "Save model as a directory"}
    assert public_mode.NOT_YOURS in words(app) and "Importing runs is off" in words(app)
    assert "Masks (safetensors)" not in {button.label for button in app.get("download_button")}


def test_a_visitor_takes_the_masks_of_an_own_run(engine, open_app, monkeypatch):
    """Streamlit makes a file after the click in a thread that serves no session."""
    answer = messages.message(messages.own_or_recorded)(lambda self, key: b"masks")
    monkeypatch.setattr(BackgroundEngine, "masks", answer)
    app = open_app()
    app = healthy(app.button(key="prune").click().run())
    recipe = pin(Recipe.build())
    execute(recipe, engine.store.folder(recipe.key))
    engine._runs._forget(recipe.key)
    made = {}

    def take(label, data, *args, **named):
        made[label.split(" (")[0]] = data

    monkeypatch.setattr(st, "download_button", take)
    healthy(app.run())
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(made["Masks"]).result() == b"masks"
        with pytest.raises(PublicModeError, match="only for runs that you started"):
            thread.submit(engine.masks, recipe.key).result()


def test_what_is_drawn_for_a_handout_is_drawn_for_the_visitor(monkeypatch):
    monkeypatch.setattr(public_mode, "get_script_run_ctx", lambda **_: SimpleNamespace(session_id="ann"))
    asking = []
    make = public_mode.for_visitor(
        lambda: record(lambda: asking.append(public_mode.visitor()), {}, answered=False)
    )
    monkeypatch.undo()
    assert public_mode.visitor() == ""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(make).result()
    assert asking == ["ann"] and public_mode.visitor() == ""


def test_queued_runs_of_others_are_not_cancelled(engine, open_app):
    others = engine.submit(Recipe.build(seed=3))
    own = open_app()
    own = healthy(own.button(key="prune").click().run())
    own = healthy(own.switch_page("pages/runs.py").run())
    assert own.button(key=f"cancel.{others}").disabled
    healthy(own.button(key=f"cancel.{pin(Recipe.build()).key}").click().run())
    assert engine.active() == [others]


def test_the_talk_is_shown_but_not_changed(engine, open_app):
    app = open_app("present")
    assert not app.button(key="present.start").disabled
    assert app.button(key="present.remove.0").disabled and app.button(key="present.Later.0").disabled
    assert app.button(key="present.edit.0").disabled and "present.delete" not in {b.key for b in app.button}
    assert "Changing talks is off" in words(app)
    healthy(app.button(key="present.start").click().run())


def test_visitors_do_not_move_the_talks_of_others(engine, open_app):
    others = open_app(present="2")
    app = open_app(present="1")
    assert "**1 of 9**" in words(app) and "**2 of 9**" in words(others)
    # A visitor's notes are in a room of their own, too, which cannot be guessed.
    assert "**1 of 9**" in words(open_app("present", talk="Default talk", notes="1"))
    guessed = open_app("present", talk="Default talk", notes="1", room="guessed")
    assert "a room of your own" in words(guessed)


@pytest.mark.parametrize(
    ("address", "hosts", "expected"),
    [
        ("127.0.0.1", ["localhost", "127.0.0.1"], False),
        ("localhost", [], False),
        ("::1", ["::1"], False),
        ("0.0.0.0", ["localhost"], True),
        (None, ["localhost"], True),
        ("127.0.0.1", ["localhost", "demo.example.org"], True),  # behind a proxy
    ],
)
def test_an_app_that_others_reach_is_public(monkeypatch, address, hosts, expected):
    options = {"server.address": address, "server.allowedHosts": hosts}
    monkeypatch.setattr(public_mode.st, "get_option", options.__getitem__)
    assert (public_mode.policy() is not None) == expected
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", "0")
    assert public_mode.policy() is None


def test_pages_reach_the_store_through_messages_only():
    """Otherwise a page could do what the engine refuses."""
    pages = [APP, *APP.with_name("pages").rglob("*.py")]
    around = re.compile(r"engine\.store|(?<!engine\.)\b(import_run|save_text|Talks)\(")
    assert [
        f"{path.name}: {line.strip()}"
        for path in pages
        for line in path.read_text(encoding="utf-8").splitlines()
        if around.search(line) and not re.match(r"\s*(from|import) ", line)
    ] == []

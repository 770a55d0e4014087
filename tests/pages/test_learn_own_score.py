"""Lesson 9 on the page: the formula's field, its link, the race on the bundled model, and its repeats."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import PublicModeError
from engine.lessons import own_score_runs
from engine.pruning.formulas.reading import parse
from engine.recipe import Recipe, pin
from pages.widgets.formula_reference import EXAMPLES
from pages.widgets.learn.formula_field import FACTORS, FIRST
from pages.widgets.learn.score_race import IDEAS
from tests.pages.conftest import healthy, visit, words
from tests.pages.fakes import FakeEngine, run_view

TEXT = "abs(W) * a ** 0.8"
RECIPE = pin(own_score_runs.read(TEXT, 0.6))
ANSWERS = {"q.invent.b": "c", "q.invent.local": "c", "q.invent.race": "b", "q.invent.noise": "c"}


@pytest.fixture
def recorded(engine: FakeEngine) -> FakeEngine:
    """Return the engine with the bundled runs of the race at 60 %."""
    runs = (pin(recipe) for recipe in own_score_runs.published(0.6))
    engine.views |= {recipe.key: run_view(recipe, "finished", recorded=True) for recipe in runs}
    return engine


def open_at(step: str, **parameters: str) -> AppTest:
    return visit("learn", lesson="invent", step=step, **ANSWERS, **parameters)


def links(app: AppTest) -> dict[str, dict[str, str]]:
    return {link.proto.label: dict(parse_qsl(link.proto.query_string)) for link in app.get("page_link")}


def test_a_formula_is_typed_raced_on_the_layer_and_shared(engine):
    app = open_at("formula")
    field = app.text_input(key="formula")
    assert field.value == FIRST and "Output error at 50 %" in words(app)
    app = healthy(field.set_value("abs(W)*a").run())
    assert r"s_{ij} = \left| W_{ij} \right|" in app.latex[0].value
    assert "The same mask as that of Wanda." in words(app)
    assert open_at("race", formula="abs(W)*a").text_input(key="formula").value == "abs(W)*a"


def test_a_mistake_is_explained_while_the_rest_stays_usable(engine):
    app = healthy(open_at("formula").text_input(key="formula").set_value("abs(W) * A").run())
    assert [error.value for error in app.error] == [
        "The formula contains A, which is not known; the nearest name is a."
    ]
    assert not app.latex and "Output error at" not in words(app)
    assert all(button.disabled for button in app.button if button.key.startswith("invent.times"))
    app = healthy(app.button(key="invent.from.RIA").click().run())
    assert not app.error and app.text_input(key="formula").value == EXAMPLES["RIA"]


def test_a_click_multiplies_the_formula(engine):
    app = open_at("formula", formula="abs(W) + a")
    app = healthy(app.button(key="invent.times.b").click().run())
    assert app.text_input(key="formula").value == "(abs(W) + a) * b"
    app = healthy(app.button(key="invent.times.a").click().run())
    assert app.text_input(key="formula").value == "(abs(W) + a) * b * a"


def test_all_formulas_that_are_offered_are_accepted():
    offered = [*EXAMPLES.values(), *IDEAS, FIRST, *(f"abs(W) * {factor}" for factor in FACTORS)]
    assert all(parse(formula).text for formula in offered)


@pytest.mark.parametrize("step", ["formula", "local", "race", "noise"])
@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("![x](https://example.org/x.png)", "contains the character"),
        ("__import__('os').system('true')", "contains the character"),
        ("W" * 5000, "at most 400 are allowed"),
    ],
)
def test_a_hostile_link_gives_a_sentence_and_no_run(recorded, step, formula, said):
    app = open_at(step, formula=formula)
    assert len(app.error) == 1 and said in app.error[0].value and "![" not in app.error[0].value
    assert not any(button.key in ("invent.start", "invent.repeat") for button in app.button)
    app = healthy(app.text_input(key="formula").set_value("").run())
    assert "is empty" in app.error[0].value


def test_a_formula_that_fails_on_the_layer_is_an_error_message(engine):
    app = open_at("formula", formula="abs(W) / max(W - 0.1, 0)")
    assert "is not finite for" in app.error[0].value
    app = open_at("local", formula="abs(W) / max(W - 0.1, 0)")
    assert "is not finite for" in app.error[0].value


def test_other_layers_are_counted(engine):
    app = open_at("local", formula="abs(W) * a")
    assert {metric.label: metric.value for metric in app.metric} == {
        "Better than Wanda": "0",
        "The same mask": "50",
        "Worse than Wanda": "0",
    }


def test_the_race_prunes_the_bundled_model_and_ends_among_the_recorded_runs(recorded):
    app = open_at("race", formula=TEXT)
    assert "Leaderboard at 60 %" in words(app)
    assert links(app)["This recipe on Explore"]["formula.expression"] == TEXT
    healthy(app.button(key="invent.start").click().run())
    assert recorded.submitted == [RECIPE]
    assert app.button(key="invent.start").disabled
    assert "Block 4 of 8" in app.get("progress")[0].proto.text
    recorded.views[RECIPE.key] = run_view(RECIPE, "finished")
    app = open_at("race", formula=TEXT)
    assert not app.get("progress") and app.button(key="invent.start").disabled
    assert links(app)["This run on Explore"] == {"run": RECIPE.key}


def test_the_race_waits_for_the_answer(recorded):
    app = visit("learn", lesson="invent", step="race", formula=TEXT)
    assert app.button(key="invent.start").disabled
    assert not app.get("page_link")


@pytest.mark.parametrize(
    ("state", "sentence"), [("failed", "The Hessian of block 3"), ("cancelled", "was cancelled")]
)
def test_a_race_that_ended_early_says_why_and_can_be_repeated(recorded, state, sentence):
    recorded.views[RECIPE.key] = run_view(RECIPE, state)
    app = open_at("race", formula=TEXT)
    assert sentence in app.error[0].value
    assert not app.button(key="invent.start").disabled


def test_a_refused_run_says_why(recorded, monkeypatch):
    sentence = "You have 4 runs running or waiting, which is the most in public mode."

    def refuse(recipe: Recipe) -> str:
        raise PublicModeError(sentence, kind="queue")

    monkeypatch.setattr(recorded, "submit", refuse)
    app = healthy(open_at("race", formula=TEXT).button(key="invent.start").click().run())
    assert [error.value for error in app.error] == [sentence]


def test_an_idea_fills_the_field(recorded):
    app = healthy(open_at("race").button(key="invent.idea.1").click().run())
    assert app.text_input(key="formula").value == list(IDEAS)[1]


def test_the_race_is_repeated_with_what_is_missing(recorded):
    recorded.views[RECIPE.key] = run_view(RECIPE, "finished")
    app = open_at("noise", formula=TEXT)
    assert {metric.label: metric.value for metric in app.metric} == {
        "Yours minus Wanda's": "0.00",
        "Moved by the conditions": "not measured",
    }
    healthy(app.button(key="invent.repeat").click().run())
    wanted = [one for pair in own_score_runs.repeated(RECIPE).values() for one in pair][2:]
    assert recorded.submitted == [pin(recipe) for recipe in wanted]
    assert len(app.get("progress")) == 4
    recorded.views |= {recipe.key: run_view(recipe, "finished") for recipe in recorded.submitted}
    app = open_at("noise", formula=TEXT)
    assert app.button(key="invent.repeat").disabled
    assert "the same perplexity under all conditions" in words(app)


def test_other_pages_lead_to_the_lesson(engine):
    app = visit("explore", pruner="formula", **{"formula.expression": TEXT})
    assert links(app)["Lesson: invent a score"] == {"lesson": "invent", "step": "formula", "formula": TEXT}
    assert any(target == {"lesson": "invent"} for target in links(visit("methods")).values())


def test_a_formula_in_a_link_is_refused_rather_than_cut(engine):
    accepted, long = "abs(W)" + "      * 1.5" * 50, "abs(W)" + " * a" * 200
    app = open_at("formula", formula=accepted)
    assert not app.error and app.text_input(key="formula").value == accepted
    app = open_at("formula", formula=long)
    assert app.text_input(key="formula").value == long
    assert ["406 characters, but at most 400 are allowed" in error.value for error in app.error] == [True]

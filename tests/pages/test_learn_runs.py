"""Lessons 5 to 8 on the page: what waits for an answer, what recorded runs add, the race in its states, the
replay of a search.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import EngineError
from engine.lessons import zeros
from engine.lessons.allocation import AUTOMATIC, guess, own_recipe, recorded_recipe
from engine.lessons.zeros import Product
from engine.recipe import Recipe, pin
from pages.widgets.learn.lessons import LESSONS, explosion
from pages.widgets.learn.lessons.allocation import SPARSITIES
from tests.pages.conftest import APP, address, healthy, words
from tests.pages.fakes import FakeEngine, run_view

MINE = [lesson for lesson in LESSONS if lesson.name in ("allocation", "symmetric", "swapping", "explosion")]
QUESTIONS = {
    ("allocation", "guess"): ("spared", "off by"),
    ("allocation", "search"): ("turn", "objective over strength"),
    ("allocation", "opinions"): ("better", "recorded runs"),
    ("symmetric", "rows"): ("rows", "What Magnitude removes"),
    ("symmetric", "sides"): ("output", "Scores with β"),
    ("symmetric", "shares"): ("shares", "What RIA removes"),
    ("symmetric", "model"): ("model", "Neurons cut off in the bundled model"),
    ("swapping", "swaps"): ("real", "Expected and real error"),
    ("swapping", "many"): ("many", "expected and real error"),
    ("swapping", "relative"): ("model", "What it changes"),
    ("explosion", "loss"): ("one", "It becomes"),
    ("explosion", "layers"): ("layers", "Error behind each"),
    ("explosion", "cliff"): ("cliff", "Recorded runs of the bundled model"),
    ("explosion", "bytes"): ("bytes", "Bytes of a 1,024"),
    ("explosion", "time"): ("time", "measured here and now"),
}
"""Each step that asks: the question, and words that would give its answer away."""
NEEDS_RUNS = {
    ("allocation", "guess"),
    ("allocation", "search"),
    ("allocation", "opinions"),
    ("swapping", "relative"),
    ("explosion", "cliff"),
}
OWN = pin(own_recipe(guess(0.15, 0.0, [100] * 8, 0.7), 0.7))
PRUNERS = ("magnitude", "wanda", "sparsegpt", "ria", "symwanda", "wanda-dsnot", "ria-r2-dsnot")


@pytest.fixture(autouse=True)
def no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is timed in a test."""
    explosion._timings.clear()
    found = tuple(
        Product(kernel, share, 2e-3, 2e-3, 2e-3, 3) for share in (0.0, 0.9) for kernel in ("dense", "csr")
    )
    monkeypatch.setattr(zeros, "timings", lambda: found)


@pytest.fixture
def recorded(engine: FakeEngine) -> FakeEngine:
    """The engine with all recorded runs that the lessons show."""
    recipes = [
        Recipe.build(pruner=pruner, sparsity=share / 10) for pruner in PRUNERS for share in range(1, 10)
    ]
    recipes += [
        recorded_recipe(name, int(text.split()[0]) / 100) for name in AUTOMATIC for text in SPARSITIES
    ]
    for recipe in map(pin, recipes):
        engine.views[recipe.key] = run_view(recipe, "finished", recorded=True)
    return engine


@pytest.fixture
def open_at(engine: FakeEngine) -> Callable[..., AppTest]:
    """Opens a step of a lesson."""

    def open_(lesson: str, step: str, **parameters: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=30).switch_page("pages/learn.py")
        for name, value in {"lesson": lesson, "step": step, **parameters}.items():
            app.query_params[name.replace("__", ".")] = value
        return healthy(app.run())

    return open_


def test_every_step_but_the_race_and_the_first_swap_asks_in_this_table():
    steps = {(lesson.name, step.name) for lesson in MINE for step in lesson.steps}
    assert steps - set(QUESTIONS) == {("allocation", "race"), ("swapping", "expected")}


@pytest.mark.parametrize("place", QUESTIONS, ids="-".join)
def test_a_question_keeps_its_answer_until_there_is_a_choice(recorded, open_at, place):
    question, revealed = QUESTIONS[place]
    app = open_at(*place)
    radio = app.radio(key=f"q.{place[0]}.{question}")
    assert radio.value is None and revealed not in _all(app)
    healthy(radio.set_value(0).run())
    assert revealed in _all(app)
    assert address(app)[f"q.{place[0]}.{question}"] == "a"


def _all(app: AppTest) -> str:
    return words(app) + "\n".join(metric.label for metric in app.metric)


@pytest.mark.parametrize("place", sorted(NEEDS_RUNS), ids="-".join)
def test_without_recorded_runs_a_sentence_says_so(open_at, place):
    app = open_at(*place, **{f"q.{place[0]}.{QUESTIONS[place][0]}": "a"})
    assert sum("come with the project" in item.value for item in app.info) == 1


@pytest.mark.parametrize("lesson", MINE, ids=lambda lesson: lesson.name)
def test_all_controls_are_locked(recorded, open_at, lesson):
    for step in lesson.steps:
        question = QUESTIONS.get((lesson.name, step.name), ("first", ""))[0]
        app = open_at(lesson.name, step.name, lock="1", **{f"q.{lesson.name}.{question}": "a"})
        controls = [
            *app.slider,
            *app.toggle,
            *(each for each in app.segmented_control if not each.key.startswith("learn.")),
        ]
        buttons = [button for button in app.button if button.key.startswith(f"{lesson.name}.")]
        assert all(control.disabled for control in [*controls, *buttons])
        assert not any(radio.disabled for radio in app.radio)


def test_a_guess_in_the_address_is_compared(recorded, open_at):
    app = open_at("allocation", "guess", allocation__slope="10", q__allocation__spared="a")
    assert app.slider(key="allocation.slope").value == 10
    assert app.metric[0].value.endswith("points")
    before = app.metric[0].value
    assert healthy(app.slider(key="allocation.slope").set_value(-20).run()).metric[0].value != before


@pytest.mark.parametrize(
    "parameters",
    [{"allocation__slope": "99"}, {"allocation__slope": "steep"}, {"allocation__sparsity": "71"}],
)
def test_a_guess_that_the_address_gets_wrong_has_a_value_of_its_range(recorded, open_at, parameters):
    app = open_at("allocation", "guess", **parameters)
    assert -25 <= app.slider(key="allocation.slope").value <= 25
    assert app.segmented_control(key="allocation.sparsity").value in SPARSITIES


def test_the_search_is_replayed_from_its_first_moment(recorded, open_at):
    app = open_at("allocation", "search", q__allocation__turn="a")
    moment = app.slider(key="allocation.moment")
    assert moment.value == moment.max and "sparsity shared out" in words(app)
    healthy(moment.set_value(1).run())
    assert "uniform candidate" in words(app)
    healthy(app.button(key="allocation.play").click().run())
    assert app.button(key="allocation.play").label == "Stop"
    healthy(app.run())
    healthy(app.button(key="allocation.play").click().run())
    stopped = app.slider(key="allocation.moment").value
    assert 1 < stopped < moment.max
    healthy(app.run())
    assert app.slider(key="allocation.moment").value == stopped


def test_playing_from_the_end_begins_anew(recorded, open_at):
    app = open_at("allocation", "search", q__allocation__turn="a")
    healthy(app.button(key="allocation.play").click().run())
    assert app.slider(key="allocation.moment").value <= 2


def race(open_at: Callable[..., AppTest], **parameters: str) -> AppTest:
    return open_at("allocation", "race", allocation__slope="15", **parameters)


def test_the_race_waits_for_an_answer_and_then_prunes(recorded, open_at):
    app = race(open_at)
    assert app.button(key="allocation.start").disabled
    healthy(app.radio(key="q.allocation.race").set_value(2).run())
    healthy(app.button(key="allocation.start").click().run())
    assert recorded.submitted == [OWN]
    assert app.button(key="allocation.start").disabled
    assert "Block 4 of 8" in app.get("progress")[0].proto.text


def test_the_end_of_the_race(recorded, open_at):
    recorded.views[OWN.key] = run_view(OWN, "finished")
    app = race(open_at, q__allocation__race="c")
    assert "The race at 70 %" in words(app)
    assert app.button(key="allocation.start").disabled


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("failed", "The Hessian of block 3"), ("interrupted", "was killed"), ("cancelled", "was cancelled")],
)
def test_a_race_that_ended_early_says_why_and_can_be_run_again(recorded, open_at, state, sentence):
    recorded.views[OWN.key] = run_view(OWN, state)
    app = race(open_at, q__allocation__race="c")
    assert sentence in app.error[0].value
    assert not app.button(key="allocation.start").disabled


def test_an_engine_that_refuses_says_so(recorded, open_at, monkeypatch):
    def refuse(recipe: Recipe) -> str:
        raise EngineError("The background engine was closed. Restart the app.")

    monkeypatch.setattr(recorded, "submit", refuse)
    app = healthy(race(open_at, q__allocation__race="c").button(key="allocation.start").click().run())
    assert [error.value for error in app.error] == ["The background engine was closed. Restart the app."]


def test_swaps_are_made_one_by_one(open_at):
    app = open_at("swapping", "swaps")
    assert [metric.label for metric in app.metric] == ["Expected error e"]
    before = app.metric[0].value
    healthy(app.slider(key="swapping.swaps").set_value(2).run())
    assert app.metric[0].value != before


def test_a_spoilt_token_moves_the_perplexity_once_the_question_is_answered(open_at):
    app = open_at("explosion", "loss", explosion__spoilt="1")
    assert not app.metric
    healthy(app.radio(key="q.explosion.one").set_value(1).run())
    assert [metric.value for metric in app.metric] == ["1.34 nats", "3.83"]


def test_times_can_be_measured_again(open_at, monkeypatch):
    app = open_at("explosion", "time", q__explosion__time="c")
    assert "× 1.00 of its time" in words(app)
    slower = tuple(
        Product(kernel, share, 2e-3 * (1 + share), 2e-3, 3e-3, 3)
        for share in (0.0, 0.9)
        for kernel in ("dense", "csr")
    )
    monkeypatch.setattr(zeros, "timings", lambda: slower)
    assert "× 1.00 of its time" in words(healthy(app.run()))
    assert "× 1.90 of its time" in words(healthy(app.button(key="explosion.again").click().run()))

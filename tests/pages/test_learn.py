"""The Learn page: its list, each step of each lesson, questions that hide their answer, locks, and invalid
addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import ModelError
from engine.lessons import outlier_feature
from engine.lessons.layer import Layer
from engine.lessons.outlier_feature import Inputs
from pages.widgets.learn.lessons import LESSONS
from pages.widgets.learn.lessons import outlier_feature as outlier_page
from tests.pages.conftest import address, healthy, visit, words
from tests.pages.lesson_summary import expect_summary

QUESTIONS = {
    ("by_hand", "inputs"): ("by_hand.cost", "when only this weight is removed"),
    ("by_hand", "scores"): ("by_hand.best", "four ways to choose"),
    ("by_hand", "leaderboard"): ("by_hand.beat", "Leaderboard with 8 of 64"),
    ("outlier", "strength"): ("outlier.mask", "Weights removed by Wanda"),
    ("outlier", "error"): ("outlier.error", "Output error at 50 %"),
    ("outlier", "model"): ("outlier.model", "Wanda's gain over magnitude"),
    ("groups", "row"): ("groups.row", "Weights removed within"),
    ("groups", "neighbours"): ("groups.neighbours", "Weights removed by 2:4"),
    ("groups", "price"): ("groups.price", "Score kept"),
    ("survivors", "pair"): ("survivors.pair", "Updated: the other weight"),
    ("survivors", "columns"): ("survivors.last", "After column 8 of 8"),
    ("survivors", "joint"): ("survivors.joint", "three weight updates"),
    ("survivors", "fresh"): ("survivors.fresh", "Output error on new text"),
}
"""Each step with a question: its name, and a chart title that would give the answer away."""
ANSWERABLE_WITH = {
    ("by_hand", "leaderboard"): {"by_hand__removed": "ff"},
    ("survivors", "columns"): {"survivors__columns": "8"},
}
LESSONS_WITH_QUESTIONS = [lesson for lesson in LESSONS if lesson.name in {name for name, _ in QUESTIONS}]
STEPS = [(lesson, step) for lesson in LESSONS_WITH_QUESTIONS for step in lesson.steps]
INPUTS = tuple(
    Inputs(block, linear, (1.0, 2.0, 8.0), {"magnitude": 0.2, "wanda": 0.15})
    for block in range(2)
    for linear in ("self_attn.q_proj", "mlp.up_proj")
)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide the inputs of the bundled model, which the lesson would measure in a thread."""
    outlier_page.inputs_of_model.clear()
    monkeypatch.setattr(outlier_feature, "inputs_of_model", lambda: INPUTS)
    clear = outlier_page.inputs_of_model.clear
    yield
    clear()


@pytest.fixture
def open_at(engine) -> Callable[..., AppTest]:
    """Return a function that opens the page with query parameters."""

    def open_(**parameters: str) -> AppTest:
        app = visit("learn", **{name.replace("__", "."): value for name, value in parameters.items()})
        if parameters.get("lesson") == "outlier":
            outlier_page.inputs_of_model().result(10)
            healthy(app.run())
        return app

    return open_


def test_the_list_has_every_lesson_with_its_question(open_at):
    app = open_at()
    text = words(app)
    assert app.title[0].value == "Learn"
    assert all(lesson.question in text and f"{lesson.minutes} minutes" in text for lesson in LESSONS)
    assert [button.label for button in app.button] == ["Teach a class", *(lesson.title for lesson in LESSONS)]
    assert not any(button.disabled for button in app.button)


def test_the_list_preloads_the_chart_library(open_at):
    assert len(open_at().get("plotly_chart")) == 1


def test_a_card_opens_its_lesson_and_all_lessons_leads_back(open_at):
    app = open_at(lock="1")
    healthy(app.button(key="learn.open.groups").click().run())
    assert app.title[0].value == "Comparison groups"
    assert address(app) == {"lesson": "groups", "lock": "1"}
    healthy(app.radio(key="q.groups.row").set_value(1).run())
    healthy(app.button(key="learn.open.list").click().run())
    assert app.title[0].value == "Learn" and address(app) == {"lock": "1"}


def test_the_last_step_leads_to_the_next_lesson_with_a_clean_address(open_at):
    app = open_at(lesson="by_hand", step="leaderboard", by_hand__removed="ff", q__by_hand__beat="c")
    healthy(app.button(key="learn.open.outlier").click().run())
    assert app.title[0].value == "One outlier feature"
    assert address(app) == {"lesson": "outlier"}


@pytest.mark.parametrize("lesson", LESSONS_WITH_QUESTIONS, ids=lambda lesson: lesson.name)
def test_an_answered_lesson_ends_with_a_summary_and_links(open_at, lesson):
    app = open_at(lesson=lesson.name, step=lesson.steps[-1].name)
    assert "**What to remember**" not in words(app)
    expect_summary(healthy(app.radio[0].set_value(0).run()))


@pytest.mark.parametrize(
    ("lesson", "step"), STEPS, ids=[f"{lesson.name}-{step.name}" for lesson, step in STEPS]
)
def test_a_step_opens_and_its_question_hides_the_answer_until_the_user_chooses(open_at, lesson, step):
    place = lesson.name, step.name
    app = open_at(lesson=lesson.name, step=step.name, **ANSWERABLE_WITH.get(place, {}))
    assert app.title[0].value == lesson.title
    assert [item.value for item in app.header] == [step.title]
    assert not app.warning
    assert f"Step {lesson.steps.index(step) + 1} of {len(lesson.steps)}" in words(app)
    if place in QUESTIONS:
        expect_hidden_answer(app, *QUESTIONS[place])


@pytest.mark.parametrize(
    "step", ["by_hand.scores", "outlier.error", "groups.row", "groups.price", "survivors.pair"]
)
def test_what_a_step_shows_is_computed_once_for_all_who_open_it(open_at, monkeypatch, step):
    """In a class, thirty pages draw it again when its answer is revealed."""
    name, _, at = step.partition(".")
    address = {"lesson": name, "step": at, f"q.{QUESTIONS[name, at][0]}".replace(".", "__"): "a"}
    open_at(**address)
    computed = []
    for work in ("prune", "updated"):
        monkeypatch.setattr(Layer, work, lambda *values, work=work, **named: computed.append(work))
    open_at(**address)
    assert not computed


def test_every_listed_question_belongs_to_a_step():
    assert QUESTIONS.keys() <= {(lesson.name, step.name) for lesson, step in STEPS}


def expect_hidden_answer(app: AppTest, question: str, revealed: str) -> None:
    radio = app.radio(key=f"q.{question}")
    assert radio.value is None
    assert not app.success and "Not quite" not in words(app) and revealed not in words(app)
    healthy(radio.set_value(0).run())
    assert bool(app.success) != ("Not quite" in words(app))
    assert revealed in words(app)
    assert address(app)[f"q.{question}"] == "a"


def test_an_answer_in_the_address_is_shown(open_at):
    assert open_at(lesson="outlier", step="strength", q__outlier__mask="b").success
    assert (
        "Not quite: Wanda's."
        in open_at(lesson="outlier", step="strength", q__outlier__mask="a").info[0].value
    )
    assert not open_at(lesson="outlier", step="strength", q__outlier__mask="zz").success


def test_next_and_back_write_the_address(open_at):
    app = open_at(lesson="by_hand")
    assert app.button(key="learn.back").disabled
    healthy(app.button(key="learn.next").click().run())
    assert address(app) == {"lesson": "by_hand", "step": "inputs"}
    assert app.header[0].value == "The inputs"
    healthy(app.button(key="learn.back").click().run())
    assert address(app)["step"] == "hand"


def test_a_click_on_a_step_opens_it(open_at):
    app = open_at(lesson="groups")
    healthy(app.segmented_control(key="learn.steps.groups").set_value(2).run())
    assert address(app)["step"] == "price"
    assert app.header[0].value == "The price of structure"


@pytest.mark.parametrize(
    ("parameters", "warning"),
    [
        ({"lesson": "nothing"}, "There is no lesson"),
        ({"lesson": "groups", "step": "nothing"}, "row, neighbours, price"),
        ({"lesson": "by_hand", "by_hand__removed": "xyz"}, "not a mask of 64 weights"),
        ({"lesson": "by_hand", "by_hand__removed": "1" + 16 * "0"}, "not a mask of 64 weights"),
        ({"lesson": "by_hand", "by_hand__removed": "-1"}, "not a mask of 64 weights"),
    ],
)
def test_an_invalid_address_draws_a_warning(open_at, parameters, warning):
    app = open_at(**parameters)
    assert warning in app.warning[0].value


@pytest.mark.parametrize("value", ["loud", "-4", "1e9", "nan"])
def test_an_invalid_value_in_the_address_becomes_one_in_range(open_at, value):
    app = open_at(lesson="outlier", step="strength", outlier__strength=value)
    assert 1 <= app.slider(key="outlier.strength").value <= 32


def test_a_weight_is_removed_and_restored(open_at):
    app = open_at(lesson="by_hand")
    assert [item.value for item in app.metric] == ["0 of 64", "0.0 %"]
    healthy(app.button(key="by_hand.removed.9").click().run())
    assert address(app)["by_hand.removed"] == "200"
    assert app.metric[0].value == "1 of 64" and app.metric[1].value != "0.0 %"
    assert "~~" in app.button(key="by_hand.removed.9").label
    healthy(app.button(key="by_hand.removed.9").click().run())
    assert [item.value for item in app.metric] == ["0 of 64", "0.0 %"]


def test_the_leaderboard_uses_the_mask_of_the_first_step(open_at):
    app = open_at(lesson="by_hand", by_hand__removed="ff")
    for _ in range(3):
        healthy(app.button(key="learn.next").click().run())
    assert app.metric[0].value == "8 of 64"
    healthy(app.button(key="by_hand.all").click().run())
    assert app.metric[0].value == "0 of 64"
    assert "First remove some weights" in words(app)


def test_a_teacher_locks_the_controls_but_not_the_questions(open_at):
    app = open_at(lesson="outlier", step="strength", lock="1", outlier__strength="7")
    assert "A teacher has locked" in words(app)
    assert app.slider(key="outlier.strength").disabled and app.slider(key="outlier.strength").value == 7
    assert not app.radio[0].disabled and not app.button(key="learn.next").disabled
    healthy(app.button(key="learn.next").click().run())
    assert address(app)["lock"] == "1"


def test_a_teacher_locks_the_navigation_too(open_at):
    app = open_at(lesson="by_hand", step="inputs", lock="all")
    assert app.button(key="learn.next").disabled and app.button(key="learn.back").disabled
    assert app.segmented_control(key="learn.steps.by_hand").disabled
    assert app.button(key="learn.open.list").disabled


def test_every_weight_is_locked(open_at):
    app = open_at(lesson="by_hand", lock="1")
    assert all(button.disabled for button in app.button if button.key.startswith("by_hand."))


def test_a_model_that_cannot_be_read_is_an_error_message(open_at, monkeypatch):
    def fail() -> None:
        raise ModelError("The bundled model is not there.", kind="missing")

    monkeypatch.setattr(outlier_feature, "inputs_of_model", fail)
    outlier_page.inputs_of_model.clear()
    with pytest.raises(ModelError):
        outlier_page.inputs_of_model().result(10)
    app = visit("learn", lesson="outlier", step="model")
    assert "The bundled model is not there." in app.error[0].value
    monkeypatch.setattr(outlier_feature, "inputs_of_model", lambda: INPUTS)
    healthy(app.button(key="outlier.again").click().run())
    outlier_page.inputs_of_model().result(10)
    healthy(app.run())
    assert not app.error and app.radio


def test_the_page_says_that_the_model_is_being_read(open_at, monkeypatch):
    pending: Future[tuple[Inputs, ...]] = Future()
    monkeypatch.setattr(outlier_page, "inputs_of_model", lambda: pending)
    app = visit("learn", lesson="outlier", step="model")
    assert "is reading 8 windows" in words(app) and not app.radio

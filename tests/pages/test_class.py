"""A class on the Learn page: students answer, the teacher opens, reveals and clears, and each sees only what
is theirs.
"""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from engine.lessons import classroom
from engine.lessons.classroom import Tally
from pages.widgets import public_mode
from pages.widgets.learn.classroom import teacher as teacher_page
from tests.pages.conftest import address, healthy, visit, words
from tests.pages.fakes import FakeEngine

QUESTION, CHART = "groups.row", "Answers of the class"
AT = {"lesson": "groups", "step": "row"}


class Class:
    """A class with one teacher; every student is a session of their own."""

    def __init__(self, engine: FakeEngine, guided: bool) -> None:
        self.engine = engine
        engine.who = "teacher"
        self.code = engine.create_class("Prune", guided)

    def act(self, app: AppTest, who: str) -> AppTest:
        self.engine.who = who
        return healthy(app.run())

    def student(self, who: str, **parameters: str) -> AppTest:
        self.engine.who = who
        return visit("learn", **{"class": "prune", **AT, **parameters})

    def teacher(self, **parameters: str) -> AppTest:
        self.engine.who = "teacher"
        return visit("learn", **{"class": "prune", "teacher": "1", **parameters})

    @property
    def tally(self) -> Tally:
        self.engine.who = "teacher"
        return self.engine.attend_class("prune").tallies.get(QUESTION, Tally())


@pytest.fixture
def guided(engine: FakeEngine) -> Class:
    made = Class(engine, True)
    engine.set_steps("prune", [QUESTION], True)
    return made


@pytest.fixture
def self_paced(engine: FakeEngine) -> Class:
    return Class(engine, False)


def line(app: AppTest) -> str:
    """The line about the class, which the browser draws; empty if there is none."""
    drawn = [item.proto for item in app.get("bidi_component") if item.proto.id.endswith("class.line")]
    return str(json.loads(drawn[0].json)["text"]) if drawn else ""


def choose(room: Class, app: AppTest, who: str, choice: int) -> AppTest:
    room.engine.who = who
    return healthy(app.radio[0].set_value(choice).run())


def test_an_answer_is_counted_once_and_explained_when_the_teacher_reveals_it(guided):
    app = guided.student("ann")
    assert line(app) == "Class Prune: 0 answers so far" and app.radio[0].value is None
    app = choose(guided, app, "ann", 0)
    app = guided.act(app, "ann")
    assert guided.tally == Tally(before=(1,))
    assert "1 answer so far" in line(app) and "Your answer is counted" in words(app)
    assert "Not quite" not in words(app) and CHART not in words(app)
    assert f"q.{QUESTION}" not in address(app), "a link must not carry answers into other tabs"
    app = choose(guided, app, "ann", 2)
    assert guided.tally == Tally(before=(0, 0, 1))
    guided.engine.reveal_answer("prune", QUESTION)
    app = guided.act(app, "ann")
    assert "Not quite: It loses all" in app.info[0].value
    choose(guided, app, "ann", 1)
    assert guided.tally == Tally(before=(0, 0, 1), after=(0, 1))


def test_who_has_not_answered_sees_the_explanation_after_the_reveal(guided):
    guided.engine.reveal_answer("prune", QUESTION)
    app = guided.student("ann")
    assert app.info[0].value.startswith("**It loses all of its weights.**")
    assert "Weights removed within" in words(app)


def test_at_its_own_pace_each_student_sees_the_explanation_after_the_answer(self_paced):
    app = choose(self_paced, self_paced.student("ann"), "ann", 1)
    assert app.success and self_paced.tally == Tally(before=(0, 1))
    choose(self_paced, app, "ann", 0)
    assert self_paced.tally == Tally(before=(0, 1), after=(1,))


def test_an_answer_survives_a_look_at_another_step(self_paced):
    app = choose(self_paced, self_paced.student("ann"), "ann", 1)
    for button in ("learn.next", "learn.back"):
        app = healthy(app.button(key=button).click().run())
    assert app.radio[0].value == 1 and self_paced.tally == Tally(before=(0, 1))


def test_an_answer_in_the_address_is_not_counted(self_paced):
    app = self_paced.student("ann", **{f"q.{QUESTION}": "b"})
    assert app.radio[0].value is None and self_paced.tally == Tally()


def test_a_locked_step_opens_for_all(guided):
    app = guided.student("ann", step="price")
    assert "has not opened this step yet" in app.info[0].value and not app.radio
    assert not app.button(key="learn.back").disabled
    teacher = guided.teacher(lesson="groups", step="price")
    assert teacher.radio and not teacher.toggle(key="class.open.groups.price").value
    healthy(teacher.toggle(key="class.open.groups.price").set_value(True).run())
    app = guided.act(app, "ann")
    assert app.radio and not app.info


def test_the_teacher_sees_the_distribution_and_reveals(guided):
    for who, choice in (("ann", 1), ("bob", 1), ("cid", 0)):
        guided.engine.who = who
        guided.engine.answer_question("prune", QUESTION, choice)
    app = guided.teacher(**AT)
    assert CHART in words(app) and "3 answers." in words(app) and "3 students present" in line(app)
    assert "Weights removed within" not in words(app)
    app = healthy(app.radio[0].set_value(0).run())
    assert guided.tally == Tally(before=(1, 2)), "the teacher's own choice is not counted"
    app = healthy(app.button(key=f"class.reveal.{QUESTION}").click().run())
    assert "check mark" in words(app) and "Weights removed within" in words(app)
    assert app.button(key=f"class.reveal.{QUESTION}").disabled
    app = healthy(app.toggle(key="class.show").set_value(False).run())
    assert CHART not in words(app)
    app = healthy(app.button(key="learn.next").click().run())
    assert not app.toggle(key="class.show").value, "it holds for all steps"


def test_a_class_is_created_and_its_code_shown_once(engine):
    app = visit("learn")
    app = healthy(app.button(key="class.teach").click().run())
    app.text_input(key=teacher_page.NAME).set_value(" Prune-2026 ")
    app = healthy(_submit(app).click().run())
    assert address(app) == {"class": "Prune-2026", "teacher": "1"}
    code = app.code[0].value
    assert len(code) == 14 and "0 students present" in line(app)
    app = healthy(app.button(key="class.noted").click().run())
    assert code not in words(app) and "?class=Prune-2026" in app.code[0].value
    engine.who = "another"
    assert not engine.find_class("prune-2026").teaches
    assert engine.enter_class("prune-2026", code).teaches


def test_a_class_can_be_created_on_a_step(engine):
    app = visit("learn", **{"class": "Prune", "teacher": "1", **AT})
    app = healthy(_submit(app).click().run())
    assert len(app.code[0].value) == 14 and CHART in words(app)


def test_the_code_lets_another_tab_teach(guided):
    guided.engine.who = "other"
    app = visit("learn", **{"class": "Prune", "teacher": "1"})
    for code, warnings in (("wrong", 1), (guided.code.lower(), 0)):
        app.text_input(key=teacher_page.ENTERED).set_value(code)
        app = healthy(_submit(app).click().run())
        assert len(app.warning) == warnings
    assert "students present" in line(app)


def test_a_tab_without_the_code_sees_no_counts(guided):
    guided.engine.who = "ann"
    app = visit("learn", **{"class": "Prune", "teacher": "1", **AT})
    assert app.text_input(key=teacher_page.ENTERED) and CHART not in words(app)
    choose(guided, app, "ann", 1)
    assert guided.tally == Tally()


def test_the_teacher_opens_and_locks_the_steps_of_a_lesson(guided):
    app = guided.teacher()
    pills = app.get("button_group")
    (group,) = [item for item in pills if item.key == "class.steps.groups"]
    assert group.value == ["groups.row"]
    healthy(group.set_value(["groups.price", "groups.neighbours"]).run())
    view = guided.engine.find_class("prune")
    assert [view.is_open(f"groups.{step}") for step in ("row", "neighbours", "price")] == [False, True, True]


def test_the_teacher_clears_all_counts(guided):
    student = choose(guided, guided.student("ann"), "ann", 1)
    app = guided.teacher()
    assert "1 answer so far" in line(app)
    healthy(app.button(key="class.clear").click().run())
    assert guided.tally == Tally()
    student = guided.act(student, "ann")
    assert student.radio[0].value is None
    choose(guided, student, "ann", 1)
    assert guided.tally == Tally(before=(0, 1))


def test_other_pages_and_back_leave_the_tab_in_its_class(guided):
    app = guided.student("ann")
    app.query_params.clear()
    app = guided.act(app, "ann")
    assert address(app)["class"] == "prune" and line(app).startswith("Class Prune:")
    app = healthy(app.button(key="class.leave").click().run())
    assert "class" not in address(app) and not line(app)
    assert "class" not in address(guided.act(app, "ann"))


def test_a_class_stays_in_the_address_from_lesson_to_lesson(guided):
    app = healthy(guided.student("ann", step="price").button(key="learn.open.list").click().run())
    assert address(app) == {"class": "prune"}


@pytest.mark.parametrize(
    "name", ["nothing", "../etc", "<b>x</b>", "![x](http://evil.example/x)", "x" * 5_000, "\0", "\u202e", " "]
)
def test_a_class_that_is_not_there_leaves_the_lesson_usable(engine, name):
    app = visit("learn", **{"class": name, **AT})
    assert len(app.warning) == 1 and "![x](" not in words(app) and "<b>" not in words(app)
    assert healthy(app.radio[0].set_value(1).run()).success
    healthy(visit("learn", **{"class": name, "teacher": "1"}))


def test_a_full_class_says_so(guided, monkeypatch):
    monkeypatch.setattr(classroom, "MOST_STUDENTS", 1)
    guided.student("ann")
    assert "This class is full" in guided.student("bob").warning[0].value


def test_too_many_answers_are_refused_with_a_sentence(self_paced, monkeypatch):
    monkeypatch.setattr(classroom, "MOST_CHANGES", 1)
    app = choose(self_paced, self_paced.student("ann"), "ann", 1)
    assert "Wait a minute" in choose(self_paced, app, "ann", 0).warning[0].value
    assert self_paced.tally == Tally(before=(0, 1))


def test_where_the_operator_turned_classes_off_none_is_offered(engine, monkeypatch):
    monkeypatch.setenv("PRUNESCOPE_PUBLIC", "1")
    assert visit("learn").button(key="class.teach")
    monkeypatch.setenv("PRUNESCOPE_PUBLIC_CLASSES", "0")
    assert public_mode.policy().classes == 0
    assert "class.teach" not in [button.key for button in visit("learn").button]


def _submit(app: AppTest):
    """The button of the only form."""
    (button,) = [item for item in app.button if item.form_id]
    return button


def test_the_handout_which_has_the_answers_is_the_teachers(self_paced):
    def labels(app: AppTest) -> list[str]:
        return [item.proto.label for item in app.get("download_button")]

    assert not any("Handout" in label for label in labels(self_paced.student("ann")))
    assert any("Handout" in label for label in labels(self_paced.teacher(**AT)))

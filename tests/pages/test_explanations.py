"""*What am I looking at?* under each chart: made when it is opened, with a link to a lesson that exists."""

from __future__ import annotations

import pytest

from engine.analysis.explanations import depth, explanation
from engine.analysis.explanations.explanation import Explanation, LessonStep
from pages.widgets.learn.lessons import LESSONS
from tests.charts.records import NEUROAL, record
from tests.pages.conftest import explanations, words
from tests.pages.fakes import run_view


def opened(app, *charts):
    for name in charts:
        app.session_state[f"explain.{name}"] = True
    return app.run()


@pytest.mark.usefixtures("new_charts")
def test_an_explanation_is_made_only_while_it_is_open(open_app, engine, monkeypatch):
    made = []

    def explain(found):
        made.append(found)
        return Explanation((f"{len(found.blocks)} *blocks*.",), explanation.LAYERS)

    monkeypatch.setattr(depth, "error_over_depth", explain)
    recipe = record(0).recipe
    engine.views[recipe.key] = run_view(recipe, "finished")
    app = open_app(run=recipe.key)
    assert explanations(app) == len(app.get("plotly_chart")) == 5 and not made
    opened(app, "depth")
    assert len(made) == 1 and r"8 \*blocks\*." in words(app)
    link = next(item.proto for item in app.get("page_link") if "Layer after layer" in item.proto.label)
    assert (link.page, link.query_string) == ("learn", "lesson=explosion&step=layers")


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_run_without_an_end_is_explained_as_far_as_it_is(open_app, engine, state):
    recipe = record(0, **NEUROAL).recipe
    engine.views[recipe.key] = run_view(recipe, state, 3)
    found = words(opened(open_app(run=recipe.key), "depth", "output_error", "search"))
    assert found.count("In the 3 of 8 blocks") == 2 and "The best candidate is row step" in found


STEPS = [step for step in vars(explanation).values() if isinstance(step, LessonStep)]


@pytest.mark.parametrize("linked", STEPS, ids=lambda step: f"{step.lesson}.{step.step}")
def test_the_lesson_exists_under_its_title(linked):
    lesson = next(lesson for lesson in LESSONS if lesson.name == linked.lesson)
    step = next(step for step in lesson.steps if step.name == linked.step)
    assert linked.title == f"{lesson.title} · {step.title}"

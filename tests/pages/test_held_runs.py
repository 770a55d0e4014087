"""The question about the runs that an app left: on Explore and Runs, once, and not in a talk."""

import pytest

from engine.errors import StoreError
from engine.recipe import Recipe
from engine.store.runs import Store
from tests.pages.conftest import healthy, words

RECIPES = [Recipe.build(pruner="wanda", sparsity=sparsity) for sparsity in (0.3, 0.4, 0.5, 0.6)]


@pytest.fixture
def held(engine, tmp_path):
    engine.waiting = {recipe.key: recipe for recipe in RECIPES}
    engine.store = Store(tmp_path / "home")
    return engine


def test_the_runs_continue_and_the_question_is_gone(held, open_app):
    app = open_app()
    assert "4 runs were not done" in words(app) and "and 1 more" in words(app)
    app = healthy(app.button(key="held.continue").click().run())
    assert held.submitted == RECIPES and "not done" not in words(app)


def test_the_runs_are_dropped_on_the_runs_page(held, open_app):
    app = open_app("runs")
    assert "4 runs were not done" in words(app)
    app = healthy(app.button(key="held.drop").click().run())
    assert held.submitted == [] and "not done" not in words(app)


def test_a_full_disk_is_explained_and_the_question_stays(held, open_app, monkeypatch):
    def full() -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(held, "resume_held", full)
    app = healthy(open_app().button(key="held.continue").click().run())
    assert "The disk is full" in words(app) and "4 runs were not done" in words(app)


def test_a_talk_is_not_interrupted(held, open_app):
    assert "not done" not in words(open_app(present="1"))

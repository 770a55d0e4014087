"""Published figures on Explore and Compare: shown for the models that papers report, and for no other."""

import pytest

from engine.recipe import Recipe
from tests.pages.fakes import run_view

LLAMA_2 = "meta-llama/Llama-2-7b-hf"
WORDS = "Published: 6.92 (Wanda; WikiText2 table of BESA"


def captions(app):
    return " ".join(item.value for item in app.caption).replace("\\", "")


@pytest.mark.parametrize(("model", "shown"), [(LLAMA_2, True), ("demo", False)])
def test_explore_shows_them_with_what_differs(engine, open_app, model, shown):
    recipe = Recipe.build(model=model)
    engine.views[recipe.key] = run_view(recipe, "finished")
    found = captions(open_app(run=recipe.key))
    assert (WORDS in found) == ("WikiText-2 (yours: stories)" in found) == shown


@pytest.mark.parametrize(("model", "shown"), [(LLAMA_2, True), ("demo", False)])
def test_the_leaderboard_has_those_of_its_pruners(engine, open_app, model, shown):
    for pruner in ("wanda", "ria"):
        recipe = Recipe.build(model=model, pruner=pruner)
        engine.views[recipe.key] = run_view(recipe, "finished")
    found = captions(open_app("compare", section="Leaderboard"))
    assert (f"Wanda. {WORDS}" in found) == shown and "RIA. Published" not in found

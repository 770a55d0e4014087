"""A sweep is a list of recipes: all combinations, pruner by pruner, with a reason for each invalid one."""

import pytest

from engine.analysis.comparison.grid import method_title
from engine.analysis.comparison.sweep import MOST_RUNS, SHARED, sweep
from engine.errors import RecipeError
from engine.recipe import Recipe, pin

BASE = Recipe.build()


def test_every_product_is_there_once_and_is_the_run_that_one_would_start_alone() -> None:
    cells = sweep(BASE, ["magnitude", "wanda"], ["0.5", "0.6", "2:4"], seeds=[0, 3])
    assert len(cells) == 12 and len({cell.recipe.key for cell in cells if cell.recipe}) == 12
    assert [cell.pruner for cell in cells] == ["magnitude"] * 6 + ["wanda"] * 6
    alone = pin(Recipe.build(pruner="wanda", sparsity=0.6, seed=3))
    assert [cell.recipe for cell in cells if (cell.pruner, cell.shape, cell.seed) == ("wanda", "0.6", 3)] == [
        alone
    ]


def test_an_incompatible_combination_is_a_cell_with_its_reason() -> None:
    cells = sweep(BASE, ["apt-mm"], ["0.5", "2:4"], allocations=["uniform", "owl"])
    assert [cell.recipe is not None for cell in cells] == [False, True, False, False]
    assert "choose an N:M pattern" in cells[0].refusal
    assert "owl has nothing to allocate" in cells[3].refusal


def test_a_recommended_pruner_is_one_row_whatever_it_stands_for() -> None:
    base = BASE.model_copy(update={"settings": {"alps.iterations": 7}})
    cells = sweep(base, ["best"], ["0.6", "0.7", "2:4"])
    recipes = [cell.recipe for cell in cells if cell.recipe]
    assert [recipe.pruner for recipe in recipes] == ["admm", "alps", "admm"]
    assert [recipe.settings.get("alps.iterations") for recipe in recipes] == [None, 7, None]
    assert {method_title(cell) for cell in cells} == {"Best of"}


def test_the_base_sets_the_model_and_the_texts() -> None:
    base = Recipe.build(
        pruner="sparsegpt", samples=9, length=32, evaluation=None, dtype="bfloat16", seed=7, sparsity=0.9
    )
    (cell,) = sweep(base, ["wanda"], ["0.3"])
    assert cell.recipe == pin(
        Recipe.build(pruner="wanda", sparsity=0.3, samples=9, length=32, evaluation=None, dtype="bfloat16")
    )


def test_every_field_of_a_recipe_is_either_shared_or_the_sweeps() -> None:
    own = {
        "pattern",
        "sparsity",
        "allocation",
        "seed",
        "order",
        "score",
        "update",
        "refinement",
        "group",
        "permutation",
        "settings",
        "digests",
        "method_files",
        "bias",
    }
    assert set(Recipe.model_fields) - own - set(SHARED) == {"tasks", "task_limit"}, (
        "zero-shot tasks are asked of single runs"
    )


@pytest.mark.parametrize(
    ("pruners", "shapes", "words"),
    [
        (["wandar"], ["0.5"], "wanda"),
        ([], ["0.5"], "at least one pruner"),
        (["wanda"], [], "at least one"),
        (["wanda"], [str(n / 1000) for n in range(MOST_RUNS + 1)], "at most 500"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_with_a_sentence(
    pruners: list[str], shapes: list[str], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        sweep(BASE, pruners, shapes)


@pytest.mark.parametrize("shape", ["1.5", "half", "5:4", "-0.1"])
def test_an_impossible_sparsity_is_a_refused_cell(shape: str) -> None:
    (cell,) = sweep(BASE, ["wanda"], [shape])
    assert cell.recipe is None and cell.refusal


def test_settings_belong_to_the_cells_with_their_method() -> None:
    text = "abs(W) * a ** 2"
    base = Recipe.build(score="formula", settings={"formula.expression": text})
    wanda, formula = sweep(base, ["wanda", "formula"], ["0.6"])
    assert (
        wanda.recipe is not None and wanda.recipe.key == pin(Recipe.build(pruner="wanda", sparsity=0.6)).key
    )
    assert formula.recipe is not None and formula.recipe.settings["formula.expression"] == text
    assert method_title(formula) == "abs(W)·a^2" and method_title(wanda) == "Wanda"


def test_an_invalid_setting_makes_its_cells_impossible() -> None:
    base = Recipe.build().model_copy(update={"settings": {"formula.expression": "abs(W) * A"}})
    wanda, formula = sweep(base, ["wanda", "formula"], ["0.6"])
    assert wanda.recipe is not None
    assert formula.recipe is None and "contains A" in formula.refusal

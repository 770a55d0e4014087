"""What the bundled and the real model have in common, on made-up ratios."""

from __future__ import annotations

import pytest

from engine.lessons.two_models import OnBoth, agreement, better_than, on_both, pairs_in_order
from engine.models.known_files import SMOLLM2
from engine.recipe import Recipe, pin
from engine.recipe.real_model import real_recipe
from engine.record import RunRecord
from tests.pages.fakes import FINISHED, events

SAME = (OnBoth("a", 1.1, 2.0), OnBoth("b", 1.2, 3.0), OnBoth("c", 1.3, 4.0))


@pytest.mark.parametrize(
    ("found", "pairs", "answer"),
    [
        (SAME, (3, 3), 0),
        ((*SAME, OnBoth("d", 1.25, 5.0)), (5, 6), 1),
        ((OnBoth("a", 1.3, 2.0), OnBoth("b", 1.2, 3.0), OnBoth("c", 1.25, 4.0)), (1, 3), 2),
    ],
)
def test_orders_are_compared_by_pairs(found: tuple[OnBoth, ...], pairs: tuple[int, int], answer: int) -> None:
    assert pairs_in_order(found) == pairs
    assert agreement(found) == answer


def test_what_is_better_is_named_per_model() -> None:
    found = (OnBoth("uniform", 1.2, 3.0), OnBoth("owl", 1.3, 2.0), OnBoth("neuroal", 1.1, 2.5))
    assert better_than(found, "uniform") == (["neuroal"], ["owl", "neuroal"])


def test_ratios_come_from_the_records_the_best_on_the_real_model_first() -> None:
    def ran(recipe: Recipe) -> RunRecord:
        return RunRecord.fold(events(recipe, end=FINISHED))

    fields = {"pruner": "wanda", "sparsity": 0.5}
    bundled, real = ran(pin(Recipe.build(fields))), ran(real_recipe(**fields))
    (one,) = on_both({"Wanda": (bundled, real)})
    assert one == OnBoth("Wanda", bundled.ratio or 0, real.ratio or 0)


def test_a_real_recipe_is_pinned_without_the_file() -> None:
    recipe = real_recipe(pruner="wanda", sparsity=0.5)
    assert (recipe.model, recipe.revision) == (SMOLLM2.name, SMOLLM2.fingerprint)
    assert recipe.digests == {"calibration": pin(Recipe.build()).digests["calibration"]}
    assert recipe.evaluation == "wikitext2-24" and recipe.calibration == "stories"

"""What a run is compared with first: its recipe with one thing changed, under the key of that run."""

from __future__ import annotations

import pytest

from engine.analysis.alternatives import alternatives, is_other_pruner
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin


def pinned(**fields: object) -> Recipe:
    return pin(Recipe.build(fields))


@pytest.mark.parametrize(
    "fields",
    [{"sparsity": 0.6}, {"sparsity": 0.6, "allocation": "owl", "seed": 3}, {"pattern": "2:4", "samples": 8}],
)
def test_other_pruners_have_the_keys_of_recipes_that_a_user_would_build(fields: dict[str, object]) -> None:
    first = pinned(pruner="wanda", **fields)
    found = {one.pruner: one.key for one in alternatives(first).pruners}
    assert "wanda" not in found and len(found) > len(PRESETS) // 2
    for pruner in ("magnitude", "sparsegpt", "ria"):
        assert found[pruner] == pinned(pruner=pruner, **fields).key
    assert all(is_other_pruner(first, one) for one in alternatives(first).pruners)


def test_the_uniform_allocation_is_offered_to_all_others() -> None:
    owl = pinned(pruner="ria", allocation="owl", settings={"owl.strength": 0.05, "ria.alpha": 0.4})
    uniform = alternatives(owl).uniform
    assert uniform == pinned(pruner="ria", settings={"ria.alpha": 0.4})
    assert alternatives(uniform).uniform is None
    assert alternatives(owl).recipe(uniform.key) == uniform and alternatives(owl).recipe("nosuch") is None


def test_another_sparsity_text_or_model_is_no_alternative() -> None:
    first = pinned(pruner="wanda")
    other = pinned(pruner="magnitude")
    assert is_other_pruner(first, other)
    for changes in ({"sparsity": 0.6}, {"samples": 8}, {"model": "org/other"}, {"evaluation": "wikitext2"}):
        assert not is_other_pruner(first, other.model_copy(update=changes))
    assert not is_other_pruner(first, first)


def test_a_formula_is_an_alternative_of_the_same_formula_only() -> None:
    """The preset's default formula is Wanda's, so no user has chosen it."""
    mine = {"settings": {"formula.expression": "abs(W) * a ** 0.5"}}
    for first in (pinned(pruner="wanda"), pinned(pruner="formula", **mine)):
        assert not any(one.score == "formula" for one in alternatives(first).pruners)
    refined = pinned(score="formula", refinement="dsnot", **mine)
    (plain,) = (one for one in alternatives(refined).pruners if one.score == "formula")
    assert plain.key == pinned(pruner="formula", **mine).key

"""The recommended pruners: their tables against the bundled runs, and what a recipe with one contains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import RecipeError
from engine.models.identity import DEMO
from engine.pruning.presets import PRESETS, Preset
from engine.pruning.recommendations import NOISE, RECOMMENDATIONS, Shape, all_pruners, reasons
from engine.recipe import Recipe
from engine.store.runs import Store

Figures = dict[Shape, dict[str, float]]
SHAPES: tuple[Shape, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, "2:4", "4:8")
USABLE = 20
"""Times the dense perplexity; beyond that, which model is less broken says little."""


@pytest.fixture(scope="module")
def bundled() -> dict[bool, Figures]:
    """Perplexities of the bundled runs by shape and preset: of the bundled model (True) and the real one."""
    found: dict[bool, Figures] = {True: {}, False: {}}
    for run in Store().recorded:
        recipe, pruned = run.recipe, run.record.pruned if run.record else None
        assert recipe is not None and pruned is not None
        own = PRESETS[recipe.pruner] if recipe.pruner else None
        if own is None or recipe.allocation != "uniform":
            continue
        shape = recipe.sparsity if recipe.pattern == "unstructured" else recipe.pattern
        usual = Recipe.build(pruner=own.name, **fields(shape))
        if (recipe.group, recipe.settings) == (usual.group, usual.settings):
            found[recipe.model == DEMO].setdefault(shape, {})[own.name] = pruned.perplexity
    return found


def fields(shape: Shape) -> dict[str, Any]:
    return {"pattern": shape} if isinstance(shape, str) else {"sparsity": shape}


def is_fast(preset: Preset) -> bool:
    """Whether a preset takes about as long as Wanda on any model: it only scores and swaps a few weights."""
    return (
        (preset.update, preset.bias, preset.pattern) == ("none", None, None)
        and preset.refinement in ("none", "dsnot", "r2-dsnot")
        and preset.score != "formula"
    )


def choice(figures: Mapping[str, float], usual: str) -> str:
    """Return the usual pruner unless another is better by more than the noise; then the best."""
    best = min(figures, key=figures.__getitem__)
    return usual if figures[usual] <= (1 + NOISE) * figures[best] else best


@pytest.mark.parametrize("name", RECOMMENDATIONS)
def test_the_figures_are_those_of_the_bundled_runs(name: str, bundled: dict[bool, Figures]) -> None:
    stories = [each for each in RECOMMENDATIONS[name].evidence if "WikiText" not in each.model]
    for evidence in stories:
        runs = bundled[evidence.model == "Bundled model"]
        for shape, figures in evidence.measured.items():
            for preset, perplexity in figures.items():
                assert runs[shape][preset] == pytest.approx(perplexity, abs=0.005), (shape, preset)


@pytest.mark.parametrize("shape", SHAPES)
def test_best_is_admm_unless_another_is_better_by_more_than_the_noise(
    shape: Shape, bundled: dict[bool, Figures]
) -> None:
    best, runs = RECOMMENDATIONS["best"], bundled[True][shape]
    assert best.at(shape).name == choice(runs, "admm")
    shown = best.evidence[0].measured[shape]
    assert min(shown.values()) <= (1 + NOISE) * min(runs.values())  # the evidence hides no better one


@pytest.mark.parametrize("shape", SHAPES)
def test_fast_is_within_the_noise_of_the_best_pruner_as_fast_as_wanda(
    shape: Shape, bundled: dict[bool, Figures]
) -> None:
    fast = RECOMMENDATIONS["fast"]
    for evidence in fast.evidence:
        runs = bundled[evidence.model == "Bundled model"].get(shape, {})
        fitting = {name: value for name, value in runs.items() if is_fast(PRESETS[name])}
        if not fitting or min(fitting.values()) > USABLE * evidence.dense:
            continue
        assert set(fitting) - set(evidence.measured[shape]) <= {"symwanda"}  # worse than Wanda everywhere
        if evidence.model == "Bundled model":
            # One of two pruners, each within its own noise of the truth.
            assert runs[fast.at(shape).name] <= (1 + NOISE) ** 1.5 * min(fitting.values())


@pytest.mark.parametrize("name", RECOMMENDATIONS)
@pytest.mark.parametrize("given", [{}, {"sparsity": "0.4"}, {"sparsity": 0.66}, {"pattern": "04:8"}], ids=str)
def test_a_recipe_contains_the_choices_as_if_made_by_hand(name: str, given: dict[str, Any]) -> None:
    recipe = Recipe.build(pruner=name, **given)
    preset = PRESETS[recipe.pruner or ""]
    assert recipe == Recipe.build(**preset.choices, **given)
    assert recipe.key == Recipe.build(pruner=preset.name, **given).key
    assert name not in recipe.model_dump_json()


def test_the_choice_follows_the_sparsity() -> None:
    chosen = [Recipe.build(pruner="best", sparsity=sparsity).pruner for sparsity in (0.64, 0.65)]
    assert chosen == ["admm", "alps"]
    chosen = [Recipe.build(pruner="fast", sparsity=sparsity).pruner for sparsity in (0.44, 0.45)]
    assert chosen == ["wanda", "ria-r2-dsnot"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"update": "obs"}, "the pruner best sets update to admm, but obs was requested"),
        ({"sparsity": "much"}, "unable to parse string as a number, got 'much'"),
        ({"sparsity": 0.7, "pattern": "5:4"}, "0 < n < m; got 5:4"),
        ({"pruner": "bets"}, "did you mean best"),
    ],
    ids=str,
)
def test_what_cannot_be_is_rejected_with_a_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        Recipe.build({"pruner": "best", **given})


def test_the_reasons_name_the_choice_and_what_was_not_measured() -> None:
    best = RECOMMENDATIONS["best"]
    said = reasons(best, {"sparsity": 0.6})
    assert said[0] == "At 60% this is ADMM." and "ALPS 42.93, ADMM 43.61" in said[1]
    assert any("WikiText-2 at 60%" in sentence and "ADMM 89.5" in sentence for sentence in said)
    said = reasons(best, {"sparsity": 0.9})
    assert said[0] == "At 90% this is ALPS." and any(": not measured at 90%." in each for each in said)
    assert any(": not measured at 1:4." in each for each in reasons(best, {"pattern": "1:4"}))


def test_a_recommendation_has_no_name_of_a_preset() -> None:
    assert not RECOMMENDATIONS.keys() & PRESETS.keys()
    assert len(all_pruners()) == len(RECOMMENDATIONS) + len(PRESETS)

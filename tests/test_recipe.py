"""Recipes: all faults at once, and one key for each result."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from engine.errors import RecipeError
from engine.pruning.axes import AXES, SCORES, UPDATES, Score
from engine.pruning.patterns import Group
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.recipe.validation import complete, faults_against
from engine.registry import Parameter

MANUAL = {"allocation": "manual", "settings": {"manual.ratios": (0.25, 0.75)}}


def build(**fields: Any) -> Recipe:
    return Recipe.build(fields)


def refused(**fields: Any) -> dict[str, str]:
    """The faults by field; each message is a sentence."""
    with pytest.raises(RecipeError) as error:
        Recipe.build(fields)
    assert error.value.faults
    for fault in error.value.faults:
        assert len(fault.message.split()) >= 4 and fault.message.endswith((".", "?")), fault
        assert f"{fault.field}: {fault.message}" in str(error.value)
    return {fault.field: fault.message for fault in error.value.faults}


@pytest.fixture
def tuned() -> Iterator[Score]:
    """A score with parameters of every kind, registered during the test."""
    score = Score(
        name="tuned",
        title="Tuned",
        explanation="A score with parameters.",
        parameters=(
            Parameter(
                name="alpha", kind="float", default=0.5, minimum=0, maximum=2, explanation="an exponent"
            ),
            Parameter(name="count", kind="int", default=10, minimum=1, maximum=50, explanation="a number"),
            Parameter(
                name="way", kind="choice", default="up", choices=("up", "down"), explanation="a direction"
            ),
        ),
        function=lambda weight, statistics, **parameters: torch.zeros_like(weight),
        default_group=Group.ROW,
    )
    SCORES.add(score)
    yield score
    del SCORES._methods["tuned"]


# --- defaults


def test_the_default_recipe_is_wanda_at_50_percent() -> None:
    recipe = build()
    assert (recipe.model, recipe.score, recipe.update, recipe.sparsity, recipe.group) == (
        "demo",
        "wanda",
        "none",
        0.5,
        Group.ROW,
    )
    assert recipe.pruner == "wanda"


@pytest.mark.parametrize("name", PRESETS)
def test_a_pruner_equals_the_methods_it_sets(name: str) -> None:
    preset = PRESETS[name]
    by_name, by_axes = build(pruner=name), build(**preset.choices, pattern=preset.pattern or "unstructured")
    assert by_name == by_axes and by_name.key == by_axes.key
    assert by_name.pruner == name
    expected = (
        None
        if preset.pattern
        else Group.ROW
        if preset.refinement != "none"
        else UPDATES[by_name.update].group or SCORES[by_name.score].default_group
    )
    assert by_name.group == expected
    title = by_name.scoring.label or preset.title
    assert title in by_name.title and (preset.pattern or "50%") in by_name.title.replace(" ", "")


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({"score": "magnitude"}, Group.LAYER),
        ({"score": "magnitude", "refinement": "dsnot"}, Group.ROW),
        ({"score": "sparsegpt", "refinement": "dsnot"}, Group.ROW),
        ({"score": "magnitude", "allocation": "neuroal"}, Group.ROW),
        ({"score": "wanda", "update": "admm"}, Group.LAYER),
        ({"score": "sparsegpt", "update": "thanos"}, Group.LAYER),
        ({"score": "wanda", "update": "admm", "refinement": "dsnot"}, Group.ROW),
        ({"score": "wanda", "update": "admm", "allocation": "neuroal"}, Group.ROW),
        ({"score": "ria", "allocation": "owl"}, Group.LAYER),
        ({"score": "sparsegpt", "allocation": "neuroal", "settings": {"neuroal.step": "block"}}, Group.BLOCK),
        (
            {
                "score": "magnitude",
                "group": "layer",
                "allocation": "neuroal",
                "settings": {"neuroal.step": "block"},
            },
            Group.LAYER,
        ),
    ],
    ids=str,
)
def test_the_default_group_depends_on_the_methods(fields: dict[str, Any], group: Group) -> None:
    assert Recipe.build(fields).group == group


def test_a_preset_for_n_of_m_sets_the_pattern_unless_one_is_requested() -> None:
    assert build(pruner="apt-mm").pattern == "2:4"
    assert build(pruner="apt-mm", pattern="4:8").pattern == "4:8"
    assert set(refused(pruner="apt-mm", sparsity=0.6)) == {"pattern"}


def test_methods_of_no_preset_have_no_pruner() -> None:
    recipe = build(score="magnitude", update="obs")
    assert recipe.pruner is None and "magnitude" in recipe.title and "obs" in recipe.title


@pytest.mark.parametrize(
    ("pattern", "sparsity"),
    [("2:4", 0.5), ("4:8", 0.5), ("1:4", 0.75), ("3:5", 0.4), ("1:2", 0.5), ("1:3", 2 / 3)],
)
def test_n_of_m_implies_the_sparsity_and_has_no_group(pattern: str, sparsity: float) -> None:
    recipe = build(pattern=pattern)
    assert recipe.sparsity == pytest.approx(sparsity) and recipe.group is None
    assert build(pattern=pattern, sparsity=round(sparsity, 7)).key == recipe.key
    assert pattern in recipe.title


def test_default_parameters_of_the_chosen_methods_are_filled_in(tuned: Score) -> None:
    assert build(score="tuned").settings == {"tuned.alpha": 0.5, "tuned.count": 10, "tuned.way": "up"}
    assert build(score="tuned").parameters("score") == {"alpha": 0.5, "count": 10, "way": "up"}
    assert build(score="tuned", settings={"tuned.alpha": 1.5}).parameters("score")["alpha"] == 1.5
    assert build().settings == {} and build().parameters("score") == {}


def test_the_methods_by_axis() -> None:
    recipe = build(pruner="sparsegpt")
    assert {axis: method.name for axis, method in recipe.methods.items()} == {
        axis: getattr(recipe, axis) for axis in AXES
    }


# --- the key

EQUIVALENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing and the defaults": (
        {},
        {
            name: field.default
            for name, field in Recipe.model_fields.items()
            if name not in {"settings", "digests", "method_files"}
        },
    ),
    "a pruner and its axes": ({"pruner": "sparsegpt"}, {"score": "sparsegpt", "update": "obs"}),
    "a pruner and the same axes": ({"pruner": "sparsegpt"}, {"pruner": "sparsegpt", "update": "obs"}),
    "the default group": ({"score": "magnitude"}, {"score": "magnitude", "group": "layer"}),
    "a group by name and by value": ({"group": "block"}, {"group": Group.BLOCK}),
    "a group that is None": ({}, {"group": None}),
    "a pattern and its sparsity": ({"pattern": "2:4"}, {"pattern": "2:4", "sparsity": 0.5}),
    "a sparsity of many digits": ({"pattern": "1:3"}, {"pattern": "1:3", "sparsity": 0.6666667}),
    "whole numbers for shares": ({"sparsity": 0}, {"sparsity": 0.0}),
    "a share below nothing": ({"sparsity": 0.0}, {"sparsity": -0.0}),
    "numbers as text": ({"sparsity": 0.6, "samples": 8}, {"sparsity": "0.6", "samples": "8"}),
    "a default that is spelt out": (
        MANUAL,
        {**MANUAL, "settings": {**MANUAL["settings"], "manual.rescale": "no"}},
    ),
    "a list and a tuple": (MANUAL, {"allocation": "manual", "settings": {"manual.ratios": [0.25, 0.75]}}),
    "whole numbers in a list": (
        {"allocation": "manual", "settings": {"manual.ratios": [0, 1e-1]}},
        {"allocation": "manual", "settings": {"manual.ratios": [0.0, 0.1]}},
    ),
    "the order of the fields": ({"seed": 3, "length": 64}, {"length": 64, "seed": 3}),
    "no settings": ({}, {"settings": {}}),
    "a pattern with needless zeros": ({"pattern": "2:4"}, {"pattern": "02:04"}),
    "a pattern with blanks": ({"pattern": "2:4"}, {"pattern": " 2:4 "}),
}


@pytest.mark.parametrize(("left", "right"), EQUIVALENT.values(), ids=list(EQUIVALENT))
def test_equivalent_fields_have_the_same_key(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Or the second one is rejected; it never means another computation."""
    try:
        second = Recipe.build(right)
    except RecipeError:
        return
    assert second.key == Recipe.build(left).key and second == Recipe.build(left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"tuned.alpha": 1}, {"tuned.alpha": 1.0}),
        ({"tuned.count": 7}, {"tuned.count": 7.0}),
        ({}, {"tuned.count": 10}),
    ],
)
def test_equal_settings_of_different_types_have_the_same_key(
    tuned: Score, left: dict[str, Any], right: dict[str, Any]
) -> None:
    assert build(score="tuned", settings=left).key == build(score="tuned", settings=right).key


def test_an_integer_setting_reaches_the_method_as_an_integer(tuned: Score) -> None:
    assert isinstance(build(score="tuned", settings={"tuned.count": 7.0}).parameters("score")["count"], int)


CHANGES: dict[str, dict[str, Any]] = {
    "model": {"model": "other"},
    "revision": {"revision": "abc"},
    "dtype": {"dtype": "bfloat16"},
    "device": {"device": "cpu"},
    "calibration": {"calibration": "mine.txt"},
    "evaluation": {"evaluation": "mine.txt"},
    "samples": {"samples": 65},
    "length": {"length": 255},
    "seed": {"seed": 1},
    "score": {"score": "magnitude", "group": "row"},
    "pattern": {"pattern": "2:4"},
    "group": {"group": "layer"},
    "sparsity": {"sparsity": 0.51},
    "allocation": MANUAL,
    "update": {"update": "obs"},
    "settings": {**MANUAL, "settings": {"manual.ratios": (0.75, 0.25)}},
    "refinement": {"refinement": "dsnot"},
    "bias": {"bias": "compensate"},
    "order": {"order": 1},
    "permutation": {"pattern": "2:4", "permutation": "zigzag"},
    "digests": {"digests": {"calibration": "abc"}},
    "tasks": {"tasks": ["boolq"]},
    "task_limit": {"tasks": ["boolq"], "task_limit": 5},
}


@pytest.mark.parametrize(
    "field", [name for name in Recipe.model_fields if name not in ("residence", "method_files")]
)
def test_every_field_that_changes_the_result_changes_the_key(field: str) -> None:
    changed = Recipe.build(CHANGES[field])
    assert getattr(changed, field) != getattr(build(), field)
    assert changed.key != build().key


def test_the_residence_does_not_change_the_key() -> None:
    assert build(residence="streamed").key == build(residence="resident").key == build().key


def test_a_task_limit_without_tasks_does_not_change_the_key() -> None:
    assert build(task_limit=5).key == build().key


@pytest.mark.parametrize(
    ("evaluation", "found"),
    [(["stories"], "stories"), ([], None), (["stories", "a.txt"], ("stories", "a.txt"))],
)
def test_evaluation_texts_are_stored_in_their_simplest_form(evaluation: list[str], found: object) -> None:
    recipe = build(evaluation=evaluation)
    assert recipe.evaluation == found and recipe.evaluations == tuple(evaluation)


@pytest.mark.parametrize(
    ("fields", "context_length", "tokens"),
    [
        ({}, 512, 256),
        ({"model": "other", "calibration": "c4"}, 512, 512),
        ({"model": "other", "calibration": "c4"}, 4096, 2048),
        ({"model": "other", "calibration": "c4"}, None, 2048),
        ({"model": "other"}, 4096, 256),  # of the stories, 64 longer windows would not fit
        ({"length": 7}, 4096, 7),
        ({"model": "other", "length": 7}, 4096, 7),
    ],
)
def test_the_default_window_length(fields: dict[str, Any], context_length: int | None, tokens: int) -> None:
    assert build(**fields).window(context_length) == tokens


def test_different_recipes_have_different_keys() -> None:
    keys = [
        build().key,
        build(evaluation=None).key,
        *(Recipe.build(fields).key for fields in CHANGES.values()),
    ]
    assert len(set(keys)) == len(keys)


# --- parameters that a method got after recipes with it had been stored

STORED = {
    "revision": "f24452901c34f412",
    "score": "sparsegpt",
    "pattern": "2:4",
    "permutation": "none",
    "update": "mrp",
    "settings": {},
    "digests": {"calibration": "4e25e8d5c0531e49", "evaluation": "153943083f2f5a9c"},
}
"""APT-SM at 2:4, as a version without `mrp.mask` stored it under the key `bb0fa580649efce101fe`."""


def test_a_stored_recipe_keeps_its_key_and_its_meaning() -> None:
    stored = Recipe.model_validate(STORED)
    assert stored.key == "bb0fa580649efce101fe"
    assert stored.settings == {"mrp.mask": "dense"} and stored.parameters("update") == {"mask": "dense"}
    again = Recipe.build(stored.model_dump())
    assert again == stored and again.key == stored.key


def test_what_is_written_now_has_the_new_default_and_a_key_of_its_own() -> None:
    now = pin(build(pruner="apt-sm", pattern="2:4"))
    assert now.settings == {"mrp.mask": "sequential"} and now.key != "bb0fa580649efce101fe"
    before = pin(build(pruner="apt-sm", pattern="2:4", settings={"mrp.mask": "dense"}))
    assert before.key == Recipe.model_validate(STORED).key  # the same result, so never computed twice


@pytest.mark.parametrize(
    "fields",
    [
        {"score": "wanda", "update": "mrp"},
        {"score": "sparsegpt", "update": "mrp", "group": "row"},
        {"score": "sparsegpt", "update": "mrp", "pattern": "2:4", "permutation": "zigzag"},
        {"score": "sparsegpt", "update": "mrp", "pattern": "2:4", "refinement": "dsnot"},
    ],
    ids=str,
)
def test_a_parameter_without_effect_does_not_count_for_the_key(fields: dict[str, Any]) -> None:
    recipe = build(**fields)
    without = {name: value for name, value in recipe.model_dump().items() if name != "settings"}
    settings = {name: value for name, value in recipe.settings.items() if name != "mrp.mask"}
    stored = Recipe.model_validate(without | {"settings": settings})
    assert stored.key == recipe.key == build(**fields, settings={"mrp.mask": "dense"}).key
    assert stored == recipe  # it takes the default, so that another choice of score starts with that


def test_a_parameter_whose_default_is_the_old_behaviour_changes_no_key() -> None:
    recipe = build(pruner="wanda-dsnot")
    fields = recipe.model_dump()
    fields["settings"].pop("dsnot.prune_by")
    assert Recipe.model_validate(fields) == recipe and Recipe.model_validate(fields).key == recipe.key
    assert build(pruner="wanda-dsnot", settings={"dsnot.prune_by": "score"}).key != recipe.key


def test_a_key_fits_a_folder_name() -> None:
    assert build().key == build().key
    assert len(build().key) == 20 and set(build().key) <= set("0123456789abcdef")


@pytest.mark.parametrize("fields", [*CHANGES.values(), {}, {"pattern": "1:3"}, {"evaluation": None}], ids=str)
def test_round_trip_through_json(fields: dict[str, Any]) -> None:
    recipe = Recipe.build(fields)
    text = recipe.model_dump_json()
    for back in (
        Recipe.model_validate_json(text),
        Recipe.build(json.loads(text)),
        Recipe.build(recipe.model_dump()),
    ):
        assert back == recipe and back.key == recipe.key


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError):
        build().sparsity = 0.7  # type: ignore[misc]


# --- faults


def test_all_faults_at_once() -> None:
    faults = refused(
        sparsity=1.5,
        samples=0,
        length="long",
        score="wnada",
        update="obz",
        pattern="4:2",
        calibration="stories.doc",
        evaluation="c5",
        tasks=["bolq"],
        settings={"wanda.alpha": 1},
        nonsense=3,
        dtype="int8",
    )
    assert set(faults) == {
        "sparsity",
        "samples",
        "length",
        "score",
        "update",
        "pattern",
        "calibration",
        "evaluation",
        "tasks",
        "settings.wanda.alpha",
        "nonsense",
        "dtype",
    }
    assert "wanda" in faults["score"] and "obs" in faults["update"]
    assert "stories" in faults["calibration"] and "c5" in faults["evaluation"] and "boolq" in faults["tasks"]
    assert "1.5" in faults["sparsity"] and "score" in faults["nonsense"]


REFUSED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "an unknown pruner": ({"pruner": "wnada"}, {"pruner"}),
    "a pruner that is no name": ({"pruner": 3}, {"pruner"}),
    "a pruner that is a list": ({"pruner": ["wanda"]}, {"pruner"}),
    "a pruner and another score": ({"pruner": "wanda", "score": "magnitude"}, {"score"}),
    "a pruner and another update": ({"pruner": "sparsegpt", "update": "none"}, {"update"}),
    "a pruner and other choices": (
        {"pruner": "sparsegpt", "score": "wanda", "update": "none"},
        {"score", "update"},
    ),
    "a sparsity against the pattern": ({"pattern": "2:4", "sparsity": 0.6}, {"sparsity"}),
    "a group with n:m": ({"pattern": "2:4", "group": "row"}, {"group"}),
    "an allocation with n:m": ({"pattern": "2:4", **MANUAL}, {"allocation"}),
    "three faults of a pattern": (
        {"pattern": "2:4", "sparsity": 0.6, "group": "row", **MANUAL},
        {"sparsity", "group", "allocation"},
    ),
    "an allocation that searches with n:m": ({"pattern": "2:4", "allocation": "neuroal"}, {"allocation"}),
    "a permutation without n:m": ({"permutation": "zigzag"}, {"permutation"}),
    "a permutation that does not exist": ({"pattern": "2:4", "permutation": "shuffle"}, {"permutation"}),
    "a joint choice without n:m": ({"score": "joint"}, {"pattern"}),
    "a joint choice of too many sets": ({"score": "joint", "pattern": "8:16"}, {"pattern"}),
    "a joint choice with permuted columns": (
        {"score": "joint", "pattern": "2:4", "permutation": "zigzag"},
        {"permutation"},
    ),
    "swaps over a whole layer": ({"score": "wanda", "group": "layer", "refinement": "dsnot"}, {"refinement"}),
    "swaps over a block of columns": (
        {"score": "wanda", "group": "block", "refinement": "r2-dsnot"},
        {"refinement"},
    ),
    "row shares over a whole layer": (
        {"score": "wanda", "group": "layer", "allocation": "neuroal"},
        {"allocation"},
    ),
    "row shares with the block score": ({"pruner": "sparsegpt", "allocation": "neuroal"}, {"allocation"}),
    "both over a whole layer": (
        {"group": "layer", "refinement": "dsnot", "allocation": "neuroal"},
        {"refinement", "allocation"},
    ),
    "a step that does not exist": (
        {"allocation": "neuroal", "settings": {"neuroal.step": "column"}},
        {"settings.neuroal.step"},
    ),
    "a pattern of nothing": ({"pattern": "0:4"}, {"pattern"}),
    "a pattern of all": ({"pattern": "4:4"}, {"pattern"}),
    "a group that does not exist": ({"group": "column"}, {"group"}),
    "a setting of nothing": ({"settings": {"nothing.it": 1}}, {"settings.nothing.it"}),
    "a setting of another method": ({"settings": {"manual.rescale": "yes"}}, {"settings.manual.rescale"}),
    "a ratio too high": (
        {"allocation": "manual", "settings": {"manual.ratios": [0.5, 1.0]}},
        {"settings.manual.ratios"},
    ),
    "a choice that is none": (
        {"allocation": "manual", "settings": {"manual.rescale": "maybe"}},
        {"settings.manual.rescale"},
    ),
    "two settings": (
        {"allocation": "manual", "settings": {"manual.rescale": "maybe", "manual.ratios": [2]}},
        {"settings.manual.rescale", "settings.manual.ratios"},
    ),
    "a sparsity that is no number": ({"sparsity": float("nan")}, {"sparsity"}),
    "a sparsity of one": ({"sparsity": 1.0}, {"sparsity"}),
    "a negative sparsity": ({"sparsity": -0.1}, {"sparsity"}),
    "no sparsity": ({"sparsity": None}, {"sparsity"}),
    "half a window": ({"samples": 1.5}, {"samples"}),
    "a window of one token": ({"length": 1}, {"length"}),
    "a negative seed": ({"seed": -1}, {"seed"}),
    "no model": ({"model": ""}, {"model"}),
    "a score that is no text": ({"score": 3}, {"score"}),
    "a device that does not exist": ({"device": "abacus"}, {"device"}),
    "settings that are a list": ({"settings": [1]}, {"settings"}),
}


@pytest.mark.parametrize(("fields", "faulty"), REFUSED.values(), ids=list(REFUSED))
def test_a_fault_names_its_field(fields: dict[str, Any], faulty: set[str]) -> None:
    assert set(refused(**fields)) == faulty


def test_a_setting_without_a_value_is_named() -> None:
    faults = refused(allocation="manual", settings={"manual.ratios": None, "manual.rescale": None})
    assert set(faults) == {"settings.manual.ratios", "settings.manual.rescale"}
    assert set(faults.values()) == {"expected a text, a number or a list of numbers, got None."}


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "ten", 0, 51, 2.5, None])
def test_a_setting_out_of_range_is_refused(tuned: Score, value: object) -> None:
    faults = refused(score="tuned", settings={"tuned.count": value})
    assert all(field.startswith("settings") for field in faults)


def test_the_fault_of_a_combination_says_what_to_change() -> None:
    assert "neuroal.step to block" in refused(pruner="sparsegpt", allocation="neuroal")["allocation"]
    assert "128 columns" in refused(pruner="sparsegpt", allocation="neuroal")["allocation"]
    assert "group to row" in refused(score="ria", group="layer", refinement="dsnot")["refinement"]
    assert "12,870 sets" in refused(score="joint", pattern="8:16")["pattern"]


def test_messages_name_the_conflicting_values() -> None:
    assert all(part in refused(pattern="2:4", sparsity=0.6)["sparsity"] for part in ("2:4", "0.5", "0.6"))
    assert all(part in refused(pruner="wanda", score="magnitude")["score"] for part in ("wanda", "magnitude"))
    settings = {"manual.rescales": "yes"}
    assert "manual.rescale" in refused(allocation="manual", settings=settings)["settings.manual.rescales"]


# --- faults against a model's shape


def against(
    recipe: Recipe,
    *,
    widths: dict[str, int] | None = None,
    sizes: tuple[int, ...] = (100, 100),
    context_length: int | None = None,
) -> dict[str, str]:
    found = faults_against(recipe.model_dump(), widths or {"layers.0.q": 64}, sizes, context_length)
    return {fault.field: fault.message for fault in found}


def test_a_recipe_that_fits() -> None:
    assert against(build()) == against(build(pattern="2:4")) == against(Recipe.build(MANUAL)) == {}


def test_a_width_that_is_not_divisible_by_m() -> None:
    widths = {"layers.0.q": 64, "layers.0.down": 90, "layers.1.down": 91}
    message = against(build(pattern="2:4"), widths=widths)["pattern"]
    assert all(part in message for part in ("layers.0.down", "90", "4", "1 more"))
    assert against(build(), widths=widths) == {}
    assert against(build(pattern="3:5"), widths={"it": 65}) == {}


@pytest.mark.parametrize("ratios", [(), (0.5,), (0.5, 0.5, 0.5)])
def test_manual_ratios_need_one_per_block(ratios: tuple[float, ...]) -> None:
    recipe = build(allocation="manual", settings={"manual.ratios": ratios, "manual.rescale": "yes"})
    message = against(recipe)["settings.manual.ratios"]
    assert "2 blocks" in message and str(len(ratios)) in message


def test_manual_ratios_whose_mean_differs_from_the_sparsity() -> None:
    assert against(Recipe.build(MANUAL), sizes=(100, 100)) == {}
    message = against(Recipe.build(MANUAL), sizes=(300, 100))["settings.manual.ratios"]  # mean 0.375
    assert all(part in message for part in ("0.375", "0.5", "rescale"))
    settings = {**MANUAL["settings"], "manual.rescale": "yes"}
    assert against(build(allocation="manual", settings=settings), sizes=(300, 100)) == {}


def test_windows_longer_than_the_model_takes() -> None:
    assert against(build(length=128), context_length=128) == {}
    message = against(build(length=129), context_length=128)["length"]
    assert "129" in message and "128" in message


def test_all_faults_against_a_model_at_once() -> None:
    recipe = build(allocation="manual", settings={"manual.ratios": (0.5,)}, length=300)
    assert set(against(recipe, context_length=128)) == {"settings.manual.ratios", "length"}
    assert set(against(build(pattern="2:4", length=300), widths={"it": 90}, context_length=128)) == {
        "pattern",
        "length",
    }


def test_complete_is_idempotent() -> None:
    for fields in ({}, {"pattern": "2:4"}, {"pruner": "sparsegpt"}, MANUAL):
        whole = Recipe.build(fields).model_dump()
        assert complete(whole) == whole


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/store/runs/aa78fdc4d190593b09c5/model", "aa78fdc4d190593b09c5/model"),
        ("/home/a/llama", "llama"),
        ("/home/a/llama.gguf", "llama.gguf"),
        ("org/model", "model"),
        ("demo", "demo"),
        ("/model", "/model"),
    ],
)
def test_models_that_runs_have_saved_are_told_apart_by_their_run(model: str, name: str) -> None:
    recipe = Recipe.build(model=model, pruner="wanda")
    assert recipe.model_name == name and recipe.title == f"Wanda 50% on {name}"

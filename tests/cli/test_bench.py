"""`bench`: what is measured, and the presets on a model of one's own."""

import re
from pathlib import Path

import pytest

from engine.cli.bench.main import FORMULAS, Subject, _recipes
from engine.cli.main import main
from engine.pruning.formulas.reading import EXAMPLE, parse
from engine.pruning.presets import PRESETS


def test_presets_are_measured_on_a_model(narrow_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", narrow_model, "--pruner", "wanda", "--pruner", "sparsegpt"]) == 0
    printed = capsys.readouterr().out
    assert f"{Path(narrow_model).name}: 8 windows of 512 tokens" in printed
    assert re.findall(r"^ +(\S+) .* s  +\d+\.\d\d x", printed, re.MULTILINE) == ["wanda", "sparsegpt"]


def test_a_missing_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", "./no-such-model"]) == 2
    assert "no-such-model" in capsys.readouterr().err


def test_formulas_that_cost_more_than_wandas_score_are_measured_with_the_presets(tmp_path: Path) -> None:
    (file := tmp_path / "ids.npy").touch()
    recipes = _recipes(Subject("bundled model", "demo", 1, 8, 1), file)
    timed = {
        str(recipe.settings["formula.expression"]) for recipe in recipes.values() if recipe.score == "formula"
    }
    assert set(recipes) > set(PRESETS) and timed == {EXAMPLE, *(parse(text).text for text in FORMULAS)}
    costly = {name for text in FORMULAS for name in parse(text).names} - parse(EXAMPLE).names
    assert costly == {"h", "u"} and any(parse(text).numbers > 100 for text in FORMULAS), "no ranks"

"""`bench --model`: the presets on a model of one's own."""

import re
from pathlib import Path

import pytest

from engine.cli.main import main


def test_presets_are_measured_on_a_model(narrow_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", narrow_model, "--pruner", "wanda", "--pruner", "sparsegpt"]) == 0
    printed = capsys.readouterr().out
    assert f"{Path(narrow_model).name}: 8 windows of 512 tokens" in printed
    assert re.findall(r"^ +(\S+) .* s  +\d+\.\d\d x", printed, re.MULTILINE) == ["wanda", "sparsegpt"]


def test_a_missing_model_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", "./no-such-model"]) == 2
    assert "no-such-model" in capsys.readouterr().err

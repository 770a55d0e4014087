"""`--methods`, `check`, `methods` and `doctor` with method files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.diagnosis import CHECKS
from engine.cli.main import main
from engine.laws.check import SHAPES, Verdict
from engine.laws.laws import LAWS
from engine.pruning.axes import SCORES, Invariance
from engine.pruning.method_files.loading import unload
from engine.pruning.plan import Plan
from engine.registry import METHOD_FILES
from tests.pruning.test_method_files import load, score


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "mine.py"
    file.write_text(score())
    yield file
    unload(file)


def test_methods_lists_what_a_file_adds(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--methods", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("from: mine.py (digest ") == 2  # the score and its pruner


def test_a_file_that_does_not_load_ends_the_command_with_a_sentence(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("x / 1")
    assert main(["methods", "--methods", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == (
        f"The method file {path} could not be loaded: line 1: NameError: name 'x' is not defined. "
        "Correct the file.\n"
    )


def test_a_broken_file_in_the_environment_does_not_hide_the_runs(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("x / 1")
    monkeypatch.setenv(METHOD_FILES, str(path))
    assert main(["methods"]) == 0
    assert "NameError" in capsys.readouterr().err
    path.write_text(score())
    assert main(["methods"]) == 0 and "mine" in SCORES


def test_check_prints_a_line_per_law_and_fails_if_one_is_broken(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Verdict("score", load(path, score()).methods[0][1], law) for law in ("one", "another")]
    monkeypatch.setattr("engine.laws.check.check", lambda file: found)
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "score mine",
        "  passed  one",
        "  passed  another",
        "All laws are kept.",
    ]
    found.append(Verdict("score", found[0].method, "a third", "3 of 4"))
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "  broken  a third",
        "          3 of 4",
        "1 law is broken.",
    ]


BROKEN = {
    "the result is the same each time": "import torch; return torch.rand(weight.shape)",
    "weight and statistics are not written to": "return weight.mul_(2)",
    "what is declared of the statistics is read": "return weight.abs()",
    "the declared invariances hold": "return (weight + 1).abs()",
    "sparsities from 0 to 0.99 are exact": "return weight.abs().cumsum(1)[:, :30]",
    "the layout in memory does not matter": "return weight.abs() * (1 if weight.is_contiguous() else -1)",
}


@pytest.mark.parametrize("law", BROKEN)
def test_a_law_notices_a_method_that_breaks_it(path: Path, law: str) -> None:
    more = "invariances=frozenset(Invariance), needs=frozenset({Need.INPUT_NORM}), default_group"
    source = "from engine.pruning.axes import Invariance\nfrom engine.pruning.statistics import Need\n"
    load(path, source + score(BROKEN[law]).replace("default_group", more))
    assert SCORES["mine"].invariances == frozenset(Invariance)
    with pytest.raises(Exception, match=r"\d|input_norm"):
        LAWS[law](Plan.of(score="mine", group=SHAPES[1][1]), SHAPES[1])


def test_doctor_shows_the_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(METHOD_FILES, str(path))
    (finding,) = CHECKS["Methods"]("Methods")
    assert finding.state == "ok" and "adds score mine and pruner mine" in finding.message
    path.write_text("x / 1")
    (finding,) = CHECKS["Methods"]("Methods")
    assert finding.state == "failure" and "line 1: NameError" in finding.message


def test_a_recipe_file_loads_no_method_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = path.with_suffix(".json")
    recipe.write_text(f'{{"score": "mine", "method_files": {{"score": "{path}"}}}}')
    assert main(["prune", str(recipe)]) == 2
    assert f"comes from the method file {path}, which is not loaded" in capsys.readouterr().err
    assert "mine" not in SCORES

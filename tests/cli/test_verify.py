"""Imported runs on the command line: they never answer for a recipe, are marked, and can be verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.store.import_run import import_run
from engine.store.runs import Store


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store for all tests: a run is computed only once."""
    directory = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNESCOPE_HOME", str(directory))
        yield directory


@pytest.fixture(scope="module")
def common(narrow_model: str) -> list[str]:
    """What the runs have in common: evaluating this model takes a fraction of the time."""
    return ["--model", narrow_model, "--samples", "2", "--length", "16"]


@pytest.fixture(scope="module")
def options(common: list[str]) -> list[str]:
    return ["--pruner", "magnitude", "--sparsity", "0.5", *common]


@pytest.fixture(scope="module")
def record(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The record of a run that a colleague has computed."""
    directory = tmp_path_factory.mktemp("elsewhere") / "run"
    assert main(["prune", *options, "--out", str(directory)]) == 0
    return (directory / "record.json").read_text()


@pytest.fixture(scope="module")
def forged(record: str) -> str:
    """The key of the record with a perplexity that no pruning gives, imported."""
    fields = json.loads(record)
    for score in (fields["pruned"], fields["evaluations"][0]["pruned"]):
        score.update(perplexity=1.0, nll=0.0)
    return import_run(Store(), json.dumps(fields).encode(), "colleague.json")


def test_prune_and_sweep_compute_what_was_imported(
    common: list[str], options: list[str], record: str, forged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", *options]) == 0
    assert main(["sweep", *common, "--pruners", "magnitude", "--sparsities", "0.5"]) == 0
    assert " 1.000 " not in capsys.readouterr().out
    assert main(["runs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    own = json.loads(record)["key"]
    assert set(lines) == {own, forged}
    assert "(imported)" in lines[forged] and "(imported)" not in lines[own]
    assert main(["show", forged]) == 0
    assert "(imported)" in capsys.readouterr().out


def test_false_numbers_are_not_confirmed(forged: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", forged]) == 1
    out = capsys.readouterr().out
    assert "Not confirmed" in out and "pruned perplexity on stories: 1.0 imported" in out


def test_true_numbers_are_confirmed(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields = json.loads(record)
    fields["elapsed"] += 1  # the colleague's computer is slower
    key = import_run(Store(), json.dumps(fields).encode(), "colleague.json")
    assert main(["verify", key]) == 0
    assert "Confirmed: all" in capsys.readouterr().out


def test_a_run_whose_model_is_not_here_cannot_be_verified(
    record: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = json.loads(record)
    fields["recipe"]["model"] = fields["model"]["name"] = "/nowhere/model"
    key = import_run(Store(), json.dumps(fields).encode(), "colleague.json")
    assert main(["verify", key]) != 0
    assert "/nowhere/model" in capsys.readouterr().err


def test_a_run_that_was_computed_here_needs_no_verification(
    record: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = json.loads(record)["key"]
    assert Store().folder(key).is_finished() and main(["verify", key]) == 1
    assert "was computed here" in capsys.readouterr().err

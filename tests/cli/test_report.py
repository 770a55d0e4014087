"""`report`: a run as one file, and sentences where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.charts.report import LabelledRun, report, runs_report
from engine.cli.main import main
from engine.events import RunStarted
from engine.export.run_table import FORMATS, run_rows
from engine.recipe import Recipe, pin
from engine.store.folder import RunFolder
from engine.store.runs import Store
from engine.store.summary import Label
from tests.pages.fakes import ENDS, events


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def kept(**fields: str) -> RunFolder:
    """A finished run in the store."""
    recipe = Recipe.build(samples=7, **fields)
    folder = Store().folder(recipe.key)
    folder.create(recipe)
    for event in events(recipe, end=None):
        folder.append(event)
    folder.end(ENDS["finished"])
    return folder


def test_the_report_is_written_to_out_and_its_path_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = kept(), tmp_path / "mine.html"
    assert main(["report", folder.key[:8], "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text(encoding="utf-8") == report(folder.record())


def test_a_report_without_out_is_named_after_the_runs_key(tmp_path: Path) -> None:
    folder = kept()
    assert main(["report", folder.key]) == 0
    assert (tmp_path / f"{folder.key}.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_file_that_holds_something_else_is_replaced_only_with_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = kept(), tmp_path / "mine.html"
    out.write_text("notes")
    assert main(["report", folder.key, "--out", str(out)]) == 1
    assert "--force" in capsys.readouterr().err and out.read_text() == "notes"
    assert main(["report", folder.key, "--out", str(out), "--force"]) == 0
    assert out.read_text(encoding="utf-8") == report(folder.record())


def test_a_report_that_cannot_be_written_prints_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept()
    assert main(["report", folder.key, "--out", str(tmp_path / "nowhere" / "mine.html")]) == 1
    said = capsys.readouterr().err
    assert "The report cannot be written to" in said and "choose another file" in said


def test_several_runs_are_one_report_each_run_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [kept(), kept(pruner="ria")]
    Store().label(folders[0].key, Label(name="Mine <b>"))
    assert main(["report", *(folder.key for folder in folders), folders[0].key]) == 0
    assert capsys.readouterr().out == "runs.html\n"
    text = (tmp_path / "runs.html").read_text(encoding="utf-8")
    runs = [LabelledRun(folders[0].record(), "Mine <b>"), LabelledRun(folders[1].record())]
    assert text == runs_report(runs) and "Mine &lt;b&gt;" in text


@pytest.mark.parametrize("name", FORMATS)
def test_runs_as_a_table_are_printed_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folders = [kept(), kept(pruner="ria")]
    keys = [folder.key for folder in folders]
    table = FORMATS[name][1](run_rows((folder.record(), "") for folder in folders))
    assert main(["report", *keys, "--table", name]) == 0
    assert capsys.readouterr().out == table
    out = tmp_path / "table"
    out.write_text("mine")
    assert main(["report", *keys, "--table", name, "--out", str(out)]) == 1
    assert "The table cannot be written" in capsys.readouterr().err and out.read_text() == "mine"
    out.unlink()
    for _ in range(2):  # a table is replaced by a newer one
        assert main(["report", *keys, "--table", name, "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == table


def test_a_run_without_a_model_has_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe.build(samples=9)
    folder = Store().folder(recipe.key)
    folder.create(recipe)
    folder.append(next(event for event in events(recipe) if isinstance(event, RunStarted)))
    assert main(["report", folder.key]) == 1
    assert "stopped before its model was loaded" in capsys.readouterr().err


def test_an_unknown_key_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "nothing"]) == 1
    assert "no run has a key that begins with it" in capsys.readouterr().err


def test_a_bundled_run_is_shown_if_the_own_one_gave_no_result_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = pin(Recipe.build(pruner="wanda"))
    folder = Store().folder(recipe.key)
    folder.create(recipe)
    for event in events(recipe, blocks=0, end=None):
        folder.append(event)
    folder.end(ENDS["cancelled"])
    assert main(["show", recipe.key]) == 0
    shown = capsys.readouterr()
    assert "finished" in shown.out.splitlines()[0] and "so the bundled one is used" in shown.err

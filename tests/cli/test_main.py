"""The command line as scripts rely on it: files, exit statuses, what goes to stdout and what to stderr."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.cli.main import main
from engine.events import from_line
from engine.models.identity import ROOT
from engine.pruning.axes import AXES
from engine.pruning.formulas.vocabulary import NAMES
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.run_cache import MODELS
from engine.store.runs import Store

FAST = ["--samples", "4", "--length", "64"]
UNEVALUATED = [*FAST, "--evaluation", "none"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def options(corpus: Path) -> list[str]:
    """Those of a run that is evaluated on a few windows."""
    return ["--pruner", "sparsegpt", "--sparsity", "0.6", *FAST, "--evaluation", str(corpus)]


@pytest.fixture(scope="module")
def out(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that can be saved."""
    directory = tmp_path_factory.mktemp("run") / "out"
    model = str(ROOT / "assets" / "demo-model")
    saved = ["--out", str(directory), "--save-model", "--save-masks"]
    assert main(["prune", "--model", model, *options, *saved]) == 0
    return directory


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize(
    "command",
    [["prune"], ["prune", "--seeds", "2"], ["sweep", "--pruners", "wanda", "--sparsities", "0.5"]],
    ids=" ".join,
)
def test_a_device_that_is_missing_is_rejected_before_anything_is_loaded(
    command: list[str], device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr("engine.models.summary.summarise", lambda *_: pytest.fail("the model was read"))
    assert main([*command, "--device", device]) == 2
    assert capsys.readouterr() == (
        "",
        f"The recipe was rejected:\n  device: {device} was requested, but this machine has only cpu; "
        "choose cpu or auto.\n",
    )


def test_the_record_has_all_promised_fields(out: Path) -> None:
    record = json.loads((out / "record.json").read_text())
    assert record["dense"]["perplexity"] < record["pruned"]["perplexity"]
    assert record["sparsity"]["target"] == 0.6
    assert 0.59 < record["sparsity"]["achieved"] <= 0.6
    assert 0.8 < record["sparsity"]["coverage"] < 0.9
    assert len(record["blocks"]) == 8
    assert {"index", "sparsity", "alignment", "relative_error", "seconds"} <= set(record["blocks"][0])
    assert record["search"] == [] and record["warnings"] == []
    assert {"timings", "environment", "protocol"} <= set(record)


def test_masks_have_the_models_names_and_the_saved_model_has_their_zeros(out: Path) -> None:
    masks = load_file(out / "masks.safetensors")
    module = AutoModelForCausalLM.from_pretrained(out / "model")
    linears = {
        name: child
        for name, child in module.model.layers.named_modules(prefix="model.layers")
        if isinstance(child, torch.nn.Linear)
    }
    assert masks.keys() == linears.keys()
    removed = 0
    for name, mask in masks.items():
        assert mask.dtype == torch.bool and mask.shape == linears[name].weight.shape
        assert not linears[name].weight[~mask].any()
        removed += int((~mask).sum())
    assert (
        removed / sum(mask.numel() for mask in masks.values())
        == json.loads((out / "record.json").read_text())["sparsity"]["achieved"]
    )
    assert AutoTokenizer.from_pretrained(out / "model")("Once")["input_ids"]


def test_a_finished_run_is_read_and_a_folder_of_another_recipe_is_rejected(
    out: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out / "record.json").stat().st_mtime_ns
    assert main(["prune", *options, "--out", str(out)]) == 0
    assert (out / "record.json").stat().st_mtime_ns == before
    assert main(["prune", "--pruner", "wanda", *FAST, "--out", str(out)]) == 2
    assert "already holds another run (SparseGPT 60% on demo)" in capsys.readouterr().err


def test_a_single_run_keeps_no_model_for_others(options: list[str], tmp_path: Path) -> None:
    """The copies would take as much memory again as the run."""
    MODELS.clear()
    assert main(["prune", *options, "--out", str(tmp_path / "run")]) == 0
    assert MODELS.count == 0


def test_a_run_is_not_written_into_its_models_directory(capsys: pytest.CaptureFixture[str]) -> None:
    directory = ROOT / "assets" / "demo-model"
    before = sorted(directory.iterdir())
    assert main(["prune", "--out", str(directory)]) == 2
    assert "holds the model" in capsys.readouterr().err and sorted(directory.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["notes.txt", "recipe.json", "blocks/0.safetensors", "record.json", ".hidden"]
)
def test_a_directory_with_other_files_is_rejected(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "photos"
    (directory / name).parent.mkdir(parents=True)
    (directory / name).write_text("mine")
    assert main(["prune", *FAST, "--out", str(directory), "--save-model", "--save-masks"]) == 2
    error = capsys.readouterr().err
    assert f"{directory} holds other files" in error and "choose an empty directory" in error
    assert [path for path in directory.rglob("*") if path.is_file()] == [directory / name]
    assert (directory / name).read_text() == "mine"


def test_an_empty_directory_is_accepted(tmp_path: Path) -> None:
    assert main(["prune", *UNEVALUATED, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "record.json").is_file()


SIGNAL_ON_IMPORT = """
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, *_, module=sys.argv[1]):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["engine", "methods"]
runpy.run_module("engine", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["engine.cli.main", "pydantic", "torch"])
def test_ctrl_c_during_startup_ends_with_130(module: str) -> None:
    command = [sys.executable, "-c", SIGNAL_ON_IMPORT, module]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Cancelled.\n")


def test_ctrl_c_during_parsing_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("argparse.ArgumentParser.parse_args", interrupt)
    assert main(["methods"]) == 130
    assert capsys.readouterr().err == "Cancelled.\n"


SIGNAL_AT_EXIT = """
import atexit, os, runpy, signal, sys
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["engine", "doctor", "--help"]
runpy.run_module("engine", run_name="__main__")
"""


def test_ctrl_c_during_exit_prints_no_traceback() -> None:
    command = [sys.executable, "-c", SIGNAL_AT_EXIT]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "Cancelled.\n")


def test_garbage_is_not_collected_among_what_a_command_has_imported() -> None:
    code = (
        "import atexit, gc, runpy, sys; sys.argv[1:] = ['doctor', '--help'];"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000));"
        "runpy.run_module('engine', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "True True"


def test_without_out_a_run_is_written_to_the_store(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["prune", *UNEVALUATED]) == 0
    key = pin(Recipe.build(evaluation=None, samples=4, length=64)).key
    assert [run.key for run in Store().list()] == [key]
    printed = capsys.readouterr()
    assert key in printed.out and "sparsity    0.5000" in printed.out
    assert main(["runs"]) == 0
    assert f"{key}  finished" in capsys.readouterr().out
    assert main(["show", key[:5], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == key
    assert main(["replay", key, "--speed", "0", "--events"]) == 0
    kinds = [from_line(line).event for line in capsys.readouterr().err.splitlines()]  # type: ignore[attr-defined]
    assert kinds[0] == "run_started" and kinds[-1] == "finished" and kinds.count("block_pruned") == 8
    assert (
        main(
            [
                "export",
                key,
                "--model",
                str(tmp_path / "model"),
                "--masks",
                str(tmp_path / "m"),
                "--record",
                str(tmp_path / "r"),
            ]
        )
        == 0
    )
    weight = AutoModelForCausalLM.from_pretrained(tmp_path / "model").model.layers[3].mlp.up_proj.weight
    assert torch.equal(weight != 0, load_file(tmp_path / "m")["model.layers.3.mlp.up_proj"] & (weight != 0))
    assert json.loads((tmp_path / "r").read_text())["key"] == key
    assert main(["export", key, "--model", str(tmp_path / "model")]) == 1
    assert "not empty" in capsys.readouterr().err
    assert main(["export", key]) == 1
    assert "Nothing to export" in capsys.readouterr().err


def test_a_rejected_recipe_lists_all_errors_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--pruner", "nothing", "--sparsity", "2"]) == 2
    error = capsys.readouterr().err
    assert "pruner:" in error and "sparsity:" in error and "Traceback" not in error
    assert main(["prune", "--pattern", "3:5", "--length", "1000"]) == 2
    error = capsys.readouterr().err
    assert "divisible by 5" in error and "at most 512 tokens" in error
    assert main(["prune", "--save-masks"]) == 2


def test_a_recommended_pruner_says_what_it_stands_for_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--pruner", "best", "--sparsity", "0.9", "--save-masks"]) == 2  # lacks a directory
    said = capsys.readouterr().err
    assert "At 90% this is ALPS. Bundled model at 90%" in said and "not measured at 90%" in said


def test_a_failed_run_prints_one_sentence_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--samples", "5000"]) == 1
    printed = capsys.readouterr()
    assert "but only 111 fit" in printed.out and "Traceback" not in printed.out + printed.err
    assert main(["prune", "--samples", "5000", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_running_out_of_memory_prints_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scarce(store: Store) -> None:
        raise MemoryError

    monkeypatch.setattr(Store, "list", scarce)
    assert main(["runs"]) == 1
    assert "Memory ran out" in capsys.readouterr().err


def test_an_unknown_run_prints_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "abc"]) == 1
    assert "no run has a key that begins with it" in capsys.readouterr().err
    assert main(["runs"]) == 0
    assert "There are no runs" in capsys.readouterr().err


def test_methods_lists_every_method_of_the_registries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for method in [
        method for registry in (PRESETS, *AXES.values(), *LAYOUTS.values()) for method in registry.values()
    ]:
        assert f"\n  {method.name} " in printed
        assert method.explanation in printed and method.helps in printed and method.formula in printed
        assert method.sources in printed
        assert method.paper is None or (method.paper.title in printed and str(method.paper.url) in printed)
        assert all(
            f"{method.name}.{parameter.name}=...  {parameter.explanation}; {parameter.range}" in printed
            for parameter in method.parameters
        )


def test_methods_lists_what_a_formula_may_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in (*NAMES, "row_norm(x, p)", "where(x > y, u, v)"))


def test_a_formula_that_cannot_run_is_rejected_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prune", "--score", "formula", "--set", "formula.expression=W.__class__"]) == 2
    assert "the formula contains W.__class__, which is not allowed" in capsys.readouterr().err


def test_methods_lists_the_choices_of_presets_and_parameters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    assert "= score joint, update mrp, refinement none, pattern 2:4" in printed
    assert "1 to 1,024, default 8" in printed and "block or row or both, default both" in printed
    assert [line for line in printed.splitlines() if line and not line.startswith(" ")] == [
        "pruner (a preset over the axes)",
        *AXES,
        "pattern",
        "group",
        "permutation",
        "bias",
        "names and functions of formula.expression",
    ]


def test_an_interrupted_run_exits_with_130_and_keeps_its_finished_blocks(home: Path) -> None:
    """On a real process: events on stderr until a few blocks are done, then what Ctrl-C sends."""
    options = ["--samples", "40", "--evaluation", "none", "--events"]
    command = [sys.executable, "-m", "engine", "prune", *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "block_pruned" in line:
                process.send_signal(signal.SIGINT)
                break
        deadline = time.monotonic() + 60
        rest = process.stderr.read()
        assert process.wait(max(1, deadline - time.monotonic())) == 130
    assert "Traceback" not in rest
    (run,) = Store().list()
    assert run.state == "cancelled"
    assert len(Store().folder(run.key).blocks) >= 1


def test_a_sweep_computes_missing_runs_and_names_those_it_skips(
    home: Path, narrow_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = ["--pruners", "magnitude,apt-mm", "--sparsities", "0.5,2:4", "--model", narrow_model]
    options = ["sweep", *choices, *UNEVALUATED]
    assert main(options) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["magnitude", "magnitude", "apt-mm"]
    assert "apt-mm, uniform, 0.5 is skipped" in captured.err and "3 of 3 runs finished" in captured.err
    keys = {line.split()[0] for line in lines[1:]}
    assert keys == {run.key for run in Store().list()}
    before = {run.key: run.changed for run in Store().list()}
    assert main(options) == 0
    assert {run.key: run.changed for run in Store().list()} == before, "nothing is computed twice"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pruners", "wandar", "--sparsities", "0.5"], "wanda"),
        (["--pruners", "wanda", "--sparsities", "0.5", "--seeds", "one"], "comma-separated integers"),
        (["--pruners", "apt-mm", "--sparsities", "0.5"], "none of these runs is possible"),
    ],
)
def test_an_impossible_sweep_is_rejected(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", *options, *FAST]) == 2
    assert words in capsys.readouterr().err

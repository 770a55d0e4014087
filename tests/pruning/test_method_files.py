"""Method files: what is refused, how errors are reported, and which content a run has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.errors import MethodError, RecipeError
from engine.export.command_line import command
from engine.export.redaction import without_paths
from engine.pruning.axes import AXES, SCORES
from engine.pruning.method_files import loading, running
from engine.pruning.plan import Plan
from engine.pruning.presets import PRESETS
from engine.pruning.statistics import Statistics
from engine.recipe import Recipe, pin
from engine.registry import Origin
from engine.store.method_copies import keep_copies, load_copies

SCORE = """
from engine.pruning.axes import SCORES, Score
from engine.pruning.patterns import Group


def mine(weight, statistics):
    {body}


SCORES.add(Score(name="{name}", title="Mine", explanation="Mine.", function=mine, default_group=Group.ROW))
"""
LINE = 7  # of the body


def score(body: str = "return weight.abs()", name: str = "mine") -> str:
    return SCORE.format(body=body, name=name)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "mine.py"
    yield file
    loading.unload(file)


def load(path: Path, source: str) -> loading.MethodFile:
    path.write_text(source, encoding="utf-8")
    return loading.load_methods(path)


REFUSED = {
    "it has no method": ("x = 1", r"adds no method\. Add one"),
    "it is not Python": ("def f(:", "line 1: SyntaxError: invalid syntax"),
    "it raises": ("x = 1\nx / 0", "line 2: ZeroDivisionError: division by zero"),
    "it ends the process": ("import sys\nsys.exit(3)", "line 2: SystemExit: 3"),
    "it holds a null byte": ("\0", "could not be loaded: .*null byte"),
    "it takes the name of a score": (score(name="wanda"), "'wanda', but a built-in method has this name"),
    "it takes the name on another axis": (score(name="owl"), "'owl', but a built-in method has this name"),
    "it takes the name of a pruner": (score(name="apt-sm"), "'apt-sm', but a built-in method has this name"),
    "its name has a dot": (score(name="a.b"), "a name consists of"),
    "it names two methods alike": (score() + score(), "adds 'mine' twice"),
    "it adds to another axis": (
        score().replace("SCORES.add", "UPDATES.add").replace("import SCORES", "import UPDATES"),
        "takes a Update, not a Score",
    ),
    "it imports a file next to it": ("import helper", r"imports helper\.py, whose content its digest would"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_is_refused_with_a_sentence_and_adds_nothing(path: Path, case: str) -> None:
    source, message = REFUSED[case]
    (path.parent / "helper.py").write_text("x = 1")
    before = {axis: list(registry) for axis, registry in AXES.items()}
    with pytest.raises(MethodError, match=message) as error:
        load(path, source)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert {axis: list(registry) for axis, registry in AXES.items()} == before


@pytest.mark.parametrize(("name", "wrong"), [("missing.py", "does not exist"), ("", "is not a file")])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, wrong: str) -> None:
    with pytest.raises(MethodError, match=wrong):
        loading.load_methods(tmp_path / name)


def test_a_file_that_does_not_end_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.2)
    with pytest.raises(MethodError, match=r"not been run to its end after 0\.2 s, where it was in line [12]"):
        load(path, "while True:\n    pass\n")


def test_what_a_file_prints_is_not_on_stdout(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(path, "print('loading')\n" + score("print('scoring'); return weight.abs()"))
    Plan.of(score="mine").prune(torch.ones(2, 4), no_statistics(4), 0.5)
    out, err = capsys.readouterr()
    assert out == "" and err == "loading\nscoring\n"


def no_statistics(width: int) -> Statistics:
    return Statistics(width, 1, frozenset(), torch.device("cpu"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return weight / statistics.nothing", rf"failed in mine\.py, line {LINE}: AttributeError"),
        (
            "return statistics.hessian",
            rf"line {LINE}: AssertionError: .* not declare Need.HESSIAN",
        ),
        ("return weight.sum(0)", r"returns scores of shape \[4\] for weights of shape \[2, 4\]"),
        ("return weight * float('nan')", "returns 8 scores that are not numbers"),
        ("return [1.0]", "returns a list, not a tensor of scores"),
    ],
)
def test_a_failing_function_is_named_with_its_file_and_line(path: Path, body: str, message: str) -> None:
    load(path, score(body))
    with pytest.raises(MethodError, match=message) as error:
        Plan.of(score="mine").prune(torch.ones(2, 4), no_statistics(4), 0.5)
    assert "The score mine" in str(error.value)


def test_a_lack_of_memory_stays_one(path: Path) -> None:
    """The run then tries again with less."""
    load(path, score("raise MemoryError"))
    with pytest.raises(MemoryError):
        Plan.of(score="mine").prune(torch.ones(2, 4), no_statistics(4), 0.5)


def test_the_content_of_a_file_is_part_of_the_key(path: Path, tmp_path: Path) -> None:
    first = load(path, score())
    pinned = pin(Recipe.build(score="mine"))
    assert pinned.digests["score"] == first.origin.digest and pinned.method_files == {"score": str(path)}
    assert pinned.method_sources == [f"The score mine comes from mine.py (digest {first.origin.digest})."]
    assert f"--methods {path}" in command(pinned)
    assert "--methods mine.py" in command(without_paths(pinned))
    load(path, score("return -weight.abs()"))
    assert pin(Recipe.build(score="mine")).key != pinned.key
    assert "loaded with another content" in pinned.method_sources[0] or SCORES.has_version(
        "mine", first.origin.digest
    )
    loading.unload(path)
    copy = tmp_path / "elsewhere.py"
    load(copy, score())
    assert pin(Recipe.build(score="mine")).key == pinned.key
    loading.unload(copy)


def test_a_run_keeps_the_content_that_it_was_started_with(path: Path) -> None:
    load(path, score())
    pinned = pin(Recipe.build(score="mine", settings={}))
    load(path, score("return -weight.abs()"))
    choices = {"score": "mine", "group": "row"}
    weight = torch.arange(1.0, 5.0).reshape(1, 4)
    old, new = (
        Plan.of(**choices, digests=digests).prune(weight, no_statistics(4), 0.5).keep.tolist()
        for digests in (pinned.digests, {})
    )
    assert (old, new) == ([[False, False, True, True]], [[True, True, False, False]])


def test_the_key_does_not_depend_on_whether_the_file_is_loaded(path: Path) -> None:
    running = score().replace("default_group", "running=True, default_group")
    load(path, running.replace("statistics):", "statistics, columns=slice(None)):"))
    pinned = pin(Recipe.build(score="mine", update="mrp", group="block"))
    loading.unload(path)
    again = Recipe.model_validate_json(pinned.model_dump_json())
    assert again.key == pinned.key and again == pinned


def test_a_recipe_whose_file_is_not_loaded_can_be_shown_but_not_started(path: Path) -> None:
    load(path, score())
    pinned = pin(Recipe.build(score="mine"))
    loading.unload(path)
    assert pinned.title == "mine 50% on demo" and command(pinned)
    pinned = pinned.model_copy(update={"settings": {"mine.depth": 2.0}})
    with pytest.raises(
        RecipeError, match=r"comes from the method file .*mine\.py, which is not loaded"
    ) as error:
        pin(pinned)
    assert [fault.field for fault in error.value.faults] == ["score"]
    foreign = pinned.model_copy(update={"digests": {**pinned.digests, "score": "0123456789abcdef"}})
    assert foreign.method_sources[0].endswith("That file is not loaded here.")
    assert "digest 0123456789abcdef" in foreign.methods["score"].explanation
    with pytest.raises(MethodError, match="which is not loaded"):
        Plan.of(score="mine", digests=foreign.digests)


def test_the_store_keeps_a_copy_for_workers(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    load(path, score("return weight.abs() + 1"))
    pinned = pin(Recipe.build(score="mine"))
    keep_copies(home, pinned)
    loading.unload(path)
    monkeypatch.setattr(SCORES, "_versions", {})  # as in another process
    load_copies(home, pinned)
    assert Plan.of(score="mine", digests=pinned.digests).score.origin == pinned.origins["score"]
    monkeypatch.setattr(SCORES, "_versions", {})
    copy = home / "methods" / f"{pinned.digests['score']}.py"
    copy.write_text(score())
    with pytest.raises(MethodError, match="has another content"):
        load_copies(home, pinned)
    copy.unlink()
    with pytest.raises(MethodError, match=r"needs the method file mine\.py .* has no copy"):
        load_copies(home, pinned)


def test_an_edited_file_is_noticed_and_a_broken_one_keeps_its_methods(path: Path) -> None:
    path.write_text(score())
    assert loading.refresh([str(path)]) == []
    first = SCORES["mine"].origin
    path.write_text(score("return weight.abs() * 2"))
    assert loading.refresh([str(path)]) == []
    second = SCORES["mine"].origin
    assert first != second
    path.write_text("oops")
    for _ in range(2):  # it is said as long as it is so
        (sentence,) = loading.refresh([str(path)])
        assert "NameError" in sentence and sentence.endswith("Its previous version is still in use.")
    assert SCORES["mine"].origin == second
    path.write_text(score(name="renamed"))
    assert loading.refresh([str(path)]) == []
    assert "mine" not in SCORES and "mine" not in PRESETS and "renamed" in PRESETS


def test_two_files_cannot_share_a_name(path: Path, tmp_path: Path) -> None:
    load(path, score())
    with pytest.raises(MethodError, match=r"but one of mine\.py \(digest .*\) has this name"):
        load(tmp_path / "other.py", score("return weight"))


def test_a_stored_copy_cannot_name_a_file_outside_the_store(tmp_path: Path) -> None:
    """The digest of an imported run may hold anything."""
    recipe = Recipe.build().model_copy(update={"score": "mine", "digests": {"score": "../../secret"}})
    assert recipe.origins == {"score": Origin("unknown", "../../secret")}
    with pytest.raises(MethodError, match="has no copy"):
        load_copies(tmp_path, recipe)

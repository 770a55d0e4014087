"""The bundled runs: complete, current, reproducible, listed with the user's own runs, and read-only."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.analysis.comparison.protocols import by_protocol, finished_runs
from engine.cli import recorded, recorded_table
from engine.cli.main import main
from engine.errors import EngineError, StoreError
from engine.events import to_line
from engine.jobs.execute import execute
from engine.models.identity import fingerprint
from engine.models.known_files import SMOLLM2
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin, real_model
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED, Store

WANDA = pin(Recipe.build(pruner="wanda", sparsity=0.5))
RESULTS_ONLY = pin(Recipe.build(pruner="sparsegpt", sparsity=0.5))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_every_listed_run_has_a_folder_and_every_folder_is_known() -> None:
    """All runs of the bundled model are here; of the real one, only listed ones."""
    present = {path.name for path in RECORDED.iterdir()}
    assert set(recorded.recipes()) <= present <= set(recorded.recipes(recorded.EVERY_FAMILY))


def test_every_listed_pruner_is_recorded_at_every_sparsity_that_it_supports() -> None:
    listed = {
        (recipe.pruner, recipe.pattern, round(recipe.sparsity, 2))
        for recipe, _ in recorded.recipes().values()
        if recipe.allocation == "uniform"
    }
    for name in {family.pruner for family in recorded.FAMILIES}:
        assert {(name, "2:4", 0.5), (name, "4:8", 0.5)} <= listed
        tenths = {(name, "unstructured", tenth / 10) for tenth in range(1, 10)}
        assert PRESETS[name].pattern or tenths <= listed


def test_a_new_preset_or_allocation_needs_no_recorded_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(recorded.recipes())
    for registry, name in ((PRESETS, "wanda"), (ALLOCATIONS, "owl")):
        monkeypatch.setitem(registry._methods, "new", replace(registry[name], name="new"))
    assert Recipe.build(pruner="new", allocation="new").allocation == "new"
    assert set(recorded.recipes()) == before


def test_all_recorded_runs_are_finished_and_complete(store: Store) -> None:
    listed = recorded.recipes(recorded.EVERY_FAMILY)
    assert len(recorded.recipes()) == 264 and len(listed) == 264 + 57
    assert len(store.recorded) == len(list(RECORDED.iterdir()))
    for summary in store.recorded:
        assert summary.state == "finished" and summary.recorded, summary.message
        recipe, weights = listed[summary.key]
        assert summary.recipe == recipe
        assert summary.has_weights == weights
        folder = store.find(summary.key)
        assert all(folder.blocks.readable(index) for index in range(8)) == weights


def test_no_recorded_run_contains_a_path_of_its_machine(store: Store) -> None:
    for summary in store.recorded:
        for event in store.find(summary.key).events():
            assert not re.search(r'"(?:/|~|[A-Za-z]:\\\\)[^"]', to_line(event)), (summary.title, event)


def test_the_runs_of_the_real_model_share_one_protocol_apart_from_the_others(store: Store) -> None:
    groups = by_protocol(finished_runs((run.record, run.own) for run in store.recorded))
    real = [protocol for protocol in groups if protocol.model == SMOLLM2.name]
    assert len(groups) == 1 + len(real) and len(real) <= 1


def test_recorded_runs_are_small() -> None:
    assert sum(path.stat().st_size for path in RECORDED.rglob("*") if path.is_file()) < 12_000_000


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store for the runs that are computed now, which share the perplexity of the dense model."""
    return Store(tmp_path_factory.mktemp("computed"))


@pytest.mark.parametrize("recipe", [WANDA, RESULTS_ONLY], ids=["wanda", "sparsegpt"])
def test_a_run_computed_now_gives_the_same_results_and_is_used_from_then_on(
    recipe: Recipe, computed: Store
) -> None:
    store = computed
    given = store.find(recipe.key)
    assert given.recorded and recipe.key not in {run.key for run in store.list()}
    before, now = given.record(), execute(recipe, store.folder(recipe.key))
    assert (
        before.pruned is not None
        and now.pruned is not None
        and before.dense is not None
        and now.dense is not None
    )
    assert now.pruned.perplexity == pytest.approx(before.pruned.perplexity, rel=0.02), (
        "other processors round differently, which can change masks"
    )
    assert now.dense.perplexity == pytest.approx(before.dense.perplexity, rel=1e-3)
    assert [block.sparsity for block in now.blocks] == pytest.approx(
        [block.sparsity for block in before.blocks], abs=1e-3
    )
    assert not store.find(recipe.key).recorded
    assert [run.recorded for run in store.list() if run.key == recipe.key] == [False]


def test_without_weights_the_error_says_what_to_do(store: Store) -> None:
    store.find(WANDA.key).require_weights()
    with pytest.raises(StoreError, match="Compute it here first"):
        store.find(RESULTS_ONLY.key).require_weights()


def test_recording_computes_what_is_missing_and_removes_what_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [pin(Recipe.build(pruner=name, evaluation=None, samples=2, length=16)) for name in ("wanda", "ria")]
    wanted = {recipe.key: (recipe, recipe.pruner == "wanda") for recipe in few}
    monkeypatch.setattr(recorded, "recipes", lambda families=(): wanted)
    (tmp_path / "old").mkdir()
    assert [(done, total) for done, total, _ in recorded.record(tmp_path)] == [(0, 2), (1, 2)]
    assert {path.name for path in tmp_path.iterdir()} == set(wanted)
    assert (tmp_path / few[0].key / "blocks").is_dir() and not (tmp_path / few[1].key / "blocks").exists()
    assert list(recorded.record(tmp_path)) == []


@pytest.fixture(scope="module")
def real(narrow_model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with two runs of a small model in the place of the real one, recorded from its path."""
    file = replace(SMOLLM2, name="narrow", fingerprint=fingerprint(narrow_model))
    protocol = {"calibration": "stories", "samples": 2, "length": 200, "evaluation": "stories"}
    directory = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "SMOLLM2", file)
        patch.setattr(real_model, "SMOLLM2", file)
        patch.setattr(real_model, "PROTOCOL", protocol)
        patch.setattr(recorded, "FAMILIES", ())
        families = tuple(
            recorded.Family(name, sparsities=(0.5,), patterns=(), recipe=real_model.real_recipe)
            for name in ("magnitude", "wanda")
        )
        patch.setattr(recorded, "REAL_FAMILIES", families)
        steps = recorded.record(directory, model=narrow_model)
        next(steps)
        next(steps)
        steps.close()  # interrupted: the first run is there
        assert len(list(directory.iterdir())) == 1
        assert [done for done, *_ in recorded.record(directory, model=narrow_model)] == [0]
        yield directory


def test_runs_of_a_model_that_is_elsewhere_are_recorded_under_its_name(
    real: Path, narrow_model: str, tmp_path: Path
) -> None:
    store = Store(tmp_path / "home", real)
    assert {run.title for run in store.recorded} == {"Magnitude 50% on narrow", "Wanda 50% on narrow"}
    for summary in store.recorded:
        assert summary.state == "finished" and not summary.has_weights
        folder = store.find(summary.key)
        assert folder.recipe().key == summary.key and folder.checked_record().key == summary.key
        text = "".join(map(to_line, folder.events()))
        assert narrow_model not in text and str(tmp_path.parent.parent) not in text
    assert sorted(path.name for path in next(real.iterdir()).iterdir()) == [
        RunFolder.PACKED_EVENTS,
        "recipe.json",
    ]


def test_another_model_is_not_recorded_under_the_name(real: Path) -> None:
    run = next(real.iterdir())
    kept = run.rename(real.parent / "kept")
    with pytest.raises(EngineError, match=r"is another file.*pip download"):
        list(recorded.record(real, model="demo"))
    kept.rename(run)


def test_the_table_has_a_row_per_pruner_and_its_protocol(real: Path, tmp_path: Path) -> None:
    text = recorded_table.tables(Store(tmp_path / "home", real).recorded)
    assert "**narrow in float32 on stories, calibrated on 2 × 200 tokens of stories**" in text
    assert re.search(r"\| Magnitude \| \d+\.\d\d \(× \d+\.\d\d\) \|", text)
    assert text.index("Magnitude |") < text.index("Wanda |")


def test_the_commands_read_a_compressed_run_by_its_folder(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engine.cli.stored.RECORDED", real)
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    run = str(next(real.iterdir()))
    assert main(["show", run]) == 0 and "on narrow" in capsys.readouterr().out
    assert main(["replay", run, "--speed", "0"]) == 0
    assert main(["report", run, "--out", str(tmp_path / "report.html")]) == 0
    assert main(["export", run, "--record", str(tmp_path / "record.json")]) == 0
    assert main(["export", run, "--masks", str(tmp_path / "masks")]) == 1
    assert "without its weights" in capsys.readouterr().err


def test_a_run_is_verified_with_its_model_where_it_is_here(
    real: Path,
    narrow_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("engine.cli.stored.RECORDED", real)
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path / "home"))
    run = str(next(real.iterdir()))
    assert main(["verify", run, "--model", narrow_model]) == 0
    assert "are different here" not in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["verify", run, "--model", str(tmp_path / "nothing.gguf")]) == 2
        assert "there is no such file" in capsys.readouterr().err

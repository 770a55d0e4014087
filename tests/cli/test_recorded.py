"""The bundled runs: complete, current, reproducible, listed with the user's own runs, and read-only."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.cli import recorded
from engine.errors import StoreError
from engine.jobs.execute import execute
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from engine.store.runs import RECORDED, Store

WANDA = pin(Recipe.build(pruner="wanda", sparsity=0.5))
RESULTS_ONLY = pin(Recipe.build(pruner="sparsegpt", sparsity=0.5))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_the_list_and_the_folders_agree() -> None:
    assert {path.name for path in RECORDED.iterdir()} == set(recorded.recipes())


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


def test_all_are_finished_and_complete(store: Store) -> None:
    listed = recorded.recipes()
    assert len(store.recorded) == len(listed) == 177
    for summary in store.recorded:
        assert summary.state == "finished" and summary.recorded, summary.message
        recipe, weights = listed[summary.key]
        assert summary.recipe == recipe
        assert summary.has_weights == weights
        folder = store.find(summary.key)
        assert all(folder.blocks.readable(index) for index in range(8)) == weights


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in RECORDED.rglob("*") if path.is_file()) < 12_000_000


@pytest.mark.parametrize("recipe", [WANDA, RESULTS_ONLY], ids=["wanda", "sparsegpt"])
def test_a_run_computed_now_gives_the_same_results(recipe: Recipe, store: Store) -> None:
    before, now = store.find(recipe.key).record(), RunRecord.fold(run(recipe))
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


def test_a_recorded_run_is_used_until_it_is_computed_here(store: Store) -> None:
    recipe = WANDA
    assert store.find(recipe.key).recorded and not store.list()
    folder = store.folder(recipe.key)
    execute(recipe, folder)
    assert not store.find(recipe.key).recorded
    assert [run.recorded for run in store.list()] == [False]


def test_without_weights_the_error_says_what_to_do(store: Store) -> None:
    store.find(WANDA.key).require_weights()
    with pytest.raises(StoreError, match="Compute it here first"):
        store.find(RESULTS_ONLY.key).require_weights()


def test_recording_computes_what_is_missing_and_removes_what_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [pin(Recipe.build(pruner=name, evaluation=None, samples=2, length=16)) for name in ("wanda", "ria")]
    wanted = {recipe.key: (recipe, recipe.pruner == "wanda") for recipe in few}
    monkeypatch.setattr(recorded, "recipes", lambda: wanted)
    (tmp_path / "old").mkdir()
    assert [(done, total) for done, total, _ in recorded.record(tmp_path)] == [(0, 2), (1, 2)]
    assert {path.name for path in tmp_path.iterdir()} == set(wanted)
    assert (tmp_path / few[0].key / "blocks").is_dir() and not (tmp_path / few[1].key / "blocks").exists()
    assert list(recorded.record(tmp_path)) == []

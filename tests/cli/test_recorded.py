"""The runs that come with the project: complete, of this version, true, read beside one's own, and never
written to.
"""

from pathlib import Path

import pytest

from engine.cli import recorded
from engine.errors import StoreError
from engine.jobs.execute import execute
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from engine.store.runs import RECORDED, Store

WANDA = pin(Recipe.build(pruner="wanda", sparsity=0.5))
NUMBERS_ALONE = pin(Recipe.build(pruner="sparsegpt", sparsity=0.5))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def test_they_are_those_that_the_command_makes_and_of_this_version() -> None:
    assert {path.name for path in RECORDED.iterdir()} == {recipe.key for recipe in recorded.recipes()}


def test_every_pruner_is_recorded_at_every_sparsity_that_it_takes() -> None:
    found = {
        (recipe.pruner, recipe.pattern, round(recipe.sparsity, 2))
        for recipe in recorded.recipes()
        if recipe.allocation == "uniform"
    }
    for name, preset in PRESETS.items():
        assert {(name, "2:4", 0.5), (name, "4:8", 0.5)} <= found
        assert preset.pattern or {(name, "unstructured", tenth / 10) for tenth in range(1, 10)} <= found


def test_all_are_finished_and_whole(store: Store) -> None:
    assert len(store.recorded) == len(recorded.recipes())
    for summary in store.recorded:
        assert summary.state == "finished" and summary.recorded, summary.message
        assert summary.recipe is not None and summary.recipe.key == summary.key
        assert summary.has_weights == recorded.has_weights(summary.recipe)
        folder = store.find(summary.key)
        assert all(folder.blocks.readable(index) for index in range(8)) == summary.has_weights


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in RECORDED.rglob("*") if path.is_file()) < 12_000_000


@pytest.mark.parametrize("recipe", [WANDA, NUMBERS_ALONE], ids=["wanda", "sparsegpt"])
def test_what_they_say_is_what_a_run_says_now(recipe: Recipe, store: Store) -> None:
    before, now = store.find(recipe.key).record(), RunRecord.fold(run(recipe))
    assert (
        before.pruned is not None
        and now.pruned is not None
        and before.dense is not None
        and now.dense is not None
    )
    assert now.pruned.perplexity == pytest.approx(before.pruned.perplexity, rel=0.02), (
        "other processors round otherwise, and masks follow"
    )
    assert now.dense.perplexity == pytest.approx(before.dense.perplexity, rel=1e-3)
    assert [block.sparsity for block in now.blocks] == pytest.approx(
        [block.sparsity for block in before.blocks], abs=1e-3
    )


def test_a_recorded_run_is_found_until_one_has_ones_own(store: Store) -> None:
    recipe = WANDA
    assert store.find(recipe.key).recorded and not store.list()
    folder = store.folder(recipe.key)
    execute(recipe, folder)
    assert not store.find(recipe.key).recorded
    assert [run.recorded for run in store.list()] == [False]


def test_without_weights_it_says_what_to_do(store: Store) -> None:
    store.find(WANDA.key).require_weights()
    with pytest.raises(StoreError, match="Compute it here first"):
        store.find(NUMBERS_ALONE.key).require_weights()


def test_recording_computes_what_is_missing_and_removes_what_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [pin(Recipe.build(pruner=name, evaluation=None, samples=2, length=16)) for name in ("wanda", "ria")]
    monkeypatch.setattr(recorded, "recipes", lambda: few)
    (tmp_path / "old").mkdir()
    assert [(done, total) for done, total, _ in recorded.record(tmp_path)] == [(0, 2), (1, 2)]
    assert {path.name for path in tmp_path.iterdir()} == {recipe.key for recipe in few}
    assert (tmp_path / few[0].key / "blocks").is_dir() and not (tmp_path / few[1].key / "blocks").exists()
    assert list(recorded.record(tmp_path)) == []

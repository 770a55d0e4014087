"""The finished runs of one recipe at all sparsities."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from engine.errors import RecipeError
from engine.recipe import RESULT_VERSION, Recipe, pin
from engine.recipe.real_model import pin_known, real_recipe
from engine.store import runs as store_runs
from engine.store.runs import Store
from engine.store.series import Series, is_similar, series
from engine.store.summary import RunSummary, summarise


def run(recipe: Recipe, **facts: object) -> RunSummary:
    return replace(RunSummary(key=recipe.key, state="finished", recipe=recipe), **facts)  # type: ignore[arg-type]


def at(sparsity: float, **fields: object) -> Recipe:
    return Recipe.build(sparsity=sparsity, **fields)


def test_only_the_sparsity_may_differ() -> None:
    others = [at(0.4, seed=1), at(0.4, pruner="ria"), at(0.4, samples=8), at(0.4, evaluation=None)]
    others += [at(0.4, allocation="owl"), at(0.4, group="layer"), at(0.4, dtype="bfloat16")]
    members = [at(0.7), at(0.2)]
    found = series([run(recipe) for recipe in (*others, *members)], at(0.4))
    assert found.sparsities == (0.2, 0.7) and found.exact is None
    for recipe in others:
        assert series([run(recipe)], recipe).exact is not None, "each has a series of its own"


def test_unfinished_runs_and_runs_of_another_version_do_not_count() -> None:
    recipe = at(0.5)
    old = run(recipe, key=recipe.key_in(RESULT_VERSION - 1))
    assert not series([run(recipe, state="failed"), run(recipe, state="running"), old], recipe).runs


@pytest.mark.parametrize(
    ("wanted", "nearest"), [(0.5, 0.5), (0.53, 0.5), (0.57, 0.6), (0.55, 0.5), (0.0, 0.1), (0.99, 0.6)]
)
def test_the_nearest_run_is_the_lower_one_of_two(wanted: float, nearest: float) -> None:
    found = series([run(at(share)) for share in (0.6, 0.1, 0.5)], at(wanted))
    assert found.nearest is not None and found.nearest.recipe is not None
    assert found.nearest.recipe.sparsity == nearest
    assert (found.exact is found.nearest) == (wanted == nearest)


def test_a_run_of_this_machine_counts_before_a_bundled_and_an_imported_one() -> None:
    recipe = at(0.5)
    kinds = [run(recipe), run(recipe, recorded=True), run(recipe, key="imported-1", imported=True)]
    for best in range(3):
        for order in (kinds[best:], kinds[best:][::-1]):
            assert series(order, recipe).runs == (kinds[best],)


def test_a_pattern_fixes_the_sparsity() -> None:
    runs = [run(Recipe.build(pattern=pattern)) for pattern in ("2:4", "1:4", "4:8")]
    found = series(runs, Recipe.build(pattern="1:4"))
    assert [one.recipe and one.recipe.pattern for one in found.runs] == ["1:4"] and found.exact is not None
    assert series([], at(0.5)) == Series(at(0.5)) and Series(at(0.5)).nearest is None


def test_the_bundled_runs_are_series(tmp_path) -> None:
    runs = Store(tmp_path).recorded
    tens = tuple(step / 10 for step in range(1, 10))
    for pruner in ("wanda", "magnitude", "sparsegpt"):
        assert series(runs, pin(Recipe.build(pruner=pruner))).sparsities == tens
    real = real_recipe(pruner="wanda", sparsity=0.5)
    assert series(runs, real).sparsities == (0.5, 0.6)


def test_the_runs_like_a_recipe_are_found_without_reading_the_others(tmp_path, monkeypatch) -> None:
    """The first page of a new server shows one of them, and reading all takes most of a second."""
    monkeypatch.setattr(store_runs, "_recorded", {})
    wanted = pin(Recipe.build(pruner="ria", sparsity=0.3))
    store, read = Store(tmp_path), []
    monkeypatch.setattr(
        store_runs, "summarise", lambda folder, files: read.append(folder.key) or summarise(folder, files)
    )
    found = store.recorded_like(wanted)
    assert len(read) == len(found) < len(store.recorded) / 4
    assert series(found, wanted) == series(store.recorded, wanted) != Series(wanted)
    assert store.recorded_like(wanted) == store.recorded, "once all are known, they are at hand"


def test_a_bundled_run_without_a_readable_recipe_is_like_no_recipe(tmp_path) -> None:
    for name, content in {"text": b"{", "list": b"[]", "other": b'{"score": "magnitude"}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_bytes(content)
    (tmp_path / "nothing").mkdir()
    assert Store(tmp_path / "home", tmp_path).recorded_like(Recipe.build(pruner="wanda")) == []


def test_threads_that_need_the_bundled_runs_at_the_same_time_read_them_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store_runs, "_recorded", {})
    stores, reads = [Store(tmp_path, tmp_path) for _ in range(2)], []
    for store in stores:
        monkeypatch.setattr(store._bundled, "summaries", lambda: time.sleep(0.1) or reads.append(1) or [])
    with ThreadPoolExecutor() as threads:
        assert list(threads.map(lambda store: store.recorded, stores)) == [(), ()]
    assert reads == [1]


def test_a_known_model_that_is_not_here_is_pinned_by_its_content(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path))
    real = real_recipe(pruner="wanda", sparsity=0.5)
    form = real.model_copy(update={"revision": None, "digests": {}})
    assert pin_known(form).key == real.key and is_similar(run(real), form)
    with pytest.raises(RecipeError, match=r"no such file"):
        pin_known(form.model_copy(update={"model": "/nowhere/other.gguf"}))

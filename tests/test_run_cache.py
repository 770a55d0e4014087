"""The cache of models changes no result: the record and the weights are the same with a model that other runs
have used as with a fresh one (for every pruner: tests/test_run.py).
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest

from engine import run as run_module
from engine import run_cache
from engine.analysis.text import Reader
from engine.hardware import shared_cache
from engine.hardware.shared_cache import SharedCache
from engine.inputs import dense_model
from engine.models.language_model import LanguageModel
from engine.pruning.axes import ALLOCATIONS
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import prepare_run, run
from engine.run_cache import ModelCache
from tests.conftest import NARROW_BLOCKS
from tests.outcomes import computed, require_same
from tests.pruning.calls import SMALL_SEARCHES

Fields = dict[str, Any]


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory, narrow_model: str) -> Fields:
    """A narrow model, few and short windows, of ids: a text would be tokenised in each run."""
    directory = tmp_path_factory.mktemp("ids")
    texts = {}
    for role, count in (("calibration", 9), ("evaluation", 5)):
        np.save(
            file := directory / f"{role}.npy", np.random.default_rng(count).integers(0, 2048, (count, 48))
        )
        texts[role] = str(file)
    return {"model": narrow_model, "samples": 6, "length": 48, **texts}


@pytest.fixture(scope="module")
def used(fast: Fields) -> ModelCache:
    """A cache that another run has used."""
    models = ModelCache()
    computed(Recipe.build(pruner="sparsegpt", sparsity=0.8, **fast), models)
    return models


def assert_same(recipe: Recipe, models: ModelCache) -> None:
    """The same with a freshly loaded model and with one of `models`."""
    require_same(computed(recipe), computed(recipe, models))


@pytest.mark.parametrize(
    "allocation", [name for name, method in ALLOCATIONS.items() if not method.even and name != "manual"]
)
def test_every_top_up_gives_the_same_on_a_used_cache(allocation: str, fast: Fields, used: ModelCache) -> None:
    settings = SMALL_SEARCHES.get(allocation, {})
    assert_same(Recipe.build(allocation=allocation, settings=settings, sparsity=0.6, **fast), used)


def test_other_calibration_windows_are_not_taken_for_the_same(fast: Fields, used: ModelCache) -> None:
    assert_same(Recipe.build(sparsity=0.6, seed=5, **fast), used)


def test_a_run_that_was_given_up_in_the_middle_leaves_the_model_dense(fast: Fields) -> None:
    models = ModelCache()
    events = run(Recipe.build(sparsity=0.9, **fast), {}, None, models)
    list(islice(events, 7))
    events.close()  # type: ignore[attr-defined]
    assert_same(Recipe.build(sparsity=0.5, **fast), models)


def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each model that is loaded."""
    from engine import run

    seen: list[int] = []
    real = run.load

    def counted(*args: Any, **kwargs: Any) -> LanguageModel:
        seen.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(run, "load", counted)
    return seen


def dense_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the index of each block that evaluation windows pass dense."""
    passes: list[int] = []
    real = run_cache.Stream.advance

    def counted(self: Any, block: Any) -> None:
        if isinstance(self, run_cache.Remembered):
            passes.append(block.index)
        real(self, block)

    monkeypatch.setattr(run_cache.Stream, "advance", counted)
    return passes


def test_the_model_is_loaded_once_and_passes_once(fast: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    models, seen, passes = ModelCache(), loads(monkeypatch), dense_passes(monkeypatch)
    for sparsity in (0.3, 0.5, 0.7):
        computed(Recipe.build(sparsity=sparsity, **fast), models)
    assert len(seen) == 1
    assert passes == list(range(NARROW_BLOCKS)), "the dense model read the evaluation text once"


def test_a_prepared_run_finds_the_dense_pass_and_its_score(
    fast: Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, seen, passes = ModelCache(), loads(monkeypatch), dense_passes(monkeypatch)
    scored: list[str] = []
    real = run_module.perplexity

    def counted(*args: Any, which: Any) -> Any:
        scored.append(which)
        return real(*args, which=which)

    monkeypatch.setattr(run_module, "perplexity", counted)
    deque(prepare_run(pin(Recipe.build(sparsity=0.3, **fast)), models), maxlen=0)
    assert (seen, passes, scored) == ([1], list(range(NARROW_BLOCKS)), ["dense"])
    recipe = pin(Recipe.build(pruner="ria", sparsity=0.6, **fast))
    prepared = computed(recipe, models)
    assert (seen, len(passes), scored) == ([1], NARROW_BLOCKS, ["dense", "pruned"])
    require_same(computed(recipe), prepared)


def test_another_dtype_is_another_model(fast: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    models, seen = ModelCache(), loads(monkeypatch)
    computed(Recipe.build(**fast), models)
    assert_same(Recipe.build(dtype="bfloat16", **fast), models)
    assert len(seen) == 3


def test_a_streamed_model_is_not_kept(fast: Fields) -> None:
    models = ModelCache()
    assert_same(Recipe.build(residence="streamed", **fast), models)
    assert not models.count


def test_without_room_nothing_is_kept(fast: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "host_free", lambda: 1_000_000)
    models = ModelCache()
    assert_same(Recipe.build(**fast), models)
    assert not models.count


@pytest.fixture
def two_at_once(fast: Fields) -> Iterator[tuple[Iterator[Any], ModelCache]]:
    models = ModelCache()
    events = run(Recipe.build(sparsity=0.9, **fast), {}, None, models)
    list(islice(events, 6))
    yield events, models
    events.close()  # type: ignore[attr-defined]


def test_a_second_run_at_the_same_time_keeps_its_hands_off(
    two_at_once: tuple[Iterator[Any], ModelCache], fast: Fields
) -> None:
    first, models = two_at_once
    assert_same(Recipe.build(sparsity=0.4, **fast), models)
    record = RunRecord.fold(run(Recipe.build(sparsity=0.9, **fast)))
    rest = [event for event in first if event.event == "evaluated"]
    assert rest[0].pruned == record.pruned


def test_a_cleared_cache_loads_the_model_anew(fast: Fields) -> None:
    models = ModelCache()
    computed(Recipe.build(**fast), models)
    models.clear()
    assert not models.count
    assert_same(Recipe.build(sparsity=0.7, **fast), models)


def test_texts_use_the_model_that_a_run_has_loaded(fast: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    models, recipe, seen = ModelCache(), Recipe.build(**fast), loads(monkeypatch)
    _, blocks = computed(recipe, models)
    monkeypatch.setattr("engine.analysis.text.dense_model", lambda recipe: pytest.fail("loaded again"))
    cached = [Reader(models).continue_prompt(recipe, blocks, "Once upon a time", tokens=8) for _ in range(2)]
    monkeypatch.undo()
    fresh = Reader(ModelCache(SharedCache(share=0))).continue_prompt(
        recipe, blocks, "Once upon a time", tokens=8
    )
    assert cached == [fresh, fresh] and len(seen) == 1 and models.count == 1


def test_models_take_their_share_together(fast: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.build(**fast)
    size = 2 * sum(parameter.nbytes for parameter in dense_model(recipe).module.parameters())
    # a second model would need half of what the first one leaves
    monkeypatch.setattr(shared_cache, "host_free", iter([4 * size, 3 * size]).__next__)
    models = ModelCache()
    with models.lease() as first, models.lease() as second:
        for lease in (first, second):
            lease.model("demo", partial(dense_model, recipe))
        assert first.caches and not second.caches
        monkeypatch.setattr(shared_cache, "host_free", lambda: 4 * size)
    assert models.count == 1


def test_runs_with_other_seeds_do_not_pile_up(fast: Fields) -> None:
    models = ModelCache(SharedCache(spare=0))
    sizes = []
    for seed in range(3):
        computed(Recipe.build(seed=seed, **fast), models)
        sizes.append((len(models.cache.values()), models.cache.size // 100_000))
    assert sizes[0] == sizes[1] == sizes[2], "what only the first runs needed is gone"
    assert models.count == 1

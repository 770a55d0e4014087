"""Complete runs of the bundled model and tiny ones: perplexities, reproducibility, resuming, errors."""

import math
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from engine.analysis.text import Reader
from engine.events import BlockPruned, Event, Failed, Finished, ModelLoaded, WindowsReady
from engine.models.identity import DEMO_DIRECTORY
from engine.pruning.presets import PRESETS
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache
from tests.conftest import NARROW_BLOCKS
from tests.outcomes import Outcome, computed, require_same, require_same_weights

Fields = dict[str, Any]


def record_of(recipe: Recipe, models: ModelCache | None = None) -> RunRecord:
    return computed(recipe, models)[0]


@pytest.fixture(scope="module")
def evaluation_ids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    np.save(
        file := tmp_path_factory.mktemp("ids") / "ids.npy",
        np.random.default_rng(0).integers(0, 2048, (5, 64)),
    )
    return file


@pytest.fixture(scope="module")
def calibration_ids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    np.save(
        file := tmp_path_factory.mktemp("ids") / "calibration.npy",
        np.random.default_rng(1).integers(0, 2048, (9, 64)),
    )
    return file


@pytest.fixture(scope="module")
def fast(evaluation_ids: Path, calibration_ids: Path, narrow_model: str) -> Fields:
    """A narrow model, few and short windows, of ids: a text would be tokenised in each run."""
    texts = {"calibration": str(calibration_ids), "evaluation": str(evaluation_ids)}
    return {"model": narrow_model, "samples": 6, "length": 64, **texts}


@pytest.fixture(scope="module")
def finished() -> Callable[[Recipe], Outcome]:
    """Runs a recipe to its end with a freshly loaded model, once for all tests that need the same; they leave
    the outcome as it is.
    """
    outcomes: dict[str, Outcome] = {}

    def finish(recipe: Recipe) -> Outcome:
        if recipe.key not in outcomes:
            outcomes[recipe.key] = computed(recipe)
        return outcomes[recipe.key]

    return finish


@pytest.fixture(scope="module")
def used(fast: Fields) -> ModelCache:
    """A cache with a model that another run has used."""
    models = ModelCache()
    computed(Recipe.build(pruner="sparsegpt", sparsity=0.8, **fast), models)
    return models


def reference_perplexity(module: torch.nn.Module, ids: torch.Tensor) -> float:
    """The perplexity from plain forward passes, one window at a time, in float64 from the logits on."""
    total, tokens = 0.0, 0
    with torch.no_grad():
        for window in ids:
            logits = module(input_ids=window[None]).logits[0, :-1].double()
            total += cross_entropy(logits, window[1:], reduction="sum").item()
            tokens += len(window) - 1
    return math.exp(total / tokens)


def test_a_run_whose_device_is_missing_ends_with_a_record_of_its_recipe(
    monkeypatch: pytest.MonkeyPatch, fast: Fields
) -> None:
    """As when a run or a link comes from another machine."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    recipe = Recipe.build(device="mps", **fast)
    record = RunRecord.fold(run(recipe))
    assert record.state == "failed" and record.recipe == recipe and record.key == recipe.key
    assert (record.error or "").startswith("device: mps was requested, but this machine has only")


@pytest.fixture(scope="module")
def dense() -> Callable[[str, Path], tuple[torch.nn.Module, float]]:
    """Loads a model with transformers and measures its perplexity, both once; each test gets a copy."""

    @cache
    def measured(model: str, ids: Path) -> tuple[torch.nn.Module, float]:
        module = AutoModelForCausalLM.from_pretrained(model)
        return module, reference_perplexity(module, torch.from_numpy(np.load(ids)))

    def copied(model: str, ids: Path) -> tuple[torch.nn.Module, float]:
        module, perplexity = measured(model, ids)
        return deepcopy(module), perplexity

    return copied


CHANGES = {(preset.update, preset.refinement, preset.bias): name for name, preset in PRESETS.items()}
"""A preset for each way to change masks and weights after the score."""
WITH_PATTERN = [name for name, preset in PRESETS.items() if preset.pattern or name in CHANGES.values()]


@pytest.mark.parametrize(
    ("pruner", "pattern", "model"),
    [
        *((name, "unstructured", None) for name, preset in PRESETS.items() if not preset.pattern),
        *(
            (name, "2:4", None)
            for name, preset in PRESETS.items()
            if preset.pattern or name in CHANGES.values()
        ),
        ("wanda", "unstructured", str(DEMO_DIRECTORY)),
        ("sparsegpt", "2:4", str(DEMO_DIRECTORY)),
    ],
)
def test_both_perplexities_match_the_forward_pass_of_transformers(
    pruner: str,
    pattern: str,
    model: str | None,
    evaluation_ids: Path,
    fast: Fields,
    finished: Callable[[Recipe], Outcome],
    dense: Callable[[str, Path], tuple[torch.nn.Module, float]],
) -> None:
    fields = fast | ({"model": model} if model else {})
    record, blocks = finished(Recipe.build(pruner=pruner, pattern=pattern, **fields))
    ids = torch.from_numpy(np.load(evaluation_ids))
    module, before = dense(fields["model"], evaluation_ids)
    assert record.dense is not None and record.pruned is not None
    assert record.dense.perplexity == pytest.approx(before, rel=1e-5)
    for index, block in blocks.items():
        for name, pruned in block.items():
            weight = module.get_parameter(f"model.layers.{index}.{name}.weight")
            weight.data = weight.data * pruned.keep if pruned.weight is None else pruned.weight
            assert int((weight == 0).sum()) >= int((~pruned.keep).sum())
            if pruned.bias is not None:
                linear = module.get_submodule(f"model.layers.{index}.{name}")
                linear.bias = torch.nn.Parameter(pruned.bias)
    assert record.pruned.perplexity == pytest.approx(reference_perplexity(module, ids), rel=1e-5)
    assert record.pruned.perplexity != record.dense.perplexity


@pytest.mark.parametrize("pruner", [name for name, preset in PRESETS.items() if preset.pattern is None])
def test_sparsity_0_gives_the_dense_perplexity_exactly(pruner: str, fast: Fields, used: ModelCache) -> None:
    record = record_of(Recipe.build(pruner=pruner, sparsity=0, **fast), models=used)
    assert record.dense == record.pruned
    assert record.ratio == 1
    assert record.sparsity.achieved == 0
    assert all(block.relative_error == 0 and block.alignment == 0 for block in record.blocks)


@pytest.mark.parametrize("pruner", PRESETS)
def test_the_same_recipe_gives_the_same_results_with_a_model_that_other_runs_have_used(
    pruner: str, fast: Fields, used: ModelCache, finished: Callable[[Recipe], Outcome]
) -> None:
    recipe = Recipe.build(pruner=pruner, **fast)
    require_same(computed(recipe, used), finished(recipe))
    assert used.count


ENDS = (1, 2, 3)
RESUMED = [
    (pruner, ENDS[(place + shift) % 3])
    for place, pruner in enumerate(PRESETS)
    for shift in range(3 if pruner in ("wanda", "sparsegpt") else 1)
]
"""Every pruner after one, two or all three finished blocks; two pruners after each of them."""


@pytest.mark.parametrize(("pruner", "done"), RESUMED)
def test_a_resumed_run_gives_the_same_result_as_an_uninterrupted_one(
    pruner: str, done: int, fast: Fields, finished: Callable[[Recipe], Outcome], used: ModelCache
) -> None:
    recipe = Recipe.build(pruner=pruner, **fast)
    uninterrupted, whole = finished(recipe)
    part: dict[int, BlockWeights] = {}
    before: list[Event] = []
    with closing(run(recipe, part, None, used)) as events:
        for event in events:
            before.append(event)
            if isinstance(event, BlockPruned) and event.index == done - 1:
                break
    assert len(part) == done
    after = list(run(recipe, part))
    record = RunRecord.fold([*before, *after])
    assert record.resumed == done
    assert [block.index for block in record.blocks] == list(range(NARROW_BLOCKS))
    assert (record.dense, record.pruned) == (uninterrupted.dense, uninterrupted.pruned)
    require_same_weights(part, whole)
    assert sum(isinstance(event, BlockPruned) for event in after) == NARROW_BLOCKS - done


def test_the_record_accounts_for_every_weight_and_states_its_protocol(fast: Fields) -> None:
    record = record_of(
        Recipe.build({**fast, "sparsity": 0.6, "calibration": "stories", "evaluation": "stories"})
    )
    assert record.model is not None and record.sparsity.coverage is not None
    assert record.model.prunable + sum(record.sparsity.skipped.values()) == record.model.parameters
    assert record.sparsity.coverage == record.model.prunable / record.model.parameters
    removed = sum(linear.removed for block in record.blocks for linear in block.linears)
    assert record.sparsity.achieved == removed / record.model.prunable
    for linear in (linear for block in record.blocks for linear in block.linears):
        assert linear.removed == linear.rows * math.floor(linear.columns * 0.6)
        assert 0 < linear.output_error < 1
    assert "windows of 64 tokens of stories (all in order), computed in float32" in record.protocol.perplexity
    assert "6 windows of 64 tokens of stories (chosen with seed 0" in record.protocol.statistics
    assert set(record.timings) >= {"load", "windows", "statistics", "prune", "propagate", "evaluate"}
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_without_evaluation_only_the_blocks_are_measured(fast: Fields) -> None:
    record = record_of(Recipe.build({**fast, "evaluation": None}))
    assert (record.dense, record.pruned, record.ratio) == (None, None, None)
    assert record.protocol.perplexity == "not measured"
    assert all(
        block.relative_error is None and block.cosine is None and block.alignment > 0
        for block in record.blocks
    )


def test_manual_ratios_reach_the_blocks(fast: Fields) -> None:
    ratios = (0.0, 0.3, 0.75)
    record = record_of(
        Recipe.build(
            allocation="manual", sparsity=0.35, settings={"manual.ratios": ratios}, group="layer", **fast
        )
    )
    assert record.allocation == ratios
    assert [round(block.sparsity, 3) for block in record.blocks] == list(ratios)
    scaled = record_of(
        Recipe.build(
            allocation="manual",
            settings={"manual.ratios": ratios, "manual.rescale": "yes"},
            group="layer",
            **fast,
        )
    )
    assert scaled.sparsity.achieved == pytest.approx(0.5, abs=1e-3)
    assert scaled.blocks[0].sparsity == 0


def failure(**fields: Any) -> str:
    *_, last = run(Recipe.build(fields))
    assert isinstance(last, Failed)
    assert "Traceback" not in last.message
    return last.message


def test_a_recipe_that_does_not_suit_the_model_fails_with_all_faults() -> None:
    message = failure(pattern="3:5")
    assert "input widths divisible by 5" in message
    message = failure(allocation="manual", settings={"manual.ratios": (0.5, 0.5)})
    assert "8 blocks, but 2 ratios" in message


def test_failures_are_messages_without_traceback(tmp_path: Path) -> None:
    assert "no such directory" in failure(model=str(tmp_path / "nothing"))
    (tmp_path / "config.json").write_text("{}")
    assert "no `model_type`" in failure(model=str(tmp_path))
    assert "but only 111 fit" in failure(samples=5000)


def test_a_damaged_weight_file_is_named(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((DEMO_DIRECTORY / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((DEMO_DIRECTORY / "model.safetensors").read_bytes()[:10_000])
    assert "model.safetensors" in failure(model=str(tmp_path)) and "is damaged" in failure(
        model=str(tmp_path)
    )


def test_a_model_without_a_tokenizer_takes_token_ids(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    np.save(file := tmp_path / "ids.npy", np.random.default_rng(0).integers(0, 50, (4, 16)))
    recipe = Recipe.build(
        model=str(tmp_path / "gpt2"),
        calibration=str(file),
        evaluation=str(file),
        score="sparsegpt",
        update="obs",
    )
    record = record_of(pin(recipe))
    assert record.model is not None and record.model.path == "transformer.h"
    assert record.sparsity.achieved == pytest.approx(0.5, abs=1e-3)


def test_all_names_of_the_bundled_model_have_the_same_key() -> None:
    keys = {
        pin(Recipe.build(model=name)).key
        for name in ("demo", str(DEMO_DIRECTORY), f"{DEMO_DIRECTORY}/../demo-model")
    }
    assert len(keys) == 1


def test_the_key_changes_with_the_content_of_files(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("one")
    before = pin(Recipe.build(calibration=str(file))).key
    file.write_text("two")
    assert pin(Recipe.build(calibration=str(file))).key != before


def test_pinning_again_follows_a_changed_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = pin(Recipe.build(model=str(tmp_path)))
    (tmp_path / "config.json").write_text('{"more": 1}')
    after = pin(before)
    assert before.revision and after.revision and before.revision != after.revision


def test_events_come_in_order(fast: Fields) -> None:
    # On a slow machine there are events of what is fetched, too.
    events = [event for event in run(Recipe.build(**fast)) if event.event != "fetching"]
    kinds = [event.event for event in events]
    head = ["run_started", "model_loaded", "windows_ready", "windows_ready", "allocated"]
    assert kinds == [*head, *["block_pruned"] * NARROW_BLOCKS, "evaluated", "finished"]
    assert [event.elapsed for event in events] == sorted(event.elapsed for event in events)
    assert (
        isinstance(events[1], ModelLoaded)
        and isinstance(events[2], WindowsReady)
        and isinstance(events[-1], Finished)
    )


def test_the_same_prompt_is_continued_by_both_models(fast: Fields) -> None:
    recipe = Recipe.build(sparsity=0.9, **fast)
    _, blocks = computed(recipe)
    greedy = Reader().continue_prompt(recipe, blocks, "Once upon a time", tokens=12)
    assert greedy.dense and greedy.dense != greedy.pruned
    assert greedy == Reader().continue_prompt(recipe, blocks, "Once upon a time", tokens=12)
    sampled = [
        Reader().continue_prompt(recipe, blocks, "Once upon a time", tokens=12, temperature=1.0, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert sampled[0] == sampled[1]
    assert sampled[0].dense != sampled[2].dense

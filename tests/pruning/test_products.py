"""Every pair of choices on two axes, on a tiny model: the exact sparsity, or a rejected recipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.errors import RecipeError
from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.allocations import neuroal
from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, SCORES, UPDATES
from engine.pruning.patterns import Group, removed
from engine.recipe import Recipe
from engine.recipe.validation import faults
from engine.record import RunRecord
from engine.run import run
from engine.run_cache import ModelCache
from tests.pruning.calls import FEW_STEPS, SMALL_SEARCHES
from tests.pruning.combinations import pairwise

BLOCKS, SPARSITY = 2, 0.6
SHAPES: list[dict[str, Any]] = [
    {},
    *({"group": group} for group in Group),
    *({"pattern": pattern} for pattern in ("2:4", "1:4")),
    *({"pattern": "2:4", "permutation": order} for order in ("zigzag", "assignment")),
]
AXES: dict[str, list[Any]] = {
    "score": list(SCORES),
    "shape": SHAPES,
    "allocation": list(ALLOCATIONS),
    "update": list(UPDATES),
    "refinement": list(REFINEMENTS),
}
RATIOS = (0.5, 0.7)


def fields(choice: tuple[Any, ...]) -> dict[str, Any]:
    score, shape, allocation, update, refinement = choice
    sparsity = {} if "pattern" in shape else {"sparsity": SPARSITY}
    settings = {"manual.ratios": RATIOS} if allocation == "manual" else SMALL_SEARCHES.get(allocation, {})
    chosen = (update, refinement)
    few = {key: value for key, value in FEW_STEPS.items() if key.partition(".")[0] in chosen}
    return {
        "score": score,
        **shape,
        **sparsity,
        "allocation": allocation,
        "update": update,
        "refinement": refinement,
        "settings": {**settings, **few},
    }


def is_accepted(choice: tuple[Any, ...]) -> bool:
    return not faults(fields(choice))


# Cached functions, not constants: they take seconds, and every process imports this file.
@cache
def all_choices() -> list[tuple[Any, ...]]:
    return list(product(*AXES.values()))


@cache
def accepted() -> list[tuple[Any, ...]]:
    return list(filter(is_accepted, all_choices()))


@cache
def covering() -> list[tuple[Any, ...]]:
    """Choices with every pair. A rejected one does not show that its pairs work, so accepted choices are
    picked first.
    """
    running = pairwise(accepted())
    return [*running, *pairwise(all_choices(), running)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and calibration ids."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=BLOCKS,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    np.save(folder / "ids.npy", np.random.default_rng(0).integers(0, 40, (4, 12)))
    return folder


@pytest.fixture(scope="module")
def models() -> ModelCache:
    """Keeps the model loaded: each run gets its dense weights back."""
    return ModelCache()


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search with the weakest and the strongest candidate of each step only."""
    for name in ("BLOCK_STRENGTHS", "ROW_STRENGTHS"):
        strengths = getattr(neuroal, name)
        monkeypatch.setattr(neuroal, name, (strengths[0], strengths[-1]))


def removed_by_group(rows: int, columns: int, recipe: Recipe, sparsity: float) -> int:
    """Return the number of weights to remove from a linear, counted group by group."""
    if recipe.pattern != "unstructured":
        kept, of = map(int, recipe.pattern.split(":"))
        return rows * columns // of * (of - kept)
    if recipe.group is Group.ROW:
        return rows * removed(columns, sparsity)
    width = columns if recipe.group is Group.LAYER else 128
    return sum(removed(rows * min(width, columns - start), sparsity) for start in range(0, columns, width))


def removed_by_row(rows: int, columns: int, quantiles: tuple[float, ...]) -> tuple[int, int]:
    """Return the bounds of the removed count with row sparsities; a row keeps `floor((1 - r) * columns)`."""
    least, most = (
        rows * (columns - floor(round((1 - ratio) * columns, 6))) for ratio in (quantiles[0], quantiles[-1])
    )
    return least, most


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.usefixtures("few_candidates")
def test_every_pair_runs_with_the_exact_sparsity_or_is_rejected(
    score: str, tiny: Path, models: ModelCache
) -> None:
    for choice in covering():
        if choice[0] == score:
            with naming(choice):
                require_exact_sparsity_or_rejection(choice, tiny, models)


@contextmanager
def naming(choice: tuple[Any, ...]) -> Iterator[None]:
    """Add the choice to what a failing check says."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{choice}")
        raise


def require_exact_sparsity_or_rejection(choice: tuple[Any, ...], tiny: Path, models: ModelCache) -> None:
    try:
        recipe = Recipe.build(
            fields(choice), model=str(tiny / "model"), calibration=str(tiny / "ids.npy"), evaluation=None
        )
    except RecipeError as error:
        assert all(len(fault.message.split()) > 5 and fault.message.endswith(".") for fault in error.faults)
        return
    record = RunRecord.fold(run(recipe, models=models))
    assert record.state == "finished", record.error
    assert np.mean(record.allocation) == pytest.approx(recipe.sparsity, abs=1e-9)
    for index, name, rows, columns, removed_count in counts(record):
        if ALLOCATIONS[recipe.allocation].linears:  # whose ratios the record does not state
            continue
        spread = (
            next((spread for spread in record.rows[index] if spread.name == name), None)
            if record.rows
            else None
        )
        if spread is None:
            assert removed_count == removed_by_group(rows, columns, recipe, record.allocation[index])
        else:
            least, most = removed_by_row(rows, columns, spread.quantiles)
            assert least <= removed_count <= most
    # Rounding to whole weights changes each row by less than one weight.
    assert record.sparsity.achieved == pytest.approx(recipe.sparsity, abs=1 / 16)


def counts(record: RunRecord) -> Iterator[tuple[int, str, int, int, int]]:
    for block in record.blocks:
        for linear in block.linears:
            yield block.index, linear.name, linear.rows, linear.columns, linear.removed


def test_most_combinations_are_accepted() -> None:
    """Every choice is accepted somewhere, and row groups with everything except a joint score."""
    possible = {part for choice in accepted() for part in map(str, enumerate(choice))}
    assert possible == {part for choice in all_choices() for part in map(str, enumerate(choice))}
    rows = {"group": Group.ROW}
    every = product(
        [name for name, score in SCORES.items() if not score.joint], [rows], ALLOCATIONS, UPDATES, REFINEMENTS
    )
    assert all(is_accepted(choice) for choice in every)

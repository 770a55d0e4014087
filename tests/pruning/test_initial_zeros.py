"""Weights that were zero before a run: counted, shown, and part of the sparsity that is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.charts.coverage import coverage_bar
from engine.charts.headline import run_numbers
from engine.cli.report import summary
from engine.events import LinearPruned
from engine.models.language_model import LanguageModel
from engine.pruning.plan import Plan
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import run
from tests.models.families import built, pruned, windows


@pytest.fixture(params=["llama"])
def half_empty(request: pytest.FixtureRequest) -> LanguageModel:
    """A model in which every second weight is zero."""
    model = built(request.param)
    for linear in model.linears.values():
        linear.weight[:, ::2] = 0
    return model


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.25, 0.5), (0.5, 0.5), (0.75, 0.75)])
def test_the_sparsity_is_that_of_the_weights(
    half_empty: LanguageModel, sparsity: float, zeros: float
) -> None:
    with torch.no_grad():
        linears = pruned(half_empty, Plan.of(score="magnitude"), sparsity).linears
    stored = {path.removeprefix("model.layers."): one for path, one in half_empty.linears.items()}
    for path, linear in linears.items():
        size = linear.rows * linear.columns
        assert linear.initial_zeros == size / 2 and linear.removed == int(size * sparsity)
        assert linear.zeros == int((stored[path].weight == 0).sum()) == size * linear.sparsity
        assert linear.sparsity == pytest.approx(zeros, abs=0.01)


def test_an_ordinary_model_has_none() -> None:
    with torch.no_grad():
        linears = pruned(built("llama"), Plan.of(score="wanda"), 0.5).linears
    assert all(linear.initial_zeros == linear.kept_zeros == 0 for linear in linears.values())


# Jamba has linears that are never called as modules, so they are left dense.
@pytest.mark.parametrize("half_empty", ["llama", "jamba"], indirect=True)
def test_a_run_says_so(half_empty: LanguageModel, tmp_path: Path) -> None:
    half_empty.module.save_pretrained(tmp_path)
    np.save(tmp_path / "ids.npy", windows().numpy())
    ids = str(tmp_path / "ids.npy")
    recipe = Recipe.build(model=str(tmp_path), calibration=ids, evaluation=ids, sparsity=0.25)
    record = RunRecord.fold(run(recipe))
    assert record.sparsity.initial == 0.5 and record.sparsity.achieved == pytest.approx(0.5, abs=0.01)
    words = "50.0 % of the prunable weights were already zero in the dense model"
    assert words in summary(record) and words in coverage_bar(record).caption
    assert words in next(
        number.protocol for number in run_numbers(record) if number.label == "Sparsity achieved"
    )


def test_events_of_older_versions_count_the_removed_weights() -> None:
    old = {"name": "q", "rows": 4, "columns": 4, "removed": 8, "sparsity": 0.5, "output_error": 0.1}
    assert LinearPruned.model_validate(old).zeros == 8

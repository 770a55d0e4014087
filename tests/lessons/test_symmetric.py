"""Lesson 6: scores entry by entry, laws of the family, and the neurons that the bundled model loses, counted
by sorting.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.lessons import symmetric
from engine.lessons.symmetric import COLUMNS, FAINT_ROW, ROWS, Lost
from engine.models.identity import DEMO_DIRECTORY
from engine.pruning.patterns import Group


def matrix() -> tuple[np.ndarray, np.ndarray]:
    """The weight `[out, in]` and the inputs `[tokens, in]`, float64."""
    weight, inputs = symmetric._layer(1.0)
    return weight.double().numpy(), inputs[:, 0].double().numpy()


def test_strengths_of_inputs_and_outputs():
    weight, inputs = matrix()
    found = symmetric.masked("wanda", 0.5)
    assert found.strengths == pytest.approx(np.sqrt((inputs**2).mean(0)), rel=1e-5)
    assert found.loudness == pytest.approx(np.sqrt(((inputs @ weight.T) ** 2).mean(0)), rel=1e-5)


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_the_blend_entry_by_entry(part):
    weight, inputs = matrix()
    a, b = np.sqrt((inputs**2).mean(0)), np.sqrt(((inputs @ weight.T) ** 2).mean(0))
    found = symmetric.blended(part, 0.5)
    for row in range(ROWS):
        for column in range(COLUMNS):
            assert found.scores[row][column] == pytest.approx(
                abs(weight[row, column]) * ((1 - part) * a[column] + part * b[row]), rel=1e-5
            )


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("group", [Group.LAYER, Group.ROW])
def test_the_input_alone_is_wanda(sparsity, group):
    assert (
        symmetric.blended(0.0, sparsity, group=group).kept
        == symmetric.masked("wanda", sparsity, group=group).kept
    )


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_within_rows_the_output_alone_is_magnitude(sparsity):
    assert (
        symmetric.blended(1.0, sparsity, group=Group.ROW).kept
        == symmetric.masked("magnitude", sparsity, group=Group.ROW).kept
    )


def test_the_error_and_the_counts():
    weight, inputs = matrix()
    found = symmetric.masked("ria", 0.6)
    kept = np.array(found.kept)
    assert found.error == pytest.approx(
        np.linalg.norm(inputs @ (weight * ~kept).T) / np.linalg.norm(inputs @ weight.T), rel=1e-5
    )
    assert found.left == tuple(kept.sum(1)) and found.heard == tuple(kept.sum(0))
    assert kept.sum() == ROWS * COLUMNS - int(0.6 * ROWS * COLUMNS)


def test_a_faint_row_dies_by_magnitude_and_lives_by_its_shares():
    assert symmetric.masked("magnitude", 0.5).dead_rows == (FAINT_ROW,)
    assert (
        symmetric.masked("ri", 0.5).left[FAINT_ROW] > 0 and symmetric.masked("ria", 0.5).left[FAINT_ROW] > 0
    )
    assert symmetric.masked("magnitude", 0.5, scale=4.0).left[FAINT_ROW] > 0


def test_shares_of_a_row_do_not_change_with_its_scale():
    plain, loud = (np.array(symmetric.masked("ri", 0.5, scale=scale).scores) for scale in (1.0, 8.0))
    sizes = [np.abs(np.array(symmetric.masked("ri", 0.5, scale=scale).weights)) for scale in (1.0, 8.0)]
    of_row = [scores - size / size.sum(0) for scores, size in zip((plain, loud), sizes, strict=True)]
    assert of_row[0][FAINT_ROW] == pytest.approx(of_row[1][FAINT_ROW], abs=1e-5)


def test_without_the_inputs_strength_ria_is_relative_importance():
    assert symmetric.masked("ria", 0.5, settings={"ria.alpha": 0.0}).kept == symmetric.masked("ri", 0.5).kept


def test_the_neurons_that_the_model_loses_counted_by_sorting():
    weights = [
        w.astype(np.float64)
        for name, w in load_file(Path(DEMO_DIRECTORY) / "model.safetensors").items()
        if name.endswith("proj.weight")
    ]
    rows = columns = 0
    for weight in weights:
        size = np.abs(weight)
        threshold = np.sort(size, axis=None)[int(round(0.95 * size.size, 6)) - 1]
        keep = size > threshold
        rows, columns = rows + int((~keep.any(1)).sum()), columns + int((~keep.any(0)).sum())
    assert symmetric.lost_in_model("magnitude")[-1] == Lost(0.95, rows, columns)
    assert symmetric.model_neurons() == (sum(w.shape[0] for w in weights), sum(w.shape[1] for w in weights))


def test_shares_cut_fewer_neurons_off():
    assert all(
        ri.rows + ri.columns <= size.rows + size.columns
        for ri, size in zip(symmetric.lost_in_model("ri"), symmetric.lost_in_model("magnitude"), strict=True)
    )

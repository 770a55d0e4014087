"""Lesson 6: scores entry by entry, properties of the family, and the lost neurons of the bundled model
counted by sorting.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.lessons import symmetric_scores
from engine.lessons.symmetric_scores import COLUMNS, ROWS, WEAK_ROW, LostNeurons
from engine.models.identity import DEMO_DIRECTORY
from engine.pruning.patterns import Group


def matrix() -> tuple[np.ndarray, np.ndarray]:
    """The weight `[out, in]` and the inputs `[tokens, in]`, float64."""
    weight, inputs = symmetric_scores.draw(1.0)
    return weight.double().numpy(), inputs[:, 0].double().numpy()


def test_strengths_of_inputs_and_outputs():
    weight, inputs = matrix()
    found = symmetric_scores.masked("wanda", 0.5)
    assert found.strengths == pytest.approx(np.sqrt((inputs**2).mean(0)), rel=1e-5)
    assert found.output_strengths == pytest.approx(np.sqrt(((inputs @ weight.T) ** 2).mean(0)), rel=1e-5)


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_the_blended_score_entry_by_entry(part):
    weight, inputs = matrix()
    a, b = np.sqrt((inputs**2).mean(0)), np.sqrt(((inputs @ weight.T) ** 2).mean(0))
    found = symmetric_scores.blended(part, 0.5)
    for row in range(ROWS):
        for column in range(COLUMNS):
            assert found.scores[row][column] == pytest.approx(
                abs(weight[row, column]) * ((1 - part) * a[column] + part * b[row]), rel=1e-5
            )


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("group", [Group.LAYER, Group.ROW])
def test_the_input_alone_is_wanda(sparsity, group):
    assert (
        symmetric_scores.blended(0.0, sparsity, group=group).kept
        == symmetric_scores.masked("wanda", sparsity, group=group).kept
    )


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_within_rows_the_output_alone_is_magnitude(sparsity):
    assert (
        symmetric_scores.blended(1.0, sparsity, group=Group.ROW).kept
        == symmetric_scores.masked("magnitude", sparsity, group=Group.ROW).kept
    )


def test_the_error_and_the_counts():
    weight, inputs = matrix()
    found = symmetric_scores.masked("ria", 0.6)
    kept = np.array(found.kept)
    assert found.error == pytest.approx(
        np.linalg.norm(inputs @ (weight * ~kept).T) / np.linalg.norm(inputs @ weight.T), rel=1e-5
    )
    assert found.row_counts == tuple(kept.sum(1)) and found.column_counts == tuple(kept.sum(0))
    assert kept.sum() == ROWS * COLUMNS - int(0.6 * ROWS * COLUMNS)


def test_a_weak_row_dies_under_magnitude_and_survives_by_its_shares():
    assert symmetric_scores.masked("magnitude", 0.5).dead_rows == (WEAK_ROW,)
    assert (
        symmetric_scores.masked("ri", 0.5).row_counts[WEAK_ROW] > 0
        and symmetric_scores.masked("ria", 0.5).row_counts[WEAK_ROW] > 0
    )
    assert symmetric_scores.masked("magnitude", 0.5, scale=4.0).row_counts[WEAK_ROW] > 0


def test_shares_of_a_row_do_not_change_with_its_scale():
    plain, scaled = (np.array(symmetric_scores.masked("ri", 0.5, scale=scale).scores) for scale in (1.0, 8.0))
    sizes = [
        np.abs(np.array(symmetric_scores.masked("ri", 0.5, scale=scale).weights)) for scale in (1.0, 8.0)
    ]
    of_row = [scores - size / size.sum(0) for scores, size in zip((plain, scaled), sizes, strict=True)]
    assert of_row[0][WEAK_ROW] == pytest.approx(of_row[1][WEAK_ROW], abs=1e-5)


def test_without_input_strengths_ria_is_relative_importance():
    assert (
        symmetric_scores.masked("ria", 0.5, settings={"ria.alpha": 0.0}).kept
        == symmetric_scores.masked("ri", 0.5).kept
    )


def test_the_lost_neurons_of_the_model_counted_by_sorting():
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
    assert symmetric_scores.lost_in_model("magnitude")[-1] == LostNeurons(0.95, rows, columns)
    assert symmetric_scores.model_neurons() == (
        sum(w.shape[0] for w in weights),
        sum(w.shape[1] for w in weights),
    )


def test_shares_disconnect_fewer_neurons():
    assert all(
        ri.rows + ri.columns <= size.rows + size.columns
        for ri, size in zip(
            symmetric_scores.lost_in_model("ri"), symmetric_scores.lost_in_model("magnitude"), strict=True
        )
    )

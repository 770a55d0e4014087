"""Pictures compared with loops over the entries, and spans."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import torch

from engine.analysis.microscope.picture import MOST_COLUMNS, MOST_ROWS, picture, pooled
from engine.analysis.microscope.zoom import LEAST, covered, parse_span, scaled, span_words
from engine.errors import ModelError


def weights(rows, columns, seed=0):
    """Return a dense and a pruned weight, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(rows, columns, generator=generator)
    keep = torch.rand(rows, columns, generator=generator) > 0.4
    return dense, dense.masked_fill(~keep, 0), keep


def by_loop(values, cell):
    """Return the mean of each cell, entry by entry in float64."""
    rows, columns = values.shape
    means = np.zeros((ceil(rows / cell[0]), ceil(columns / cell[1])))
    for i in range(means.shape[0]):
        for j in range(means.shape[1]):
            inside = [
                float(values[r, c])
                for r in range(i * cell[0], min(rows, (i + 1) * cell[0]))
                for c in range(j * cell[1], min(columns, (j + 1) * cell[1]))
            ]
            means[i, j] = sum(inside) / len(inside)
    return means


@pytest.mark.parametrize(
    ("rows", "columns", "cell"),
    [(7, 5, (2, 3)), (8, 6, (2, 3)), (5, 1, (2, 1)), (3, 9, (1, 4)), (4, 4, (9, 9))],
)
def test_pooling_is_the_mean_of_all_that_a_cell_stands_for(rows, columns, cell):
    values = np.random.default_rng(1).normal(size=(rows, columns)).astype(np.float32)
    assert pooled(values, cell) == pytest.approx(by_loop(values, cell), abs=1e-6)


def test_a_small_weight_is_shown_as_it_is():
    dense, pruned, keep = weights(6, 9)
    shown = picture(dense, pruned, keep)
    assert not shown.pooled and shown.whole
    assert np.array_equal(shown.dense, dense.numpy()) and np.array_equal(shown.pruned, pruned.numpy())
    assert np.array_equal(shown.kept, keep.numpy())
    assert shown.sparsity == pytest.approx(1 - keep.double().mean().item())
    assert shown.moved == 0


def test_a_large_weight_is_pooled_until_it_fits_and_loses_nothing():
    dense, pruned, keep = weights(3 * MOST_ROWS - 1, 2 * MOST_COLUMNS + 1)
    shown = picture(dense, pruned, keep)
    assert shown.cell == (3, 3)
    assert shown.dense.shape[0] <= MOST_ROWS and shown.dense.shape[1] <= MOST_COLUMNS
    assert shown.dense == pytest.approx(by_loop(dense.abs().numpy(), shown.cell), abs=1e-5)
    assert shown.kept == pytest.approx(by_loop(keep.float().numpy(), shown.cell), abs=1e-6)
    assert (
        shown.row_removed.tolist() == (~keep).sum(1).tolist()
        and shown.column_removed.tolist() == (~keep).sum(0).tolist()
    )


def test_a_part_is_that_part_and_the_counts_are_of_the_whole():
    dense, pruned, keep = weights(300, 400)
    shown = picture(dense, pruned, keep, (10, 30), (100, 140))
    assert not shown.pooled and not shown.whole
    assert np.array_equal(shown.dense, dense[10:30, 100:140].numpy())
    assert shown.removed == int((~keep).sum())


def test_what_an_update_moved_is_said():
    dense, pruned, keep = weights(5, 8)
    shown = picture(dense, 1.5 * pruned, keep)
    assert shown.moved == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("rows", [(0, 0), (3, 2), (-1, 3), (0, 7)])
def test_a_part_that_is_not_there_is_a_sentence(rows):
    with pytest.raises(ModelError, match="has the rows 0 to 5"):
        picture(*weights(6, 9), rows)


@pytest.mark.parametrize(
    ("low", "high", "span"),
    [
        (9.6, 20.4, (10, 21)),
        (20.4, 9.6, (10, 21)),
        (-3.0, 6.2, (0, 7)),
        (95.0, 140.0, (95, 100)),
        (50.0, 50.1, (50, 54)),
        (99.4, 99.5, (96, 100)),
    ],
)
def test_a_box_covers_the_entries_that_it_touches_and_a_few_at_least(low, high, span):
    assert covered(low, high, 100) == span


@pytest.mark.parametrize("length", [1, 3, 5, 64, 1000])
def test_closer_and_farther_stay_within_the_weight(length):
    span = (0, length)
    for factor in (0.5, 0.5, 0.5, 0.5, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        span = scaled(span, length, factor)
        assert 0 <= span[0] < span[1] <= length and span[1] - span[0] >= min(LEAST, length)
    assert span == (0, length)


def test_a_span_is_read_as_it_is_written():
    assert parse_span(span_words((3, 9)), 9) == (3, 9)
    assert [parse_span(words, 9) for words in ("3-9", "5-3", "x", "-1-3", "3", "")] == [None] * 6

"""The charts of one linear, tested on their data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from engine.analysis.microscope.ranks import stable_rank
from engine.charts.microscope.groups import group_boxes
from engine.charts.microscope.mask_tiles import ELEMENTS, LEVELS, tiles
from engine.charts.microscope.rows_and_columns import (
    norms_against_sparsity,
    rank_correlation,
    sparsity_profiles,
    worst_rows,
)
from engine.charts.microscope.scores import score_histogram
from engine.charts.microscope.spectrum import singular_values
from engine.charts.microscope.weight_map import weight_map
from engine.pruning.patterns import Group, SemiStructured, Unstructured
from tests.charts.specimens import Sample


def test_a_tile_has_the_size_of_its_kept_share_and_the_colour_of_its_weight():
    kept = np.array([[1.0, 0.0], [0.5, 0.25]])
    strength = np.array([[1.0, 0.5], [0.25, 2.0]])
    found = tiles(strength, kept, np.arange(2), np.arange(2), top=1.0)
    side = found.z.shape[0] // 2
    areas = {
        place: found.z[i * side : (i + 1) * side, j * side : (j + 1) * side]
        for place, (i, j) in enumerate(np.ndindex(2, 2))
    }
    shares = [np.count_nonzero(area) / side**2 for area in areas.values()]
    assert shares[0] > 0.8 and shares[1] < 0.15
    assert shares[2] == pytest.approx(0.5, abs=0.12) and shares[3] == pytest.approx(0.25, abs=0.12)
    assert set(np.unique(areas[0])) == {0, LEVELS}, "the strongest has the deepest colour"
    assert areas[1].min() < 0 == areas[1].max(), "what goes is on the other side of the scale"
    assert areas[3].max() == LEVELS, "what is stronger than the top is no deeper"
    assert found.dx * side == 1 and found.x0 - found.dx / 2 == -0.5, "the elements lie within their cells"


@pytest.mark.parametrize("cells", [(4, 4), (40, 40), (128, 192)])
def test_a_map_never_has_more_elements_than_a_browser_draws_at_once(cells):
    strength = np.ones(cells, dtype=np.float32)
    assert tiles(strength, strength, np.arange(cells[1]), np.arange(cells[0]), 1.0).z.size <= max(
        ELEMENTS, strength.size * 9
    )


def test_the_map_of_a_large_weight_says_what_a_cell_is():
    sample = Sample(300, 200)
    chart = weight_map(sample.picture(), sample.norms.numpy())
    assert "3 rows × 2 columns" in chart.caption and "6 weights" in chart.alt
    assert list(chart.table.columns) == [
        "first_row",
        "last_row",
        "first_column",
        "last_column",
        "dense",
        "pruned",
        "kept",
    ]
    cell = chart.table.iloc[101]
    part = (
        slice(int(cell.first_row), int(cell.last_row) + 1),
        slice(int(cell.first_column), int(cell.last_column) + 1),
    )
    assert cell.dense == pytest.approx(sample.dense[part].abs().mean().item(), abs=1e-5)
    assert cell.kept == pytest.approx(sample.keep[part].float().mean().item(), abs=1e-6)
    strip = chart.figure.data[0]
    assert strip.y[0] == pytest.approx(sample.norms[:2].mean().item(), rel=1e-5)


def test_close_up_every_removed_weight_is_crossed_out():
    sample = Sample(30, 24)
    chart = weight_map(sample.picture())
    crosses = next(
        trace
        for trace in chart.figure.data
        if isinstance(trace, go.Scatter) and trace.marker.symbol == "x-thin"
    )
    assert {(int(x), int(y)) for x, y in zip(crosses.x, crosses.y, strict=True)} == {
        (j, i) for i, j in np.argwhere(~sample.keep.numpy())
    }
    assert "being computed" in chart.caption


def test_closest_the_numbers_are_read():
    sample = Sample(300, 200)
    chart = weight_map(sample.picture((100, 110), (40, 52)))
    texts = {
        (int(x), int(y)): text
        for trace in chart.figure.data
        if isinstance(trace, go.Scatter) and trace.mode == "text"
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
    }
    assert len(texts) == 120
    for (column, row), text in texts.items():
        assert float(text.removeprefix("× ").replace("−", "-")) == pytest.approx(
            sample.dense[row, column].item(), abs=0.0051
        )
        assert text.startswith("×") != bool(sample.keep[row, column])
    assert chart.title == "Weight and mask: rows 100–109, columns 40–51 of 300 × 200"


def test_groups_are_framed_where_they_can_be_seen():
    sample = Sample(16, 32, SemiStructured(2, 4))
    framed = weight_map(sample.picture((0, 4), (8, 16)), m=4).figure.layout.shapes
    upright = sorted(shape.x0 for shape in framed if shape.x0 == shape.x1)
    assert upright == [7.5, 11.5, 15.5]
    assert not weight_map(sample.picture((0, 4), (9, 16)), m=4).figure.layout.shapes, (
        "a part that begins inside a group"
    )
    assert not weight_map(sample.picture((0, 4), (8, 16))).figure.layout.shapes


def test_the_map_can_be_selected_in():
    figure = weight_map(Sample().picture()).figure
    assert figure.layout.dragmode == "select"
    assert any(isinstance(trace, go.Scatter) for trace in figure.data)


@pytest.mark.parametrize(("group", "cuts"), [(Group.LAYER, 1), (Group.ROW, 12)])
def test_the_histogram_holds_every_weight_and_shows_the_cut(group, cuts):
    sample = Sample(pattern=Unstructured(group))
    facts = sample.score_distribution()
    chart = score_histogram(facts, "Wanda")
    assert chart.table[["kept", "removed"]].to_numpy().sum() == sample.dense.numel()
    assert [int(sum(trace.y)) for trace in chart.figure.data] == [
        int((~sample.keep).sum()),
        int(sample.keep.sum()),
    ]
    line = next(shape for shape in chart.figure.layout.shapes if shape.type == "line")
    assert line.x0 == pytest.approx(np.log10(facts.cuts[2]))
    (label,) = chart.figure.layout.annotations
    middle = np.log10(facts.edges[[0, -1]]).mean()
    assert label.xanchor == ("right" if line.x0 > middle else "left"), "it stays within the chart"
    assert [shape.type for shape in chart.figure.layout.shapes].count("rect") == (cuts > 1)
    assert ("one cut" in chart.caption) == (cuts == 1)
    assert chart.figure.data[0].marker.pattern.shape == "/", "not told apart by colour alone"


def test_the_histogram_says_what_else_had_a_say():
    sample = Sample()
    moved = sample.keep.clone()
    moved[0] = ~moved[0]
    assert (
        "changed the decision for 8 weights"
        in score_histogram(sample.score_distribution(moved), "Wanda").caption
    )
    assert (
        "at the moment of decision"
        in score_histogram(sample.score_distribution(running=True), "SparseGPT").caption
    )
    sample.scores[:, 0] = 0
    assert "12 scores are exactly 0" in score_histogram(sample.score_distribution(), "Wanda").caption


def test_a_histogram_of_nothing_but_zeros_and_of_nothing_removed():
    sample = Sample()
    sample.scores[:] = 0
    assert score_histogram(sample.score_distribution(), "Wanda").table["kept"].sum() == sample.keep.sum()
    dense = Sample(sparsity=0)
    assert "None was removed" in score_histogram(dense.score_distribution(), "Wanda").caption


def test_profiles_are_counted_over_the_whole_linear():
    sample = Sample(300, 200)
    chart = sparsity_profiles(sample.picture((5, 20), (0, 50)))
    by_row = chart.table[chart.table["kind"] == "row"]
    assert by_row["removed"].tolist() == (~sample.keep).sum(1).tolist()
    assert chart.figure.data[1].y == pytest.approx(100 * (~sample.keep).double().mean(0).numpy())
    assert "all 50.0 %" in chart.alt
    shaded = [shape for shape in chart.figure.layout.shapes if shape.type == "rect"]
    assert [(shape.x0, shape.x1) for shape in shaded] == [(4.5, 19.5), (-0.5, 49.5)]


def test_profiles_say_which_rows_are_dead():
    sample = Sample()
    sample.keep[3] = False
    sample.keep[:, 1] = False
    assert "Empty: 1 row and 1 column." in sparsity_profiles(sample.picture()).caption


def test_norms_stand_against_what_the_column_lost():
    sample = Sample(200, 30)
    chart = norms_against_sparsity(sample.norms.numpy(), (~sample.keep).sum(0).numpy(), 200)
    assert chart.figure.data[0].y == pytest.approx(100 * (~sample.keep).double().mean(0).numpy())
    ranks = pd.Series(sample.norms.numpy()).rank().corr(pd.Series((~sample.keep).sum(0).numpy()).rank())
    assert f"{ranks:.2f}".replace("-", "−") in chart.caption


def test_the_rank_correlation_is_spearman_s():
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 8, 27, 64])) == pytest.approx(1)
    left, right = np.array([1.0, 2, 2, 4, 5]), np.array([3.0, 3, 1, 2, 0])
    ranks = pd.Series(left).rank().corr(pd.Series(right).rank())
    assert rank_correlation(left, right) == pytest.approx(ranks)
    assert rank_correlation(left, np.ones(5)) is None


def test_the_rows_with_the_largest_error_come_first():
    study = Sample(40, 16).study()
    chart = worst_rows(study)
    assert len(chart.table) == 12
    assert chart.table["error"].is_monotonic_decreasing
    assert chart.figure.data[1].y[0] == pytest.approx(100 * study.median_error)
    assert f"row {study.lost[0].row}" in chart.alt


def test_groups_are_counted_and_shown():
    sample = Sample(16, 32, SemiStructured(2, 4))
    chart = group_boxes(sample.study().groups)
    assert chart.table["groups"].tolist() == [0, 0, 128, 0, 0]
    assert "None keeps more than 2" in chart.caption
    upright = [shape for shape in chart.figure.layout.shapes if shape.x0 == shape.x1]
    assert len(upright) == 32 // 4 + 1


def test_a_broken_pattern_is_said():
    sample = Sample(16, 32, SemiStructured(2, 4))
    sample.keep[0, :4] = True
    assert "1 keep more than 2" in group_boxes(sample.study().groups).caption


def test_singular_values_fall_and_their_stable_rank_is_said():
    chart = singular_values(Sample(20, 16).spectrum())
    assert chart.table["dense"].is_monotonic_decreasing and len(chart.table) == 16
    assert stable_rank(np.array([2.0, 1, 1])) == pytest.approx(1.5)
    assert stable_rank(np.zeros(3)) == 0

"""Charts are tested on their data: what is drawn, the table, and the words for readers who cannot see it."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from engine.analysis.linear_names import linear_names
from engine.charts import palette
from engine.charts.allocation import allocation_bars
from engine.charts.chart import block_axis, short_names
from engine.charts.coverage import coverage_bar, coverage_forecast
from engine.charts.depth import alignment_bars, error_through_depth
from engine.charts.heatmaps import linear_axis, output_error_grid, sparsity_grid
from engine.charts.refinement import refinement_error, refinement_swaps
from engine.charts.row_sparsity import row_spread
from engine.charts.search import alignment_against_uniform, search_curves
from engine.charts.tables import block_table, linear_table
from engine.charts.update import error_recovered
from engine.record import RunRecord
from tests.charts.records import infinite, record
from tests.pages.fakes import BLOCKS, PRUNABLE, SHAPES, SUMMARY

DECIDED = [allocation_bars, search_curves, alignment_against_uniform, row_spread]
DONE = [error_recovered, refinement_swaps, refinement_error]
CHARTS = [
    sparsity_grid,
    output_error_grid,
    alignment_bars,
    error_through_depth,
    coverage_bar,
    *DECIDED,
    *DONE,
]
EVERYTHING = {
    "score": "wanda",
    "update": "obs",
    "refinement": "dsnot",
    "allocation": "neuroal",
    "sparsity": 0.6,
}
"""A recipe for which every chart has data."""


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("blocks", [0, 3, 8])
@pytest.mark.parametrize("fields", [{}, EVERYTHING])
def test_every_chart_has_a_title_a_table_words_and_units(chart, blocks, fields):
    drawn = chart(record(blocks, **fields))
    assert drawn.title and drawn.caption and drawn.alt.endswith(".")
    assert drawn.figure.layout.title.text is None
    titled = [axis.title.text for axis in drawn.figure.select_xaxes()] + [
        axis.title.text for axis in drawn.figure.select_yaxes()
    ]
    assert any(titled)
    assert drawn.figure.layout.uirevision == "kept"
    assert drawn.figure.layout.paper_bgcolor == palette.TRANSPARENT
    assert isinstance(drawn.table, pd.DataFrame)


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_draw_a_record_that_knows_nothing_yet(chart):
    assert chart(RunRecord()).table.select_dtypes("number").to_numpy().sum() == 0


@pytest.mark.parametrize("chart", [chart for chart in CHARTS if chart not in (coverage_bar, search_curves)])
def test_the_block_axis_holds_all_blocks_from_the_start(chart):
    ranges = {
        blocks: [axis.range for axis in chart(record(blocks, **EVERYTHING)).figure.select_xaxes()]
        for blocks in (0, 3, 8)
    }
    assert ranges[0] == ranges[3] == ranges[8]
    assert ranges[0][-1] == (-0.5, BLOCKS - 0.5)


def test_the_sparsity_grid_has_a_number_in_each_done_cell_and_none_elsewhere():
    chart = sparsity_grid(record(3, sparsity=0.6))
    tiles, heat = chart.figure.data
    assert list(heat.y) == [name.split(".")[-1] for name in SHAPES]
    assert [[cell is None for cell in row] for row in heat.z] == [[False] * 3 + [True] * 5] * len(SHAPES)
    assert {text for row in heat.text for text in row} == {"60.0", ""}
    assert len(tiles.z[0]) == BLOCKS
    assert (heat.zmin, heat.zmax) == (0, 100)
    assert len(chart.table) == 3 * len(SHAPES)
    assert "3 of 8 blocks so far" in chart.alt and "60.0 %" in chart.alt


def of_blocks(blocks):
    """The record of a model with so many blocks, of which 8 are done."""
    done = record(8)
    assert done.model is not None
    return done.model_copy(update={"model": done.model.model_copy(update={"blocks": blocks})})


def test_numbers_leave_the_cells_only_where_they_do_not_fit():
    assert sparsity_grid(of_blocks(48)).figure.data[1].texttemplate is None
    assert sparsity_grid(record(8)).figure.data[1].texttemplate == "%{text}"


@pytest.mark.parametrize(
    ("blocks", "narrow", "scale"), [(8, False, False), (30, True, True), (48, False, True)]
)
def test_a_map_whose_numbers_do_not_fit_a_narrow_page_has_a_scale_instead(blocks, narrow, scale):
    """Plotly would shrink the numbers to half the size of print."""
    many = of_blocks(blocks)
    for grid in (sparsity_grid, output_error_grid):
        chart = grid(many)
        assert bool(chart.least_width) == narrow and chart.figure.data[1].showscale == scale
        assert ("the numbers are in the hover text" in chart.caption) == narrow
        assert not narrow or (chart.least_width - 130) / blocks >= 17, "pixels per cell while numbers show"


@pytest.mark.parametrize(("blocks", "names"), [(8, ["q_proj", "down_proj"]), (30, ["q", "down"])])
def test_a_map_of_many_blocks_abbreviates_the_names_beside_it(blocks, names):
    figure = sparsity_grid(of_blocks(blocks)).figure
    axis, full = figure.layout.yaxis, ["q_proj", "down_proj"]
    assert [axis.ticktext[0], axis.ticktext[-1]] == names
    assert [axis.tickvals[0], axis.tickvals[-1]] == full, "which the hover text shows"
    assert [figure.data[1].y[0], figure.data[1].y[-1]] == full


def test_names_that_are_not_common_are_not_abbreviated():
    assert linear_axis(30, ["c_attn", "attn.c_proj", "out_proj", "k_proj"])["ticktext"] == [
        "c_attn",
        "attn.c_proj",
        "out_proj",
        "k",
    ]


@pytest.mark.parametrize("blocks", [1, 8, 12, 13, 16, 22, 30, 32, 40, 80])
def test_the_numbers_of_the_blocks_fit_a_narrow_chart(blocks):
    axis = block_axis(blocks)
    assert len(range(0, blocks, axis["dtick"])) <= 12 and (axis["dtick"] == 1 or blocks > 12)


def test_the_scale_of_the_output_error_ends_at_a_round_number():
    assert output_error_grid(record(8)).figure.data[1].zmax == 50
    assert output_error_grid(record(0)).figure.data[1].zmax == 100


def test_blocks_that_come_out_of_order_are_drawn_in_order():
    one = record(3)
    mixed = one.model_copy(update={"blocks": one.blocks[::-1]})
    assert list(alignment_bars(mixed).figure.data[0].x) == [0, 1, 2]
    assert block_table(mixed).equals(block_table(one))


def test_error_and_cosine_have_a_panel_each():
    chart = error_through_depth(record(8))
    error, cosine = chart.figure.data
    assert list(error.y) == pytest.approx([100 * (0.08 + 0.035 * index) for index in range(8)])
    assert list(cosine.y) == pytest.approx([0.995 - 0.006 * index for index in range(8)])
    assert (error.yaxis, cosine.yaxis) == ("y", "y2")
    assert error.marker.symbol != cosine.marker.symbol
    assert chart.figure.layout.yaxis.range[0] == 0
    assert chart.figure.layout.yaxis2.range[0] == 0.9


def test_without_evaluation_there_is_no_error_through_depth():
    one = record(3, evaluation=None)
    bare = one.model_copy(
        update={
            "blocks": tuple(
                block.model_copy(update={"relative_error": None, "cosine": None}) for block in one.blocks
            )
        }
    )
    chart = error_through_depth(bare)
    assert chart.table.empty and "Not measured" in chart.alt


def test_coverage_adds_up_to_all_weights():
    chart = coverage_bar(record(8))
    assert chart.table["weights"].sum() == SUMMARY.parameters
    assert chart.table["share"].sum() == pytest.approx(1)
    assert dict(zip(chart.table["kind"], chart.table["weights"], strict=True))["removed"] == PRUNABLE // 2


def test_the_forecast_is_what_the_run_then_shows():
    assert coverage_forecast(SUMMARY, 0.5).table.equals(coverage_bar(record(8)).table)
    less = coverage_forecast(SUMMARY, 0.3)
    assert (
        less.table["weights"][0] == round(0.3 * PRUNABLE)
        and less.table["weights"].sum() == SUMMARY.parameters
    )


def test_an_infinite_error_does_not_break_a_chart():
    one = record(3)
    broken = one.blocks[1].model_copy(
        update={"relative_error": math.inf, "cosine": math.nan, "alignment": math.inf}
    )
    for chart in CHARTS:
        chart(one.model_copy(update={"blocks": (one.blocks[0], broken)})).figure.to_json()


@pytest.mark.parametrize("chart", [*DECIDED, *DONE])
@pytest.mark.parametrize("fields", [EVERYTHING, {"allocation": "owl"}])
def test_numbers_that_are_none_leave_axes_with_ends(chart, fields):
    drawn = chart(infinite(record(3, **fields)))
    drawn.figure.to_json()
    ends = [
        end
        for axis in [*drawn.figure.select_xaxes(), *drawn.figure.select_yaxes()]
        for end in axis.range or ()
    ]
    assert all(math.isfinite(end) for end in ends)
    assert drawn.alt.endswith(".")


def test_tables_have_a_row_a_block_and_a_row_a_linear():
    assert list(block_table(record(3)).columns) == [
        "block",
        "sparsity",
        "alignment",
        "relative_error",
        "cosine",
        "seconds",
    ]
    assert len(linear_table(record(3))) == 3 * len(SHAPES)


def test_short_names_tell_linears_apart():
    assert short_names(["self_attn.q_proj", "mlp.up_proj"]) == {
        "self_attn.q_proj": "q_proj",
        "mlp.up_proj": "up_proj",
    }
    assert short_names(["attn.c_attn", "attn.c_proj", "mlp.c_proj"]) == {
        "attn.c_attn": "c_attn",
        "attn.c_proj": "attn.c_proj",
        "mlp.c_proj": "mlp.c_proj",
    }
    assert linear_names(record(1)) == list(SHAPES)


def test_alignment_is_drawn_in_a_power_of_ten_that_the_axis_names():
    chart = alignment_bars(record(8))
    assert chart.figure.layout.yaxis.title.text == "Distance A, in 10⁻³"
    assert list(chart.figure.data[0].y) == pytest.approx([0.2 * (1 + index % 3) for index in range(8)])
    assert chart.table["alignment"].iloc[0] == 2e-4

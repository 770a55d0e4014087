"""The charts of what an update and a refinement did, tested on their data."""

from __future__ import annotations

import math

import pytest

from engine.analysis.changes import masked_error, update_changes
from engine.charts.refinement import refinement_error, refinement_swaps
from engine.charts.update import error_recovered
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.charts.records import linear, one_block, record


def test_a_block_is_the_mean_of_its_linears_weighted_by_their_weights():
    found = one_block(
        linear(10, 10, 0.1, error_before_update=0.2), linear(30, 10, 0.3, error_before_update=0.6)
    )
    table = error_recovered(found).table
    assert table.iloc[0].to_dict() == pytest.approx(
        {"block": 0, "mask_alone": 0.5, "updated": 0.25, "error_removed": 0.5}
    )


def test_linears_without_both_numbers_do_not_count():
    found = one_block(linear(10, 10, 0.1, error_before_update=0.2), linear(30, 10, 0.3))
    assert error_recovered(found).table["mask_alone"].tolist() == pytest.approx([0.2])
    assert error_recovered(one_block(linear(30, 10, 0.3))).table.empty


def test_the_update_is_drawn_as_dumbbells_with_the_share_error_removed():
    chart = error_recovered(record(3, pruner="sparsegpt"))
    join, before, after, share = chart.figure.data
    assert list(before.y) == pytest.approx([20, 22.5, 25]) and before.marker.symbol.endswith("-open")
    assert before.marker.symbol.removesuffix("-open") != after.marker.symbol
    assert [value for value in join.x if value is not None] == [0, 0, 1, 1, 2, 2]
    assert list(share.text) == [f"{100 * less:.0f}" for less in chart.table["error_removed"]]
    assert (before.yaxis, share.yaxis) == ("y", "y2")
    assert "3 of 8 blocks so far" in chart.alt and "The update removes" in chart.alt


def test_an_update_that_makes_it_worse_is_said_and_drawn_below_zero():
    chart = error_recovered(one_block(linear(10, 10, 0.3, error_before_update=0.2)))
    assert chart.table["error_removed"].tolist() == pytest.approx([-0.5])
    assert chart.figure.layout.yaxis2.range[0] < -50
    assert "The update adds 50 % to the error" in chart.alt


def test_small_shares_have_a_digit_more():
    chart = error_recovered(one_block(linear(10, 10, 0.203, error_before_update=0.2)))
    assert list(chart.figure.data[3].text) == ["−1.5"]
    assert "adds 1.5 % to the error" in chart.alt


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (math.inf, 0.1), (0.1, math.inf), (math.nan, 0.1)])
def test_a_share_that_says_nothing_is_left_out(before, after):
    chart = error_recovered(one_block(linear(10, 10, after, error_before_update=before)))
    assert chart.table["error_removed"].isna().all()
    assert list(chart.figure.data[3].text) == [""]
    assert "Not measured" in chart.alt


def test_numbers_leave_the_bars_only_where_they_do_not_fit():
    found = record(8, pruner="sparsegpt")
    wide = found.model_copy(update={"model": found.model.model_copy(update={"blocks": 32})})
    assert error_recovered(found).figure.data[3].text is not None
    assert error_recovered(wide).figure.data[3].text is None


def test_swaps_are_summed_over_the_refined_linears_alone():
    refined = [linear(10, 10, 0.1, error_before_refinement=0.2, swaps=swaps) for swaps in (3, 5)]
    chart = refinement_swaps(one_block(*refined, linear(100, 10, 0.1)))
    assert chart.table[["swaps", "weights", "share"]].iloc[0].tolist() == pytest.approx([8, 200, 0.04])
    assert list(chart.figure.data[0].y) == pytest.approx([4])
    assert "8 swaps" in chart.alt and "4.00 % of the refined weights" in chart.alt


def test_the_drift_is_the_mean_over_all_rows_and_has_a_panel_where_it_is_measured():
    some = one_block(
        linear(10, 50, 0.1, swaps=1, drift_before=2.0, drift_after=0.1),
        linear(30, 10, 0.1, swaps=1, drift_before=4.0, drift_after=0.3),
    )
    chart = refinement_swaps(some)
    assert chart.table[["drift_before", "drift_after"]].iloc[0].tolist() == pytest.approx([3.5, 0.25])
    assert len(list(chart.figure.select_yaxes())) == 2
    assert len(list(refinement_swaps(one_block(linear(10, 10, 0.1, swaps=1))).figure.select_yaxes())) == 1
    assert len(list(refinement_swaps(record(0, refinement="dsnot")).figure.select_yaxes())) == 2


def test_the_swaps_are_shown_per_row_and_the_lowered_error_has_the_name_of_the_method():
    measured = linear(4, 50, 0.1, swaps=6, drift_before=2.0, drift_after=1.0)
    found = one_block(measured)
    for refinement, name in (("sparseswaps", "row error"), ("dsnot", "drift")):
        recipe = Recipe.build(refinement=refinement)
        chart = refinement_swaps(found.model_copy(update={"recipe": recipe}))
        assert "6 swaps" in chart.alt and "1.5 per row" in chart.alt
        assert f"Mean {name}" in chart.alt and name in chart.figure.layout.yaxis2.title.text


def test_the_refinement_is_judged_by_the_mask_alone_also_where_an_update_follows():
    assert masked_error(linear(1, 1, 0.1)) == 0.1
    assert masked_error(linear(1, 1, 0.1, error_before_update=0.3)) == 0.3
    alone, updated = (
        refinement_error(record(3, refinement="dsnot", **more))
        for more in ({}, {"score": "wanda", "update": "obs"})
    )
    assert updated.table["error_after"].tolist() == pytest.approx([0.2, 0.225, 0.25])
    assert alone.table["error_after"].tolist() != updated.table["error_after"].tolist()
    assert alone.table["error_before"].tolist() == pytest.approx([0.17, 0.185, 0.2])


def test_nothing_finished_and_nothing_measured_have_different_words():
    for chart in (error_recovered, refinement_error, refinement_swaps):
        assert "No block is finished yet." in chart(RunRecord()).alt
        assert "Not measured." in chart(record(3)).alt


def test_blocks_that_come_out_of_order_are_paired_in_order():
    found = record(3, pruner="sparsegpt")
    mixed = found.model_copy(update={"blocks": found.blocks[::-1]})
    assert update_changes(found) == update_changes(mixed)

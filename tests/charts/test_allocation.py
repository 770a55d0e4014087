"""The charts of the sparsity allocation: allocation, search and rows, tested on their data."""

from __future__ import annotations

import pytest

from engine.analysis.candidates import best_candidate, uniform_candidate
from engine.charts.allocation import allocation_bars
from engine.charts.row_sparsity import has_uneven_rows, row_spread
from engine.charts.search import alignment_against_uniform, search_curves
from engine.events import QUANTILES, Candidate, RowSpread
from tests.charts.records import NEUROAL, record, undecided
from tests.pages.decisions import BLOCK_BEST, CONSUMERS, ROW_BEST, STRENGTHS
from tests.pages.fakes import BLOCKS, SHAPES

STOPPING = {**NEUROAL, "settings": {"neuroal.stop": "yes"}}
TRIED = 1 + len(STRENGTHS) + 1 + len(STRENGTHS)


def named(chart):
    """Return the traces of a chart by name; those that the legend leaves out are numbered."""
    return {trace.name or str(place): trace for place, trace in enumerate(chart.figure.data)}


def test_bars_are_the_ratios_between_the_target_and_an_outline_of_uniform():
    found = record(
        allocation="manual",
        sparsity=0.5,
        settings={"manual.ratios": (0.3, 0.5, 0.5, 0.55, 0.55, 0.6, 0.5, 0.5)},
    )
    chart = allocation_bars(found)
    marks = named(chart)
    assert list(marks["sparsity"].y) == pytest.approx([30, 50, 50, 55, 55, 60, 50, 50])
    assert set(marks["uniform"].y) == {50}
    assert marks["uniform"].marker.color == "rgba(0, 0, 0, 0)" and marks["uniform"].marker.line.width
    assert list(marks["target 50.0 %"].y) == [50, 50]
    assert list(chart.table.columns) == ["block", "uniform", "sparsity", "held"]
    assert "From 30.0 % in block 0 to 60.0 % in block 5, target 50.0 %" in chart.alt


def test_held_blocks_are_marked_by_a_pattern_and_a_word():
    chart = allocation_bars(record(**NEUROAL))
    held = named(chart)["clipped at a limit"]
    assert (
        list(held.x) == [BLOCKS - 1] and list(held.text) == ["clipped"] and held.marker.pattern.shape == "/"
    )
    assert BLOCKS - 1 not in named(chart)["sparsity"].x
    assert f"Clipped at a limit: block {BLOCKS - 1}." in chart.caption
    assert chart.table["held"].tolist() == [False] * (BLOCKS - 1) + [True]


def test_what_was_measured_has_a_panel_above_and_comes_before_the_ratios():
    early, late = (
        allocation_bars(found)
        for found in (undecided(5, allocation="owl", sparsity=0.6), record(allocation="owl", sparsity=0.6))
    )
    assert [len(early.figure.data[0].x), len(late.figure.data[0].x)] == [5, BLOCKS]
    assert (late.figure.data[0].yaxis, named(late)["sparsity"].yaxis) == ("y", "y2")
    assert early.table["sparsity"].isna().all() and late.table["measured"].notna().all()
    assert "5 of 8 blocks are measured" in early.caption
    assert "the lower its sparsity" in late.caption
    assert "outliers" in late.figure.layout.annotations[0].text.lower()


def test_a_quantity_that_does_not_decide_alone_is_given_no_direction():
    found = record(allocation="owl", sparsity=0.6)
    mixed = found.model_copy(update={"allocation": (0.5, 0.7) * 4})
    assert "its sparsity" not in allocation_bars(mixed).caption


def test_during_a_search_the_bars_are_the_best_candidates():
    found = undecided(8, **NEUROAL)
    best = best_candidate(found)
    assert best is not None and best.strength == 0.07
    assert list(named(allocation_bars(found))["sparsity"].y) == pytest.approx(
        [100 * ratio for ratio in best.ratios]
    )
    assert "Best so far, block step, λ = 0.07" in allocation_bars(found).alt


def test_both_curves_have_their_candidates_and_the_chosen_ones_stand_out():
    chart = search_curves(record(**NEUROAL))
    marks = named(chart)
    assert list(marks["block step"].x) == list(STRENGTHS)
    assert list(marks["row step"].x) == [0, *STRENGTHS]
    assert marks["block step"].marker.symbol != marks["row step"].marker.symbol
    assert list(marks["block step, chosen"].x) == [BLOCK_BEST] and list(marks["row step, chosen"].x) == [
        ROW_BEST
    ]
    assert (
        list(marks["row step, chosen"].text) == ["<b>λ = 0.04</b>"]
        and marks["row step, chosen"].marker.size > 12
    )
    assert list(marks["uniform"].y) == pytest.approx([1.14, 1.14]) and marks["uniform"].line.dash == "dash"
    assert chart.figure.layout.yaxis.title.text == "Objective, in 10⁻³"
    assert len(chart.table) == TRIED and chart.table["chosen"].sum() == 2
    assert "block step λ = 0.1 (1.070 × 10⁻³), row step λ = 0.04 (1.020 × 10⁻³)" in chart.alt


def test_objectives_near_one_are_written_without_a_power_of_ten():
    run = record(**NEUROAL)
    search = tuple(tried.model_copy(update={"objective": 1000 * tried.objective}) for tried in run.search)
    chart = search_curves(run.model_copy(update={"search": search}))
    assert chart.figure.layout.yaxis.title.text == "Objective"
    assert "block step λ = 0.1 (1.070), row step λ = 0.04 (1.020)" in chart.alt


def test_a_stopped_candidate_is_hollow_and_on_no_line():
    found = record(**STOPPING)
    chart = search_curves(found)
    stopped = [trace for trace in chart.figure.data if trace.name == "stopped: at least this value"]
    assert [trace.marker.symbol for trace in stopped] == ["circle-open", "diamond-open"]
    assert [trace.showlegend for trace in stopped] == [True, False]
    assert list(stopped[0].x) == [0.15, 0.2, 0.25] and max(named(chart)["block step"].x) == 0.12
    assert all(trace.mode == "markers" for trace in stopped)
    assert chart.table["stopped"].sum() == sum(tried.stopped for tried in found.search) > 3


@pytest.mark.parametrize(("chosen", "side"), [(0.0, "right"), (0.1, "center"), (0.25, "left")])
def test_the_label_of_a_chosen_candidate_stays_in_the_panel_at_both_ends_of_the_axis(chosen, side):
    search = (
        Candidate(
            step="block", strength=chosen, objective=1.0, block_objectives=(), ratios=(0.5,), chosen=True
        ),
    )
    marks = named(search_curves(record(**NEUROAL).model_copy(update={"search": search})))
    assert list(marks["block step, chosen"].textposition) == [f"top {side}"]


def test_the_curves_grow_candidate_by_candidate_on_one_axis():
    charts = [search_curves(undecided(steps, **NEUROAL)) for steps in (0, 1, 5, 17, None)]
    assert [len(chart.table) for chart in charts] == [
        0,
        1,
        5,
        16,
        TRIED,
    ]  # the 17th event is the choice of the block step
    assert len({chart.figure.layout.xaxis.range for chart in charts}) == 1
    assert "Best so far: block step, λ = 0.04" in charts[2].caption
    assert "No candidate" in charts[0].alt and "Uniform gives" in charts[1].alt


def test_the_best_candidate_is_of_the_last_step_and_never_a_stopped_one():
    assert best_candidate(undecided(0, **NEUROAL)) is None
    assert best_candidate(undecided(1, **NEUROAL)) == uniform_candidate(undecided(1, **NEUROAL))
    assert best_candidate(undecided(15, **STOPPING)).strength == BLOCK_BEST
    end = best_candidate(record(**STOPPING))
    assert (end.step, end.strength, end.chosen) == ("row", ROW_BEST, True)


def test_the_best_is_set_against_uniform_block_by_block():
    found = record(**NEUROAL)
    chart = alignment_against_uniform(found)
    uniform, best = chart.figure.data
    assert list(chart.table["uniform"]) == list(uniform_candidate(found).block_objectives)
    assert list(chart.table["best"]) == list(best_candidate(found).block_objectives)
    assert list(best.customdata) == list(best_candidate(found).block_objectives)
    assert best.name == "row step, λ = 0.04" and uniform.width > best.width
    assert "10.5 % lower than uniform in total; lower in 6 of 8 blocks." in chart.alt
    assert chart.figure.layout.xaxis.range == (-0.5, BLOCKS - 0.5)


def test_before_a_comparison_there_is_uniform_alone():
    chart = alignment_against_uniform(undecided(1, **NEUROAL))
    assert "Uniform: 1.140 × 10⁻³ in total." in chart.caption
    assert alignment_against_uniform(undecided(0, **NEUROAL)).table.empty


def test_rows_have_a_panel_for_each_distribution_and_a_box_for_each_block():
    found = record(**NEUROAL)
    chart = row_spread(found)
    assert [title.text for title in chart.figure.layout.annotations] == [
        "o_proj → gate_proj",
        "gate_proj, up_proj → down_proj",
    ]
    boxes = [trace for trace in chart.figure.data if trace.type == "box"]
    assert [list(box.x) for box in boxes] == [list(range(BLOCKS - 1))] * 2
    quantiles = found.rows[2][list(CONSUMERS).index("self_attn.o_proj")].quantiles
    at = dict(zip(QUANTILES, (100 * value for value in quantiles), strict=True))
    drawn = [getattr(boxes[0], name)[2] for name in ("lowerfence", "q1", "median", "q3", "upperfence")]
    assert drawn == pytest.approx([at[level] for level in (0.1, 0.25, 0.5, 0.75, 0.9)])
    assert len(chart.table) == BLOCKS * len(SHAPES)
    assert list(chart.table.columns) == [
        "block",
        "linear",
        "read_by",
        "rows_0%",
        "rows_10%",
        "rows_25%",
        "rows_50%",
        "rows_75%",
        "rows_90%",
        "rows_100%",
    ]


def test_uniform_rows_are_named_with_their_reason():
    caption = row_spread(record(**NEUROAL)).caption
    assert (
        "Uniform rows: q_proj, k_proj, v_proj and down_proj (no single linear of the block consumes their "
        "rows) and all of block 7." in caption
    )


def test_linears_that_share_a_consumer_but_not_their_rows_have_panels_of_their_own():
    spreads = [
        RowSpread(name=name, consumer="mlp.down_proj", quantiles=(0.5 + shift,) * 7)
        for name, shift in (("mlp.gate_proj", 0), ("mlp.up_proj", 0.1))
    ]
    found = record().model_copy(update={"rows": (tuple(spreads),)})
    assert len(row_spread(found).figure.layout.annotations) == 2
    assert "the same sparsity for all rows" in row_spread(found).alt


def test_rows_are_only_worth_a_chart_where_one_may_differ():
    assert has_uneven_rows(record(**NEUROAL))
    assert not has_uneven_rows(record(**NEUROAL, settings={"neuroal.step": "block"}))
    alone = RowSpread(name="mlp.up_proj", consumer=None, quantiles=(0.5,) * 7)
    assert not has_uneven_rows(record().model_copy(update={"rows": ((alone,),) * BLOCKS}))

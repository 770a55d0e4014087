"""The charts of lessons 5 to 8: their data, and that nothing depends on colour alone."""

from __future__ import annotations

import pytest

from engine.charts.lessons import (
    mask_refinement,
    perplexity_explosion,
    sparse_formats,
    sparsity_allocation,
    symmetric_scores,
)
from engine.charts.lessons.plots import Panel, pair_chart
from engine.charts.lessons.recorded_runs import recorded_changes, recorded_perplexities
from engine.lessons import mask_refinement as swap_lesson
from engine.lessons import perplexity_explosion as loss_lesson
from engine.lessons import sparse_formats as zero_lesson
from engine.lessons import symmetric_scores as symmetric_lesson
from engine.lessons.sparse_formats import Product
from engine.lessons.sparsity_allocation import Racer
from engine.lessons.symmetric_scores import MODEL_SPARSITIES, LostNeurons
from tests.charts.records import record


def scored(sparsity: float, perplexity: float, **fields):
    found = record(sparsity=sparsity, **fields)
    return found.model_copy(update={"pruned": found.pruned.model_copy(update={"perplexity": perplexity})})


def test_shares_are_bars_and_lines():
    chart = sparsity_allocation.shares((0.6, 0.8), {"NeuroAL": (0.5, 0.9)}, 0.7)
    bars, line = chart.figure.data
    assert list(bars.y) == [60, 80] and list(bars.text) == ["60", "80"]
    assert line.name == "NeuroAL" and list(line.y) == [50, 90]
    assert list(chart.table["your guess"]) == [0.6, 0.8]
    assert "NeuroAL from 50 % to 90 %" in chart.alt


def test_the_race_is_a_dot_chart_and_the_users_guess_is_a_star():
    racers = [Racer("neuroal", "NeuroAL", 90.0, 2e-3, 0.1), Racer("manual", "Your guess", 180.0, 1e-3, 0.0)]
    chart = sparsity_allocation.ranking(racers, 0.7)
    (dots,) = chart.figure.data
    assert list(dots.x) == [90, 180] and list(dots.marker.symbol) == ["circle", "star"]
    assert chart.figure.layout.yaxis.ticktext == ("NeuroAL", "▶ Your guess")
    assert (
        "× 2 the perplexity of the first" in chart.caption
        and "a different order: Your guess and NeuroAL" in chart.caption
    )
    assert "in the same order" in sparsity_allocation.ranking(racers[:1], 0.7).caption


def test_removed_weights_are_hatched_and_the_last_swap_is_labelled():
    row = swap_lesson.row(1)
    kept, removed, labels = mask_refinement.contributions(row).figure.data
    assert not kept.marker.pattern.shape and removed.marker.pattern.shape == "/"
    assert sum(removed.y) == pytest.approx(row.drift)
    assert {*kept.x, *removed.x} == {f"x{column + 1}" for column in range(len(row.kept))} and not {
        *kept.x
    } & {*removed.x}
    assert list(labels.x) == [f"x{column + 1}" for column in row.swapped] and list(labels.text) == [
        mask_refinement.RESTORED,
        mask_refinement.REMOVED,
    ]
    assert list(mask_refinement.contributions(swap_lesson.row(0)).figure.data[2].x) == []


def test_the_first_candidates_are_swapped_next():
    row = swap_lesson.row(0)
    table = mask_refinement.candidates(row)
    restored, out = (table.iloc[0, column].split()[0] for column in (0, 1))
    assert (restored, out) == tuple(f"x{column + 1}" for column in row.following)
    assert len(table) == max(sum(rank is not None for rank in ranks) for ranks in (row.growing, row.leaving))


def test_two_panels_hold_their_values():
    chart = pair_chart(
        [1, 2],
        Panel("a", [3, 4]),
        Panel("b", [0.5, 0.25], scale=100),
        axis="x",
        at=2,
        title="t",
        alt="a",
        caption="c",
    )
    assert [list(trace.y) for trace in chart.figure.data] == [[3, 4], [50, 25]]
    assert list(chart.table["b"]) == [0.5, 0.25]
    assert chart.figure.data[0].marker.symbol != chart.figure.data[1].marker.symbol


def test_the_errors_of_the_row_and_of_the_matrix():
    rows = [swap_lesson.row(swaps) for swaps in range(3)]
    chart = mask_refinement.swap_by_swap(rows, 1)
    assert list(chart.figure.data[0].y) == [row.drift for row in rows]
    assert list(chart.figure.data[1].y) == [100 * row.error for row in rows]
    states = swap_lesson.matrix(1.0)
    assert (
        f"with {swap_lesson.best(states).cycles} swaps per row" in mask_refinement.many_swaps(states).caption
    )


def test_damaged_tokens_are_hatched():
    losses = loss_lesson.token_losses(2, 6)
    chart = perplexity_explosion.loss_bars(losses)
    unchanged, damaged = chart.figure.data
    assert list(damaged.x) == [at + 1 for at in losses.damaged] and damaged.marker.pattern.shape == "/"
    assert sum([*unchanged.y, *damaged.y]) / 20 == pytest.approx(losses.nll)
    assert list(chart.table["loss"]) == list(losses.losses)


def test_the_caption_states_the_error_at_the_chosen_depth():
    chain = loss_lesson.chain(0.5)
    chart = perplexity_explosion.error_through_layers(chain, 8)
    assert list(chart.figure.data[0].y) == [100 * error for error in chain.error]
    assert "after 8 layers" in chart.caption


def test_the_chosen_run_is_highlighted():
    records = [record(sparsity=share) for share in (0.3, 0.5, 0.7)]
    chart = perplexity_explosion.error_in_runs(records, 0.5)
    assert [trace.line.width for trace in chart.figure.data] == [1.5, 1.5, 3]
    assert chart.figure.data[-1].text[-1] == " 50 %"
    assert len(chart.table) == 3 * len(records[0].blocks)


def test_loss_and_perplexity_are_of_the_same_runs():
    records = [record(sparsity=share) for share in (0.3, 0.5)]
    chart = perplexity_explosion.loss_and_perplexity(records, 0.5)
    assert list(chart.figure.data[0].y) == [each.pruned.nll for each in records]
    assert list(chart.figure.data[1].y) == [each.pruned.perplexity for each in records]
    assert "Wanda" in chart.title and "At 50 %" in chart.caption


def test_sizes_are_shares_of_dense():
    chart = sparse_formats.size_curves(2, 0.5)
    values = {trace.name: dict(zip(trace.x, trace.y, strict=True)) for trace in chart.figure.data}
    assert set(values["dense"].values()) == {100}
    assert values["bitmask + values"][50] == pytest.approx(56.25) and values["2:4"][50] == pytest.approx(
        56.25
    )
    assert values["sparse rows (CSR)"][50] == pytest.approx(
        100 * zero_lesson.sizes(0.5, 2).csr / zero_lesson.sizes(0.5, 2).dense
    )
    assert values["2:4"][45] != values["2:4"][45], "2:4 cannot hold more than half"


def test_the_caption_states_the_time_that_zeros_save():
    products = [
        Product(kernel, share, time, time, time, 3)
        for share, dense, sparse in ((0.0, 2e-3, 8e-3), (0.9, 2.02e-3, 1e-3))
        for kernel, time in (("dense", dense), ("csr", sparse))
    ]
    chart = sparse_formats.product_times(products)
    assert [list(trace.y) for trace in chart.figure.data] == [[2, pytest.approx(2.02)], [8, 1]]
    assert "× 1.01 of its time" in chart.caption and "faster from 90 %." in chart.caption
    assert "never faster" in sparse_formats.product_summary(products[:2])


def test_a_dead_row_is_stated():
    found = symmetric_lesson.masked("magnitude", 0.5)
    chart = symmetric_scores.masked_matrix(found, "title")
    assert "No weight is left in the row of y4." in chart.alt and len(chart.table) == 48
    assert chart.table["kept"].sum() == 24
    assert (
        "All outputs and inputs are still connected"
        in symmetric_scores.score_matrix(symmetric_lesson.masked("magnitude", 0.0), "title").alt
    )


def test_lost_neurons_are_outputs_and_inputs():
    losses = [LostNeurons(share, 1, 2) for share in MODEL_SPARSITIES]
    chart = symmetric_scores.lost_neurons({"Magnitude": losses}, 1000)
    assert set(chart.figure.data[0].y) == {3} and "of 1,000" in chart.caption


def test_recorded_perplexities_and_changes():
    wanda, swapped = [scored(0.5, 40.0), scored(0.7, 100.0)], [scored(0.5, 40.0), scored(0.7, 90.0)]
    chart = recorded_perplexities({"Wanda": wanda, "DSnoT": swapped}, 0.7)
    assert [list(trace.y) for trace in chart.figure.data] == [[40, 100], [40, 90]]
    assert (
        "At 70 %: Wanda 100.00 and DSnoT 90.00." in chart.caption and chart.figure.layout.yaxis.type == "log"
    )
    change = recorded_changes({"DSnoT over Wanda": (wanda, swapped)}, 0.7)
    assert list(change.figure.data[0].y) == [0, pytest.approx(-10)]
    assert "DSnoT over Wanda 100.00 to 90.00" in change.caption

"""Repeats in another order of the calibration windows: what they change, and what may be claimed then."""

import pytest
import torch

from engine.analysis.comparison.leaderboard import leaderboard
from engine.analysis.comparison.noise import indistinguishable
from engine.analysis.comparison.points import Point, points
from engine.analysis.comparison.seeds import over_orders
from engine.analysis.comparison.sweep import sweep
from engine.charts.compare.leaderboard import leaderboard_chart
from engine.corpora.windows import Windows
from engine.recipe import Recipe
from tests.analysis.comparison.records import made

REPEATS = {0: 30.0, 1: 30.5, 2: 29.8}


def point(**fields: object) -> Point:
    runs = [made(value, order=order, **fields) for order, value in REPEATS.items()]
    (found,) = next(iter(points(runs).values()))
    return found


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_an_order_keeps_all_windows(order: int) -> None:
    ids = torch.arange(24).view(8, 3)
    found = Windows(ids, available=9, documents=1, seed=0).in_order(order)
    assert sorted(found.ids.tolist()) == ids.tolist() and found.available == 9
    assert torch.equal(found.ids, ids) == (order == 0)
    assert order != 1 or torch.equal(found.ids, ids.flip(0))
    assert torch.equal(found.ids, Windows(ids, available=9, documents=1, seed=0).in_order(order).ids)


def test_orders_are_different_runs_and_order_0_keeps_the_key() -> None:
    plain = Recipe.build()
    stored = {name: value for name, value in plain.model_dump(mode="json").items() if name != "order"}
    assert Recipe.model_validate(stored).key == plain.key
    assert [one.order for one in over_orders(plain, 3)] == [0, 1, 2]
    assert [one.order for one in over_orders(Recipe.build(order=1), 3)] == [1, 0, 2]
    assert len({one.key for one in over_orders(plain, 4)}) == 4


def test_repeats_are_one_point_whose_noise_is_their_largest_difference() -> None:
    found = point()
    assert [run.recipe.order for run in found.runs] == [0] and found.perplexity == 30.0
    assert found.noise == pytest.approx(0.7) and found.deviation is None
    assert found.bar == pytest.approx((0.2, 0.5))


@pytest.mark.parametrize(("other", "alike"), [(30.6, True), (29.4, True), (30.8, False), (29.2, False)])
def test_closer_than_the_noise_cannot_be_distinguished(other: float, alike: bool) -> None:
    (found,) = points([made(other, pruner="ria")])["RIA"]
    assert indistinguishable(point(), found) is indistinguishable(found, point()) is alike


def test_without_repeats_nothing_is_claimed() -> None:
    (one,), (other,) = points([made(30.0)])["Wanda"], points([made(30.0, pruner="ria")])["RIA"]
    assert not indistinguishable(one, other)


def test_a_leaderboard_says_which_pruners_cannot_be_distinguished() -> None:
    found = points(
        [made(30.3, pruner="ria"), made(35.0, pruner="magnitude")]
        + [made(value, order=order) for order, value in REPEATS.items()]
    )
    entries = leaderboard(found, "0.5")
    assert [(entry.point.family, entry.alike) for entry in entries] == [
        ("Wanda", ("RIA",)),
        ("RIA", ("Wanda",)),
        ("Magnitude", ()),
    ]
    chart = leaderboard_chart(entries, "50 %")
    assert "cannot be distinguished: Wanda and RIA." in chart.caption
    bars = {trace.y[0]: trace.error_x for trace in chart.figure.data if trace.mode == "markers+text"}
    assert bars["1. Wanda (own)"].visible and list(bars["1. Wanda (own)"].array) == pytest.approx([0.5])
    assert not bars["2. RIA (own)"].visible


def test_a_sweep_repeats_each_run_in_several_orders() -> None:
    cells = sweep(Recipe.build(), ["wanda", "ria"], ["0.5"], orders=2)
    assert [(cell.pruner, cell.order) for cell in cells] == [
        ("wanda", 0),
        ("wanda", 1),
        ("ria", 0),
        ("ria", 1),
    ]

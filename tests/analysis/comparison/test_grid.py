"""A sweep as a grid and its cost: states of cells with several seeds, missing runs, and their time."""

from __future__ import annotations

from math import sqrt

import pytest

from engine.analysis.comparison.grid import ORDER, RunStatus, grid, method_title, parse_shape
from engine.analysis.comparison.sweep import Cell, sweep
from engine.analysis.comparison.sweep_cost import median_times, run_kind, sweep_cost
from engine.cost.estimate import Cost
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.analysis.comparison.records import made
from tests.charts.records import record

BASE = Recipe.build()


def cells(pruners=("wanda",), shapes=("0.5",), seeds=(0,), allocations=("uniform",)) -> tuple[Cell, ...]:
    return sweep(BASE, pruners, shapes, seeds=seeds, allocations=allocations)


def finished(perplexity: float) -> RunStatus:
    return RunStatus("finished", made(perplexity).record)


def statuses(found: tuple[Cell, ...], *those: RunStatus) -> dict[str, RunStatus]:
    return {cell.recipe.key: one for cell, one in zip(found, those, strict=False) if cell.recipe is not None}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("0.60", "0.6"),
        ("60 %", "0.6"),
        ("62.5%", "0.625"),
        ("2:4", "2:4"),
        (" 2 : 4 ", "2:4"),
        ("much", "much"),
        ("", ""),
    ],
)
def test_a_typed_shape_gets_its_usual_form(text: str, shape: str) -> None:
    assert parse_shape(text) == shape


def test_a_row_is_named_by_pruner_and_top_up() -> None:
    assert [method_title(cell) for cell in cells(allocations=("uniform", "owl"))] == [
        "Wanda",
        "Wanda with OWL",
    ]


def test_seeds_share_a_square_with_mean_and_deviation() -> None:
    found = cells(seeds=(0, 1, 2))
    (square,) = grid(found, statuses(found, finished(30.0), finished(32.0), finished(37.0)))
    assert (square.state, square.done, len(square.keys)) == ("finished", 3, 3)
    assert square.spread.mean == pytest.approx(33) and square.spread.deviation == pytest.approx(
        sqrt((9 + 1 + 16) / 2)
    )


def test_squares_come_row_by_row_in_the_order_of_the_choice() -> None:
    found = grid(cells(pruners=("ria", "wanda"), shapes=("0.6", "0.5")), {})
    assert [(one.method, one.shape) for one in found] == [
        ("RIA", "0.6"),
        ("RIA", "0.5"),
        ("Wanda", "0.6"),
        ("Wanda", "0.5"),
    ]
    assert {one.state for one in found} == {"missing"} and found[0].spread is None


@pytest.mark.parametrize("place", range(len(ORDER) - 2))
def test_the_least_settled_run_says_the_state(place: int) -> None:
    found = cells(seeds=(0, 1))
    (square,) = grid(
        found, statuses(found, RunStatus(ORDER[place + 1]), RunStatus(ORDER[place], RunRecord(), "why"))
    )
    assert square.state == ORDER[place] and square.message == "why"


def test_a_running_square_says_how_far_it_is() -> None:
    found = cells(seeds=(0, 1))
    (square,) = grid(found, statuses(found, finished(30.0), RunStatus("running", record(blocks=2))))
    assert square.progress == pytest.approx(2 / 8) and square.values == (30.0,) and square.done == 1


def test_a_refused_square_says_why() -> None:
    (square,) = grid(cells(pruners=("apt-mm",)), {})
    assert square.state == "refused" and not square.keys and "N:M pattern" in square.message


class TestOutlay:
    @staticmethod
    def cost(recipe: Recipe) -> Cost:
        return Cost(
            device="cpu",
            residence="resident",
            seconds=10 * recipe.sparsity,
            host_bytes=int(1000 * recipe.sparsity),
            device_bytes=None,
            download_bytes=0,
            fits=recipe.sparsity < 0.8,
            sentence="",
        )

    def test_finished_runs_cost_nothing(self) -> None:
        found = cells(shapes=("0.5", "0.6"))
        cost = sweep_cost(found, statuses(found, finished(30.0), finished(31.0)), {}, self.cost)
        assert (cost.runs, cost.finished, cost.active, cost.missing, cost.seconds, cost.memory) == (
            2,
            2,
            (),
            (),
            0,
            None,
        )

    def test_times_add_up_and_memory_is_the_largest(self) -> None:
        found = cells(shapes=("0.4", "0.5", "0.6", "0.7"))
        known = statuses(
            found, finished(30.0), RunStatus("running"), RunStatus("queued"), RunStatus("failed")
        )
        cost = sweep_cost(found, known, {}, self.cost)
        assert cost.seconds == pytest.approx(5 + 6 + 7) and cost.memory == 700 and cost.measured == 0
        assert cost.active == (found[1].recipe.key, found[2].recipe.key), "in order"
        assert cost.missing == (found[3].recipe,), "one that failed is started again"

    def test_runs_made_here_are_better_than_estimates(self) -> None:
        found = cells(pruners=("wanda", "ria"), shapes=("0.5", "2:4"))
        seconds = median_times(
            [
                made(30.0, pruner="wanda", sparsity=share).record.model_copy(update={"elapsed": 20.0 * share})
                for share in (0.3, 0.4, 0.9)
            ]
        )
        pinned = {run_kind(found[0].recipe): seconds[run_kind(Recipe.build(pruner="wanda"))]}
        cost = sweep_cost(found, {}, pinned, self.cost)
        assert cost.seconds == pytest.approx(8 + 5 + 5 + 5), (
            "the median of 6, 8 and 18 for the one kind that is known"
        )
        assert cost.measured == 1

    def test_times_leave_out_what_says_nothing_of_a_whole_run(self) -> None:
        whole = made(30.0).record.model_copy(update={"elapsed": 4.0})
        others = [
            whole.model_copy(update={"resumed": 3, "elapsed": 1.0}),
            whole.model_copy(update={"state": "failed"}),
            RunRecord(),
        ]
        assert median_times([whole, *others]) == {run_kind(whole.recipe): 4.0}

    def test_one_that_does_not_fit_is_the_one_to_warn_of(self) -> None:
        cost = sweep_cost(cells(shapes=("0.5", "0.85", "0.95")), {}, {}, self.cost)
        assert cost.cost is not None and not cost.cost.fits and cost.cost.host_bytes == 850

    def test_without_the_models_shape_nothing_is_claimed(self) -> None:
        cost = sweep_cost(cells(), {}, {}, None)
        assert cost.seconds is None and cost.memory is None and cost.cost is None and len(cost.missing) == 1

    def test_refused_cells_are_no_runs(self) -> None:
        assert sweep_cost(cells(pruners=("apt-mm", "wanda")), {}, {}, self.cost).runs == 1

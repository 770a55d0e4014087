"""The headline numbers and zero-shot tasks of two runs: differences if they can be compared, else values."""

from __future__ import annotations

import pytest

from engine.charts.headline import run_numbers
from engine.charts.overlay.headline import compared_numbers, incomparable_perplexities
from engine.charts.overlay.pair import Pair, dense_reference
from engine.charts.overlay.sparsity_series import marked_series
from engine.charts.overlay.tasks import tasks_of_both
from engine.charts.sparsity_series import sparsity_series
from engine.events import TaskScore
from engine.record import RunRecord
from engine.record.parts import TaskScores
from tests.charts.records import record

FIRST = record(sparsity=0.6)
SECOND = record(pruner="magnitude", sparsity=0.5)


def better(found: RunRecord, perplexity: float) -> RunRecord:
    assert found.pruned is not None
    return found.model_copy(update={"pruned": found.pruned.model_copy(update={"perplexity": perplexity})})


def test_each_number_has_a_signed_difference_and_the_value_of_the_other_run() -> None:
    lines = compared_numbers(Pair(FIRST, better(SECOND, 50.0)))
    assert len(lines) == len(run_numbers(FIRST))
    assert lines[:4] == ["0.00 (48.12)", "+5.03 (50.00)", "0.00 (× 1.14)", "+10.00 (50.00 %)"]
    assert compared_numbers(Pair(better(SECOND, 50.0), FIRST))[1] == "−5.03 (55.03)"


def test_the_dense_model_has_a_ratio_of_one_and_took_no_time() -> None:
    lines = compared_numbers(Pair(FIRST, dense_reference(FIRST)))
    assert lines[1] == "+6.91 (48.12)" and lines[2].endswith("(× 1.00)") and lines[5] == ""


def test_perplexities_on_other_texts_are_shown_without_a_difference() -> None:
    windows = SECOND.protocol.evaluation
    assert windows is not None
    other = windows.model_copy(update={"fingerprint": "f" * 16, "corpus": "wikitext2"})
    pair = Pair(
        FIRST,
        SECOND.model_copy(update={"protocol": SECOND.protocol.model_copy(update={"evaluation": other})}),
    )
    assert compared_numbers(pair)[:3] == ["(48.12)", "(55.03)", "(× 1.14)"]
    assert "cannot be compared" in incomparable_perplexities(
        pair
    ) and "wikitext2" in incomparable_perplexities(pair)
    assert incomparable_perplexities(Pair(FIRST, SECOND)) == ""


def test_times_on_other_machines_and_infinite_values_have_no_difference() -> None:
    assert SECOND.environment is not None
    elsewhere = SECOND.model_copy(
        update={"environment": SECOND.environment.model_copy(update={"threads": 64})}
    )
    assert compared_numbers(Pair(FIRST, elsewhere))[5] == "(3.4 s)"
    assert compared_numbers(Pair(FIRST, better(SECOND, float("inf"))))[1].startswith("(")


def test_a_run_that_has_only_begun_has_no_numbers() -> None:
    assert compared_numbers(Pair(FIRST, RunRecord(recipe=SECOND.recipe))) == [""] * 6
    begun = compared_numbers(Pair(RunRecord(recipe=FIRST.recipe), SECOND))
    assert begun[1] == "(55.03)"


def test_the_curve_of_a_pruner_marks_the_second_run_or_says_why_not() -> None:
    curve = sparsity_series((0.5, 0.6), (50.0, 55.03), 48.12, 0.6, "Wanda")
    other = better(SECOND, 70.0)
    marked = marked_series(curve, Pair(FIRST, other))
    assert (marked.figure.data[-1].x, marked.figure.data[-1].y) == ((50.0,), (70.0,))
    assert len(curve.figure.data) == 1 and "Diamond: Magnitude 50%, 70.00." in marked.caption
    assert list(marked.table["run"]) == ["curve", "curve", "Magnitude 50%"]
    assert marked_series(curve, Pair(FIRST, dense_reference(FIRST))) is curve, "it is the dashed line"
    queued = RunRecord(recipe=SECOND.recipe)
    assert "has no perplexity yet" in marked_series(curve, Pair(FIRST, queued)).caption


def scores(value: float) -> tuple[TaskScore, ...]:
    return tuple(
        TaskScore(
            task=task,
            metric="acc",
            value=value,
            stderr=0.01,
            examples=100,
            available=100,
            source="a file",
            harness="lm-eval 0.4",
            outcomes="",
        )
        for task in ("arc_easy", "piqa")
    )


@pytest.fixture
def tasked() -> tuple[RunRecord, RunRecord]:
    return tuple(  # type: ignore[return-value]
        run.model_copy(update={"tasks": TaskScores(dense=scores(0.7), pruned=scores(value))})
        for run, value in ((FIRST, 0.6), (SECOND, 0.5))
    )


def test_both_runs_tasks_are_marked_and_in_the_table(tasked: tuple[RunRecord, RunRecord]) -> None:
    pair = Pair(*tasked)
    chart = tasks_of_both(pair)
    assert [trace.name for trace in chart.figure.data] == ["guessing", "dense", *pair.names]
    assert list(chart.figure.data[-1].x) == [50.0] * 3, "two tasks and their mean"
    assert set(chart.table["run"]) == set(pair.names)
    assert "60.0 %" in chart.caption and "50.0 %" in chart.caption


def test_a_run_without_tasks_is_said_to_have_none(tasked: tuple[RunRecord, RunRecord]) -> None:
    chart = tasks_of_both(Pair(tasked[0], SECOND))
    assert chart.caption.startswith("Not compared: Magnitude 50%")


def test_the_small_curve_has_ticks_among_its_values_however_short_its_axis() -> None:
    short = sparsity_series((0.5, 0.6), (82.0, 240.0), 33.0, 0.5, "Wanda").figure.layout.yaxis
    assert [tick for tick in short.tickvals if 33 < tick < 240] == [50, 100, 200]
    long = sparsity_series((0.5, 0.9), (45.0, 1e4), 37.0, 0.5, "Wanda").figure.layout.yaxis
    assert long.type == "log" and long.dtick == 1 and long.tickvals is None


def test_the_small_curve_is_made_once_per_place() -> None:
    made = [sparsity_series((0.5, 0.6), (82.0, 240.0), 33.0, at, "Wanda") for at in (0.5, 0.6, 0.5)]
    assert made[0] is made[2] is not made[1], "the slider goes back and forth"

"""The chart of the zero-shot tasks, tested on its data."""

from __future__ import annotations

from math import isnan

import pandas as pd
import pytest

from engine.charts import palette
from engine.charts.tasks import task_scores
from engine.evaluation.tasks.compare import scored
from engine.events import TaskScore


def score(task: str, outcomes: list[int], **facts) -> TaskScore:
    facts = {"available": len(outcomes), "source": "here"} | facts
    return scored(outcomes, task=task, metric="acc", harness=f"lm-eval 0.4.13, {task}", **facts)


DENSE = [score("rte", [1] * 60 + [0] * 40), score("arc_easy", [1] * 70 + [0] * 30)]
PRUNED = [score("rte", [1] * 59 + [0] * 41), score("arc_easy", [1] * 40 + [0] * 60)]


def named(chart):
    return {trace.name: trace for trace in chart.figure.data}


def test_each_task_has_a_line_with_both_models_their_errors_and_chance():
    chart = task_scores(DENSE, PRUNED)
    marks = named(chart)
    assert list(marks) == ["guessing", "dense", "pruned"]
    assert list(marks["dense"].x) == pytest.approx([60, 70, 65]) and list(marks["pruned"].x) == pytest.approx(
        [59, 40, 49.5]
    )
    assert list(marks["guessing"].x) == [50, 25, 37.5]
    assert list(marks["dense"].error_x.array)[:2] == pytest.approx([100 * item.stderr for item in DENSE])
    assert list(chart.figure.layout.yaxis.ticktext) == ["RTE", "ARC-easy", "<b>Mean of 2</b>"]
    assert chart.figure.layout.yaxis.range == (2.5, -0.5)
    assert (
        [round(place) for place in marks["dense"].y]
        == [round(place) for place in marks["pruned"].y]
        == [0, 1, 2]
    )


def test_models_differ_in_shape_and_not_in_colour_alone():
    marks = named(task_scores(DENSE, PRUNED))
    assert len({trace.marker.symbol for trace in marks.values()}) == 3
    assert max(abs(one - other) for one, other in zip(marks["dense"].y, marks["pruned"].y, strict=True)) > 0.1


def test_the_words_have_the_mean_and_the_significant_tasks():
    chart = task_scores(DENSE, PRUNED)
    assert "On average over 2 tasks the accuracy changes from 65.0 % to 49.5 % (−15.5 ± " in chart.alt
    assert "clearly different on ARC-easy." in chart.alt and "guessing" in chart.caption
    assert "lm-eval 0.4.13, zero-shot" in chart.caption
    same = task_scores(DENSE, DENSE)
    assert "(0.0 ± 0.0 points); no difference is larger than twice its standard error." in same.alt


def test_the_table_has_the_same_numbers():
    table = task_scores(DENSE, PRUNED).table
    assert table["task"].tolist() == ["RTE", "ARC-easy", "Mean of 2"]
    assert table["difference"].tolist() == pytest.approx([-0.01, -0.3, -0.155])
    assert table["clear"].tolist() == [False, True, True] and table["paired"].all()


def test_before_the_pruned_model_is_measured_there_is_the_dense_one_alone():
    chart = task_scores(DENSE, PRUNED[:1])
    pruned = list(named(chart)["pruned"].x)
    assert pruned[0] == pytest.approx(59) and isnan(pruned[1]) and isnan(pruned[2])
    assert "the pruned one is not evaluated yet" in chart.alt
    assert chart.table["pruned"].isna().tolist() == [False, True, True]


def test_one_task_has_no_mean_and_none_says_so():
    one = task_scores(DENSE[:1], PRUNED[:1])
    assert one.table["task"].tolist() == ["RTE"] and "On RTE the accuracy changes from 60.0 %" in one.alt
    none = task_scores([], [])
    assert "No task is evaluated yet." in none.alt and none.table.empty


def test_the_protocol_names_the_limit_and_what_was_cut():
    cut = [score("boolq", [1, 0, 1], available=3270, truncated=2)]
    caption = task_scores(cut, []).caption
    assert "at most the first 3 examples of each task" in caption
    assert "cut at their beginning: 2 of BoolQ" in caption
    assert "the first" not in task_scores(DENSE, []).caption


@pytest.mark.parametrize(("dense", "pruned"), [([], []), (DENSE, []), (DENSE, PRUNED)])
def test_the_chart_has_what_every_chart_has(dense, pruned):
    chart = task_scores(dense, pruned)
    assert chart.title and chart.caption and chart.alt.endswith(".")
    assert chart.figure.layout.title.text is None
    assert chart.figure.layout.xaxis.title.text == "Accuracy, %"
    assert (
        chart.figure.layout.uirevision == "kept" and chart.figure.layout.paper_bgcolor == palette.TRANSPARENT
    )
    assert isinstance(chart.table, pd.DataFrame)


def test_the_axis_holds_every_bar():
    chart = task_scores([score("rte", [1] * 99 + [0])], [])
    low, high = chart.figure.layout.xaxis.range
    assert low < 0 and high == 101
    assert task_scores([score("rte", [1] * 31 + [0] * 69)], []).figure.layout.xaxis.range[1] == 61

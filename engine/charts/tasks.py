"""Zero-shot tasks, dense against pruned: accuracies with standard errors, and the level of guessing.

Tasks are rows because their names are words: the first at the top, the mean of all at the bottom. The dense
model's mark is hollow, the pruned one's is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import nan

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations.zero_shot import task_accuracy
from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas, name_rows
from engine.charts.figure import FigureBuilder
from engine.evaluation.tasks.compare import Comparison, compare, mean
from engine.events import TaskScore
from engine.numbers import listed, percent, signed

LINE, REST = 34, 62  # pixels
OFFSET = 0.13  # rows, so that the error bars of the two models do not overlap


def task_scores(dense: Sequence[TaskScore], pruned: Sequence[TaskScore]) -> Chart:
    """Return the accuracy of both models on each task on which the dense one was evaluated."""
    rows = list(compare(dense, pruned))
    words = _words(rows)
    total = mean(rows)
    drawn = rows + ([total] if total else [])  # mean() is None for a single task
    return Chart(
        title="Zero-shot accuracy, dense and pruned",
        figure=_figure(drawn),
        table=_table(drawn),
        alt="Marks of the accuracy per task, dense and pruned, with standard errors and the level of "
        f"guessing. {words}",
        caption=f"{words} Bars: one standard error. Grey mark: guessing. {_protocol(dense, rows)}".rstrip(),
        explain=partial(task_accuracy, dense, pruned),
    )


def _figure(rows: Sequence[Comparison]) -> go.Figure:
    figure = canvas(
        FigureBuilder(_marks(rows)), LINE * max(len(rows), 1) + REST + LEGEND_LINE, legend_lines=1
    )
    figure.update_xaxes(
        title={"text": "Accuracy, %"}, range=_range(rows), showgrid=True, gridcolor=palette.GRID
    )
    name_rows(figure, [f"<b>{row.title}</b>" if row.task == "mean" else row.title for row in rows])
    return figure.build()


def _marks(rows: Sequence[Comparison]) -> list[go.Scatter]:
    places = range(len(rows))
    hollow = {"symbol": "circle-open", "size": 10, "color": palette.VERMILLION, "line": {"width": 2.5}}
    filled = {"symbol": "diamond", "size": 10, "color": palette.BLUE}
    level = {
        "symbol": "line-ns",  # thin symbols are only drawn by their line
        "size": 16,
        "color": palette.GREY,
        "line": {"width": 2, "color": palette.GREY},
    }
    return [
        go.Scatter(
            x=[100 * row.chance for row in rows],
            y=list(places),
            mode="markers",
            name="guessing",
            marker=level,
            hovertemplate="guessing: %{x:.1f} %<extra></extra>",
        ),
        accuracy_marks(
            "dense",
            hollow,
            [place - OFFSET for place in places],  # rows count downwards, so minus is above
            [(row.dense, row.dense_stderr) for row in rows],
        ),
        accuracy_marks(
            "pruned",
            filled,
            [place + OFFSET for place in places],
            [(row.pruned, row.pruned_stderr) for row in rows],
        ),
    ]


def accuracy_marks(
    name: str,
    marker: dict[str, object],
    places: Sequence[float],
    scores: Sequence[tuple[float | None, float | None]],
) -> go.Scatter:
    errors = [100 * (error or 0.0) for _, error in scores]
    return go.Scatter(
        # NaN is not drawn: not evaluated yet
        x=[nan if value is None else 100 * value for value, _ in scores],
        y=places,
        customdata=errors,
        error_x={"type": "data", "array": errors, "thickness": 1.5, "width": 3, "color": marker["color"]},
        mode="markers",
        name=name,
        marker=marker,
        hovertemplate=f"{name}: %{{x:.1f}} ± %{{customdata:.1f}} %<extra></extra>",
    )


def _range(rows: Sequence[Comparison]) -> list[float]:
    """Return the axis from zero to the next multiple of ten after the longest bar."""
    scores = [
        score
        for row in rows
        for score in ((row.dense, row.dense_stderr), (row.pruned or 0.0, row.pruned_stderr))
    ]
    ends = [100 * (value + (error or 0.0)) for value, error in scores]
    top = max([*ends, *(100 * row.chance for row in rows)], default=100.0)
    return [-1.0, min(101.0, 10.0 * (top // 10 + 1) + 1)]  # percent; marks at 0 and 100 are not cut


def _table(rows: Sequence[Comparison]) -> pd.DataFrame:
    """Return accuracies as shares; what was not measured is empty."""
    columns = [
        "examples",
        "dense",
        "dense_stderr",
        "pruned",
        "pruned_stderr",
        "difference",
        "difference_stderr",
    ]
    table = pd.DataFrame(
        [[row.title, *(getattr(row, name) for name in columns)] for row in rows], columns=["task", *columns]
    )
    table = table.astype({name: float for name in columns[1:]})
    return table.assign(
        paired=[row.paired for row in rows],
        clear=[row.clear for row in rows],
        chance=[row.chance for row in rows],
    )


def _words(rows: Sequence[Comparison]) -> str:
    """Return how pruning changed the mean, and the tasks on which the change is significant."""
    if not rows:
        return "No task is evaluated yet."
    whole = mean(rows) or rows[0]
    subject = f"On average over {len(rows)} tasks" if len(rows) > 1 else f"On {whole.title}"
    if whole.pruned is None or whole.difference is None:
        return (
            f"{subject} the dense model scores {percent(whole.dense)}; the pruned one is not evaluated yet."
        )
    clear = [row.title for row in rows if row.clear]
    verdict = (
        f"clearly different on {listed(clear)}"
        if clear
        else "no difference is larger than twice its standard error"
    )
    return (
        f"{subject} the accuracy changes from {percent(whole.dense)} to {percent(whole.pruned)} "
        f"({_difference(whole)} points); {verdict}."
    )


def _difference(row: Comparison) -> str:
    points = signed(100 * (row.difference or 0.0))
    return points if row.difference_stderr is None else f"{points} ± {100 * row.difference_stderr:.1f}"


def _protocol(scores: Sequence[TaskScore], rows: Sequence[Comparison]) -> str:
    """Return how the tasks were evaluated, as far as that is the same for all."""
    if not scores:
        return ""
    pieces = [f"{scores[0].harness.split(',')[0]}, zero-shot"]
    if any(score.examples < score.available for score in scores):
        most = max(score.examples for score in scores)
        pieces.append(f"at most the first {most:,} examples of each task")
    if any(row.paired for row in rows):
        pieces.append("the error of a difference is that of the paired differences per example")
    cut = [
        f"{score.truncated} of {row.title}"
        for score, row in zip(scores, rows, strict=True)
        if score.truncated
    ]
    if cut:
        pieces.append(f"examples too long for the model are cut at their beginning: {listed(cut)}")
    return f"Protocol: {'; '.join(pieces)}."

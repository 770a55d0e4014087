"""Zero-shot tasks, dense against pruned: a line a task, hollow before and filled after, with standard errors
and what guessing gives.

Tasks stand below one another, for their names are words; the first of the list is at the top, the mean of all
at the bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, canvas
from engine.evaluation.tasks.compare import Comparison, compare, mean
from engine.events import TaskScore
from engine.numbers import listed, percent

LINE, REST = 34, 62  # pixels
APART = 0.13  # of a line, so that the error bars of the two models do not cover each other


def task_scores(dense: Sequence[TaskScore], pruned: Sequence[TaskScore]) -> Chart:
    """What the models score on each task that the dense one has been asked."""
    rows = list(compare(dense, pruned))
    words = _words(rows)
    total = mean(rows)
    drawn = rows + ([total] if total else [])
    return Chart(
        title="Zero-shot tasks, dense and pruned",
        figure=_figure(drawn),
        table=_table(drawn),
        alt=f"Marks of the accuracy by task, dense and pruned, with standard errors and the level of guessing. {words}",
        caption=f"{words} Bars: one standard error. Grey mark: what guessing gives. {_protocol(dense, rows)}".rstrip(),
    )


def _figure(rows: Sequence[Comparison]) -> go.Figure:
    figure = canvas(go.Figure(_marks(rows)), LINE * max(len(rows), 1) + REST + LEGEND_LINE, legend_lines=1)
    figure.update_xaxes(
        title={"text": "Accuracy, %"}, range=_range(rows), showgrid=True, gridcolor=palette.GRID
    )
    labels = [_label(row) for row in rows]
    figure.update_yaxes(
        range=[max(len(rows), 1) - 0.5, -0.5],
        tickmode="array",
        tickvals=list(range(len(rows))),
        ticktext=labels,
        showgrid=False,
    )
    return figure


def _marks(rows: Sequence[Comparison]) -> list[go.Scatter]:
    places = range(len(rows))
    hollow = {"symbol": "circle-open", "size": 10, "color": palette.VERMILLION, "line": {"width": 2.5}}
    filled = {"symbol": "diamond", "size": 10, "color": palette.BLUE}
    level = {
        "symbol": "line-ns",
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
        _model(
            "dense",
            hollow,
            [place - APART for place in places],
            [(row.dense, row.dense_stderr) for row in rows],
        ),
        _model(
            "pruned",
            filled,
            [place + APART for place in places],
            [(row.pruned, row.pruned_stderr) for row in rows],
        ),
    ]


def _model(
    name: str,
    marker: dict[str, object],
    places: Sequence[float],
    scores: Sequence[tuple[float | None, float | None]],
) -> go.Scatter:
    errors = [100 * (error or 0.0) for _, error in scores]
    return go.Scatter(
        x=[nan if value is None else 100 * value for value, _ in scores],
        y=places,
        customdata=errors,
        error_x={"type": "data", "array": errors, "thickness": 1.5, "width": 3, "color": marker["color"]},
        mode="markers",
        name=name,
        marker=marker,
        hovertemplate=f"{name}: %{{x:.1f}} ± %{{customdata:.1f}} %<extra></extra>",
    )


def _label(row: Comparison) -> str:
    return f"<b>{row.title}</b>" if row.task == "mean" else row.title


def _range(rows: Sequence[Comparison]) -> list[float]:
    """From zero to a round number of tens behind the longest bar."""
    scores = [
        score
        for row in rows
        for score in ((row.dense, row.dense_stderr), (row.pruned or 0.0, row.pruned_stderr))
    ]
    ends = [100 * (value + (error or 0.0)) for value, error in scores]
    top = max([*ends, *(100 * row.chance for row in rows)], default=100.0)
    return [-1.0, min(101.0, 10.0 * (top // 10 + 1) + 1)]


def _table(rows: Sequence[Comparison]) -> pd.DataFrame:
    """Accuracies as shares; what is not measured is empty."""
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
    """What pruning did: the mean, and the tasks where it is more than chance."""
    if not rows:
        return "Nothing is measured yet."
    whole = mean(rows) or rows[0]
    subject = f"On average over {len(rows)} tasks" if len(rows) > 1 else f"On {whole.title}"
    if whole.pruned is None or whole.difference is None:
        return f"{subject} the dense model scores {percent(whole.dense)}; the pruned one is not measured yet."
    clear = [row.title for row in rows if row.clear]
    verdict = (
        f"clearly different on {listed(clear)}"
        if clear
        else "no difference is larger than twice its standard error"
    )
    return f"{subject} the accuracy goes from {percent(whole.dense)} to {percent(whole.pruned)} ({_signed(whole)} points); {verdict}."


def _signed(row: Comparison) -> str:
    points = f"{100 * (row.difference or 0.0):+.1f}".replace("-", "−")
    return points if row.difference_stderr is None else f"{points} ± {100 * row.difference_stderr:.1f}"


def _protocol(scores: Sequence[TaskScore], rows: Sequence[Comparison]) -> str:
    """How it was measured, as far as that is the same everywhere."""
    if not scores:
        return ""
    pieces = [f"{scores[0].harness.split(',')[0]}, no solved examples in the prompt"]
    if any(score.examples < score.available for score in scores):
        most = max(score.examples for score in scores)
        pieces.append(f"the first {most:,} examples of each task at most")
    if any(row.paired for row in rows):
        pieces.append("the difference's error from the differences of single examples")
    cut = [
        f"{score.truncated} of {row.title}"
        for score, row in zip(scores, rows, strict=True)
        if score.truncated
    ]
    if cut:
        pieces.append(f"too long for the model and cut at their beginning: {listed(cut)}")
    return f"Protocol: {'; '.join(pieces)}."

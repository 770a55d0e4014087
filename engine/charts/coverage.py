"""All weights of the model as one bar: removed, kept, and never pruned, by kind.

A sparsity is a share of the removed and kept ones only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import weights
from engine.analysis.explanations.explanation import Explanation
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.models.shape import ModelSummary
from engine.numbers import count, percent
from engine.record import RunRecord

HEIGHT = 165  # pixels
TWO_LINES = 46  # pixels of the legend on a narrow page
COLOURS = (palette.VERMILLION, palette.BLUE, *palette.KINDS)
"""Removed, kept, then the kinds that are never pruned."""


def coverage_bar(record: RunRecord) -> Chart:
    """Return which weights the sparsity refers to, and how many of them are removed."""
    if record.model is None:
        return _chart("Removed weights, of all", "are zero now", 0, 0, {}, partial(weights.coverage, record))
    zeros = sum(
        block.unpruned_zeros + sum(linear.zeros for linear in block.linears) for block in record.blocks
    )
    return _chart(
        "Removed weights, of all",
        "are zero now",
        zeros,
        record.model.prunable,
        record.sparsity.skipped,
        partial(weights.coverage, record),
        record.sparsity.initial_words,
    )


def coverage_forecast(summary: ModelSummary, sparsity: float) -> Chart:
    """Return the same chart before a run: what a sparsity will remove from a model. Callers share the figure
    and must not change it.
    """
    removed = round(sparsity * summary.prunable)  # an estimate; rounding per group comes later
    return _forecast(removed, summary.prunable, tuple(summary.skipped.items()))


@lru_cache(maxsize=8)  # drawn again at every change of the recipe form, which seldom changes it
def _forecast(removed: int, prunable: int, skipped: tuple[tuple[str, int], ...]) -> Chart:
    explain = partial(weights.coverage_ahead, removed, prunable, dict(skipped))
    return _chart("Weights to be removed, of all", "will be zero", removed, prunable, dict(skipped), explain)


def _chart(
    title: str,
    fate: str,
    removed: int,
    prunable: int,
    skipped: dict[str, int],
    explain: Callable[[], Explanation],
    initial: str = "",
) -> Chart:
    kinds = sorted(skipped.items(), key=lambda item: -item[1])
    parts = [("removed", removed), ("kept, prunable", prunable - removed), *kinds]
    total = max(1, sum(weights for _, weights in parts))  # a chart without a model has no weights
    table = pd.DataFrame(
        [(kind, weights, weights / total) for kind, weights in parts], columns=["kind", "weights", "share"]
    )
    figure = canvas(
        FigureBuilder([_segment(kind, weights, total, at) for at, (kind, weights) in enumerate(parts)]),
        HEIGHT,
    )
    figure.update_layout(
        barmode="stack",
        bargap=0.1,
        margin={"t": TWO_LINES},
        # Plotly reverses the legend of stacked bars
        legend={"traceorder": "normal", "yref": "container", "y": 1, "yanchor": "top"},
    )
    figure.update_xaxes(
        title={"text": "Share of all weights, %"},
        range=[0, 101],  # the right edge of the bar and the label 100 are not cut
        tickvals=[0, 20, 40, 60, 80, 100],
    )
    figure.update_yaxes(showticklabels=False, showgrid=False)
    return Chart(
        title=title,
        figure=figure.build(),
        table=table,
        alt="Stacked bar of all weights: "
        + ", ".join(f"{kind} {percent(weights / total)}" for kind, weights in parts)
        + ".",
        caption=f"{percent(removed / total)} of all {count(total)} weights {fate}. "
        "Embeddings, head and norms are never pruned, so the sparsity of the whole model is lower than that "
        f"of its prunable part.{f' {initial}' if initial else ''}",
        explain=explain,
    )


def _segment(kind: str, weights: int, total: int, at: int) -> go.Bar:
    share = weights / total
    return go.Bar(
        x=[100 * share],
        y=[""],
        name=f"{kind} {percent(share)}",
        orientation="h",
        marker={"color": COLOURS[min(at, len(COLOURS) - 1)], "line": {"width": 0}},
        hovertemplate=f"{kind}: {count(weights)} weights, {percent(share)}<extra></extra>",
    )

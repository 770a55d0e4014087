"""Charts of lesson 5: a guessed allocation next to those of the methods, and the result of the race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.plots import STYLES, line
from engine.lessons.sparsity_allocation import USER, Racer
from engine.numbers import listed, percent, perplexity, scientific

HEIGHT, LINE, EDGE = 330, 40, 70
"""Pixels: of the bars, of a line of the ranking, and of its axis."""
YOURS = "your guess"
TOP = 108  # percent; leaves room for the numbers of the highest bars


def shares(
    ratios: Sequence[float], others: Mapping[str, Sequence[float]], target: float, *, name: str = YOURS
) -> Chart:
    """Plot one allocation as bars and others as lines.

    Args:
        ratios: the sparsity of each block.
        others: those of other allocations, by name.
        target: the sparsity of the whole model.
        name: whose ratios the bars are.
    """
    blocks = list(range(len(ratios)))
    lines = [
        line(
            blocks,
            other,
            [100 * ratio for ratio in values],
            style,
            f"{other}, block %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
        for (other, values), style in zip(others.items(), STYLES, strict=False)
    ]
    figure = canvas(
        FigureBuilder([_bars(ratios, name), *lines]), HEIGHT, legend_lines=1
    )  # lines over the bars
    figure.update_layout(bargap=0.3)
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": "Sparsity, %"}, range=[0, TOP], tickvals=[0, 25, 50, 75, 100])
    figure.add_hline(y=100 * target, line={"color": palette.GREY, "width": 1.5, "dash": "dot"})
    ranges = [
        f"{each} from {percent(min(values), 0)} to {percent(max(values), 0)}"
        for each, values in {name: ratios, **others}.items()
    ]
    return Chart(
        title="Sparsity per block",
        figure=figure.build(),
        table=pd.DataFrame({"block": blocks, name: ratios, **others}),
        alt=f"Bar chart of the sparsity per block{', with lines for other allocations' if others else ''}: "
        f"{listed(ranges)}. Target {percent(target, 0)}.",
        caption=f"Dotted: the target of {percent(target, 0)} for the whole model. All blocks of this model "
        "have the same size.",
    )


def _bars(ratios: Sequence[float], name: str) -> go.Bar:
    return go.Bar(
        x=list(range(len(ratios))),
        y=[100 * ratio for ratio in ratios],
        name=name,
        text=[f"{100 * ratio:.0f}" for ratio in ratios],
        textposition="inside",
        insidetextanchor="start",  # at the foot, below the lines of the other allocations
        textangle=0,
        textfont={"color": palette.INK},  # dark on orange and grey, whatever the theme
        marker={"color": palette.ORANGE if name == YOURS else palette.GREY},
        hovertemplate="block %{x}: %{y:.1f} %<extra></extra>",
    )


def ranking(racers: Sequence[Racer], sparsity: float) -> Chart:
    """Plot the perplexities, the lowest on top.

    The axis is logarithmic, so these are dots: bars would have to begin at zero.
    """
    names = [f"▶ {racer.title}" if racer.allocation == USER else racer.title for racer in racers]
    figure = canvas(FigureBuilder(_dots(racers, names)), LINE * len(racers) + EDGE)
    figure.update_xaxes(
        title={"text": "Perplexity of the pruned model"},
        type="log",
        showgrid=True,
        gridcolor=palette.GRID,
        nticks=6,
    )
    # The reversed axis puts the best on top.
    figure.update_yaxes(range=[len(racers) - 0.5, -0.5], tickvals=list(range(len(racers))), ticktext=names)
    values = [racer.perplexity for racer in racers]
    rows = [(racer.title, racer.perplexity, racer.misalignment, racer.distance) for racer in racers]
    summary = ", ".join(f"{racer.title} {perplexity(racer.perplexity)}" for racer in racers)
    return Chart(
        title=f"The race at {percent(sparsity, 0)}: Wanda with different allocations",
        figure=figure.build(),
        table=pd.DataFrame(rows, columns=["allocation", "perplexity", "misalignment", "distance from yours"]),
        alt=f"Dot chart of perplexities, the lowest first: {summary}.",
        caption=f"The last has × {max(values) / min(values):.3g} the perplexity of the first. Star: your "
        "guess. "
        f"{_objective_order(racers)}",
    )


def _dots(racers: Sequence[Racer], names: Sequence[str]) -> go.Scatter:
    by_user = [racer.allocation == USER for racer in racers]
    marker = {
        "size": [17 if user else 12 for user in by_user],
        "symbol": ["star" if user else "circle" for user in by_user],
        "color": [palette.ORANGE if user else palette.BLUE for user in by_user],
        "opacity": 1,
    }
    return go.Scatter(
        x=[racer.perplexity for racer in racers],
        y=list(range(len(racers))),
        mode="markers+text",
        text=[f"  {perplexity(racer.perplexity)}" for racer in racers],
        textposition="middle right",
        cliponaxis=False,
        marker=marker,
        customdata=[
            [name, scientific(racer.misalignment, 2)] for name, racer in zip(names, racers, strict=True)
        ],
        hovertemplate="%{customdata[0]}: %{x:,.1f}, objective %{customdata[1]}<extra></extra>",
    )


def _objective_order(racers: Sequence[Racer]) -> str:
    """Return whether NeuroAL's objective ranks the racers in the same order."""
    ordered = [racer.title for racer in sorted(racers, key=lambda racer: racer.misalignment)]
    if ordered == [racer.title for racer in racers]:
        return "NeuroAL's objective ranks them in the same order."
    return f"NeuroAL's objective ranks them in a different order: {listed(ordered)}."

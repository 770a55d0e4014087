"""The drawings of lesson 5: a guess beside what methods decided, and how the race ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas
from engine.charts.lessons.plots import STYLES
from engine.lessons.allocation import MINE, Racer
from engine.numbers import listed, percent, perplexity, scientific

HEIGHT, LINE, EDGE = 330, 40, 70
YOURS = "your guess"
TOP = 108  # percent; room for the numbers of the highest bars


def shares(
    mine: Sequence[float], others: Mapping[str, Sequence[float]], target: float, *, whose: str = YOURS
) -> Chart:
    """One's own ratios as bars (or those of `whose`), and those of others as lines."""
    blocks = list(range(len(mine)))
    lines = [
        _line(blocks, name, ratios, style)
        for (name, ratios), style in zip(others.items(), STYLES, strict=False)
    ]
    figure = canvas(go.Figure([_mine(blocks, mine, whose), *lines]), HEIGHT, legend_lines=1)
    figure.update_layout(bargap=0.3)
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": "Sparsity, %"}, range=[0, TOP], tickvals=[0, 25, 50, 75, 100])
    figure.add_hline(y=100 * target, line={"color": palette.GREY, "width": 1.5, "dash": "dot"})
    spans = [
        f"{name} from {percent(min(ratios), 0)} to {percent(max(ratios), 0)}"
        for name, ratios in {whose: mine, **others}.items()
    ]
    return Chart(
        title="How much each block loses",
        figure=figure,
        table=pd.DataFrame({"block": blocks, whose: mine, **others}),
        alt=f"Bar chart of the sparsity of each block{', with lines of others' if others else ''}: {listed(spans)}. Target {percent(target, 0)}.",
        caption=f"Dotted: the {percent(target, 0)} that all blocks lose together; all blocks of this model are of one size.",
    )


def _mine(blocks: Sequence[int], ratios: Sequence[float], name: str) -> go.Bar:
    return go.Bar(
        x=list(blocks),
        y=[100 * ratio for ratio in ratios],
        name=name,
        text=[f"{100 * ratio:.0f}" for ratio in ratios],
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        textfont={"color": palette.INK},
        marker={"color": palette.ORANGE if name == YOURS else palette.GREY},
        hovertemplate="block %{x}: %{y:.1f} %<extra></extra>",
    )


def _line(
    blocks: Sequence[int], name: str, ratios: Sequence[float], style: tuple[str, str, str]
) -> go.Scatter:
    colour, dash, symbol = style
    return go.Scatter(
        x=list(blocks),
        y=[100 * ratio for ratio in ratios],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"symbol": symbol, "size": 9},
        hovertemplate=f"{name}, block %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def ranking(racers: Sequence[Racer], sparsity: float) -> Chart:
    """The perplexities, the best on top, on a logarithmic axis: dots, for bars would have to begin at zero."""
    names = [f"▶ {racer.title}" if racer.allocation == MINE else racer.title for racer in racers]
    figure = canvas(go.Figure(_dots(racers, names)), LINE * len(racers) + EDGE)
    values = [racer.perplexity for racer in racers]
    figure.update_xaxes(
        title={"text": "Perplexity of the pruned model"},
        type="log",
        showgrid=True,
        gridcolor=palette.GRID,
        nticks=6,
    )
    figure.update_yaxes(range=[len(racers) - 0.5, -0.5], tickvals=list(range(len(racers))), ticktext=names)
    rows = [(racer.title, racer.perplexity, racer.misalignment, racer.distance) for racer in racers]
    told = [f"{racer.title} {perplexity(racer.perplexity)}" for racer in racers]
    return Chart(
        title=f"The race at {percent(sparsity, 0)}: Wanda, shared out in different ways",
        figure=figure,
        table=pd.DataFrame(rows, columns=["allocation", "perplexity", "misalignment", "distance from yours"]),
        alt=f"Dot chart of perplexities, the lowest first: {', '.join(told)}.",
        caption=f"The last is × {max(values) / min(values):.3g} the first. Star: yours. {_agreement(racers)}",
    )


def _dots(racers: Sequence[Racer], names: Sequence[str]) -> go.Scatter:
    mine = [racer.allocation == MINE for racer in racers]
    marker = {
        "size": [17 if own else 12 for own in mine],
        "symbol": ["star" if own else "circle" for own in mine],
        "color": [palette.ORANGE if own else palette.BLUE for own in mine],
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


def _agreement(racers: Sequence[Racer]) -> str:
    """Whether NeuroAL's objective would have put them in the same order."""
    ordered = [racer.title for racer in sorted(racers, key=lambda racer: racer.misalignment)]
    same = ordered == [racer.title for racer in racers]
    order = "in the same order" if same else f"in another order: {listed(ordered)}"
    return f"NeuroAL's objective puts them {order}."

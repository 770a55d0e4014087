"""Perplexity against sparsity: a line for each way to prune, its cliff as a star where it is twice the dense
perplexity, N:M patterns as open marks.

The axis is logarithmic where that suits the perplexities, unless a person says otherwise: on a straight one
every curve would be a floor and a wall. Up to `ROOM` lines carry their names at their ends; where there are
more, or the axis ends before the lines do, a legend has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import plotly.graph_objects as go

from engine import numbers
from engine.analysis.comparison.points import FACTOR, Cliff, Point, cliff, curve
from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.compare.style import (
    CLIFF,
    OWN,
    PATTERNS,
    Scale,
    Style,
    spread,
    style,
    top,
    wants_logarithm,
)
from engine.charts.compare.table import curve_table

HEIGHT = 560
LETTER = 17 / (HEIGHT - 110)
"""Height of a label as a share of the axis."""
ROOM = 20
Families = Mapping[str, Sequence[Point]]


def perplexity_curves(
    families: Families,
    *,
    logarithmic: bool | None = None,
    most: float | None = None,
    order: Sequence[str] = (),
) -> Chart:
    """The curves.

    Args:
        logarithmic: the scale of the perplexities; None for what suits them.
        most: where the axis ends, in dense perplexities; None for the largest.
        order: all families there could be, so that one keeps its look when others come and go.
    """
    looks = {name: style(place) for place, name in enumerate(order or families)}
    cliffs = {name: cliff(curve(points)) for name, points in families.items()}
    scale = _scale(families, logarithmic, most)
    labelled = most is None and sum(bool(curve(points)) for points in families.values()) <= ROOM
    figure = canvas(go.Figure(), HEIGHT)
    _draw_levels(figure, families, scale)
    for name, points in families.items():
        figure.add_traces(_line(name, curve(points), looks[name], in_legend=not labelled))
    _draw_grouped(figure, families, looks)
    _draw_cliffs(figure, cliffs, looks)
    _draw_own(figure, families, looks)
    end = _draw_labels(figure, families, looks, scale) if labelled else _last(families) + 3
    _draw_axes(figure, families, scale, end)
    return Chart(
        title=f"Perplexity against sparsity{', logarithmic' if scale.logarithmic else ''}",
        figure=figure,
        table=curve_table(families),
        alt=f"Line chart of the pruned perplexity by sparsity for {len(families)} ways to prune. {cliff_words(cliffs)}",
        caption=f"Less is better. A curve's cliff is the sparsity at which its perplexity has become {FACTOR:g} × that of the dense model; between "
        f"two runs the logarithm of the perplexity is taken to be a straight line. {cliff_words(cliffs)}",
    )


def cliff_words(cliffs: Mapping[str, Cliff | None]) -> str:
    """From where to where the cliffs are."""
    known = sorted(
        ((found.sparsity, name) for name, found in cliffs.items() if found is not None and found.known),
        reverse=True,
    )
    if not known:
        return "No curve has a cliff between its points."
    first, last = known[0], known[-1]
    if len(known) == 1:
        return f"Cliff of {first[1]}: {numbers.percent(first[0])}."
    return f"Cliffs from {numbers.percent(last[0])} ({last[1]}) to {numbers.percent(first[0])} ({first[1]})."


def patterns(families: Families) -> list[str]:
    """The N:M patterns that there are."""
    return sorted({point.shape for points in families.values() for point in points if point.is_grouped})


def _values(families: Families) -> list[float]:
    return [
        point.perplexity for points in families.values() for point in points if isfinite(point.perplexity)
    ]


def _dense(families: Families) -> float | None:
    return next((run.dense for points in families.values() for point in points for run in point.runs), None)


def _last(families: Families) -> float:
    """The highest sparsity of a curve, percent."""
    return max(
        (100 * point.sparsity for points in families.values() for point in curve(points)), default=100.0
    )


def _first(families: Families) -> float:
    """Where the axis of sparsities begins, percent."""
    return max(
        -2.0, min((100 * point.sparsity for points in families.values() for point in points), default=0.0) - 6
    )


def _scale(families: Families, logarithmic: bool | None, most: float | None) -> Scale:
    """Ends a little beyond all that is drawn."""
    dense = _dense(families) or 1.0
    least, largest = min([dense, *_values(families)]), top([1.2 * FACTOR * dense, *_values(families)], dense)
    if most is not None:
        largest = min(largest, most * dense)
    if logarithmic if logarithmic is not None else wants_logarithm([least, largest]):
        return Scale(True, least / (largest / least) ** 0.07, largest * (largest / least) ** 0.05)
    low = least - 0.08 * (largest - least) if most is not None else 0.0
    return Scale(False, low, largest + 0.06 * (largest - low))


def _line(name: str, points: Sequence[Point], look: Style, *, in_legend: bool) -> list[go.Scatter]:
    if not points:
        return []
    line = {"color": look.colour, "dash": look.dash, "width": 2.5}
    marker = {"symbol": look.marker, "size": 8, "color": look.colour}
    return [_marks(name, points, marker, mode="lines+markers", line=line, showlegend=in_legend)]


def _marks(name: str, points: Sequence[Point], marker: Mapping[str, object], **how: object) -> go.Scatter:
    deviations = [point.deviation or 0.0 for point in points]
    return go.Scatter(
        x=[100 * point.sparsity for point in points],
        y=[point.perplexity for point in points],
        error_y={"type": "data", "array": deviations, "visible": any(deviations), "thickness": 1.5},
        marker=marker,
        name=name,
        legendgroup=name,
        customdata=[point.runs[0].key for point in points],
        hovertext=[_hover(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
        **how,
    )


def _hover(point: Point) -> str:
    spread_words = (
        f" ± {numbers.perplexity(point.deviation)} over {len(point.runs)} seeds"
        if point.deviation is not None
        else ""
    )
    achieved = f" ({numbers.percent(point.achieved, 2)} achieved)" if point.achieved is not None else ""
    own = "<br>a run of your own" if point.own else ""
    return (
        f"<b>{point.family}</b>, {point.shape if point.is_grouped else numbers.percent(point.sparsity)}{achieved}<br>"
        f"perplexity {numbers.perplexity(point.perplexity)}{spread_words}, {numbers.ratio(point.ratio)} of dense{own}"
    )


def _draw_grouped(figure: go.Figure, families: Families, looks: Mapping[str, Style]) -> None:
    """N:M points at their sparsity: the pattern is the mark, the family its colour; a legend names the
    patterns.
    """
    for place, shape in enumerate(patterns(families)):
        symbol = PATTERNS[place % len(PATTERNS)]
        for name, points in families.items():
            if mine := [point for point in points if point.shape == shape]:
                marker = {"symbol": symbol, "size": 11, "color": looks[name].colour, "line": {"width": 2}}
                figure.add_trace(_marks(name, mine, marker, mode="markers", showlegend=False))
        figure.add_trace(_key(shape, symbol))


def _draw_cliffs(figure: go.Figure, cliffs: Mapping[str, Cliff | None], looks: Mapping[str, Style]) -> None:
    known = {name: found for name, found in cliffs.items() if found is not None and found.known}
    for name, found in known.items():
        star = {"symbol": CLIFF, "size": 15, "color": looks[name].colour, "line": {"width": 2}}
        words = f"<b>{name}</b><br>cliff at {numbers.percent(found.sparsity)}<extra></extra>"
        place = {"x": [100 * found.sparsity], "y": [found.perplexity]}
        figure.add_trace(
            go.Scatter(
                **place, mode="markers", marker=star, legendgroup=name, showlegend=False, hovertemplate=words
            )
        )
    if known:
        figure.add_trace(_key(f"cliff, {FACTOR:g} × dense", CLIFF))


def _draw_own(figure: go.Figure, families: Families, looks: Mapping[str, Style]) -> None:
    """A ring around each point that holds a run of one's own."""
    for name, points in families.items():
        if mine := [point for point in points if point.own]:
            ring = {"symbol": OWN, "size": 18, "color": looks[name].colour, "line": {"width": 1.5}}
            x, y = [100 * point.sparsity for point in mine], [point.perplexity for point in mine]
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="markers",
                    marker=ring,
                    legendgroup=name,
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
    if any(point.own for points in families.values() for point in points):
        figure.add_trace(_key("your own run", OWN))


def _key(words: str, symbol: str) -> go.Scatter:
    """A line of the legend that says what a mark means, whoever's it is."""
    marker = {"symbol": symbol, "size": 12, "color": palette.GREY, "line": {"width": 2}}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=words)


def _draw_levels(figure: go.Figure, families: Families, scale: Scale) -> None:
    """The dense perplexity as a line, and above it the one that makes a cliff."""
    dense = _dense(families)
    if dense is None:
        return
    start = _first(families)
    above = (FACTOR * dense, "dot", f"{FACTOR:g} × dense", "bottom")
    for level, dash, words, anchor in ((dense, "dash", f"dense {numbers.perplexity(dense)}", "top"), above):
        line = {"color": palette.GREY, "dash": dash, "width": 1.5}
        figure.add_trace(
            go.Scatter(
                x=[start, 100],
                y=[level] * 2,
                mode="lines",
                line=line,
                name=words,
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.add_annotation(
            x=start,
            y=scale.at(level),
            text=words,
            xanchor="left",
            yanchor=anchor,
            showarrow=False,
            font={"size": 12},
        )


def _draw_labels(figure: go.Figure, families: Families, looks: Mapping[str, Style], scale: Scale) -> float:
    """Each curve's name beside its end, joined to it by a thin line; where the axis of sparsities has to end
    for them, percent.
    """
    ends = {name: curve(points)[-1] for name, points in families.items() if curve(points)}
    start = max((100 * end.sparsity for end in ends.values()), default=100.0) + 3
    wanted = [scale.place(min(end.perplexity, scale.high)) for end in ends.values()]
    for (name, end), place in zip(ends.items(), spread(wanted, LETTER), strict=True):
        line = {"color": looks[name].colour, "dash": "dot", "width": 1}
        x, y = [100 * end.sparsity, start], [end.perplexity, scale.value(place)]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line=line,
                name=name,
                legendgroup=name,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        figure.add_annotation(
            x=start, y=scale.at(y[1]), text=f" {name}", xanchor="left", showarrow=False, font={"size": 13}
        )
    return start + 1.1 * max(map(len, ends), default=0)


def _draw_axes(figure: go.Figure, families: Families, scale: Scale, end: float) -> None:
    figure.update_traces(
        unselected={"marker": {"opacity": 1}}
    )  # a click chooses a point, but must not dim the others
    figure.update_layout(
        margin={"t": 34, "r": 12},
        legend={"itemclick": False, "itemdoubleclick": False, "traceorder": "normal"},
    )
    figure.update_yaxes(title={"text": "Perplexity"}, **scale.axis)
    figure.update_xaxes(
        title={"text": "Sparsity, %"}, range=[_first(families), end], tickvals=list(range(0, 101, 10))
    )

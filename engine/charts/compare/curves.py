"""Perplexity against sparsity: one line per pruner, N:M patterns as open marks, and cliffs as stars.

A cliff is the sparsity at which the perplexity is twice the dense one. The axis is logarithmic if that suits
the perplexities, unless the user chooses: on a linear axis every curve looks like a floor and a wall. Up to
`MOST_LABELS` lines are labelled at their ends; if there are more, or if the axis ends before the lines do,
the names are in a legend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite

import plotly.graph_objects as go

from engine import numbers
from engine.analysis.comparison.points import FACTOR, Cliff, Point, cliff, curve, dense_perplexity
from engine.analysis.explanations import curves
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal
from engine.charts.compare.perplexity_axis import Scale, spread, top, wants_logarithm
from engine.charts.compare.style import CLIFF, OWN, PATTERNS, Style, style
from engine.charts.compare.table import curve_table
from engine.charts.figure import FigureBuilder

HEIGHT = 560  # pixels
LABEL_HEIGHT = 17 / (HEIGHT - 110)  # 110: about the margins, ticks and title
"""Height of a label as a share of the axis, both in pixels."""
MOST_LABELS = 20
Families = Mapping[str, Sequence[Point]]


def perplexity_curves(
    families: Families,
    *,
    logarithmic: bool | None = None,
    most: float | None = None,
    order: Sequence[str] = (),
) -> Chart:
    """Return the curves of all families.

    Args:
        logarithmic: the scale of the perplexities; None for the one that suits them.
        most: end of the axis in dense perplexities; None for the largest value.
        order: all possible families, so that each keeps its style when others come and go.
    """
    # From the fixed order, not from the families shown: a filter must not recolour the others.
    looks = {name: style(place) for place, name in enumerate(order or families)}
    cliffs = {name: cliff(curve(points)) for name, points in families.items()}
    scale = _scale(families, logarithmic, most)
    labelled = most is None and sum(bool(curve(points)) for points in families.values()) <= MOST_LABELS
    figure = canvas(FigureBuilder(), HEIGHT)
    _draw_levels(figure, families, scale)
    for name, points in families.items():
        figure.add_traces(_line(name, curve(points), looks[name], in_legend=not labelled))
    _draw_grouped(figure, families, looks)
    _draw_cliffs(figure, cliffs, looks)
    _draw_own(figure, families, looks)
    # 3 percentage points right of the last mark
    end = _draw_labels(figure, families, looks, scale) if labelled else _last(families) + 3
    _draw_axes(figure, families, scale, end)
    return Chart(
        title=f"Perplexity against sparsity{', logarithmic' if scale.logarithmic else ''}",
        figure=figure.build(),
        table=curve_table(families),
        alt=f"Line chart of the pruned perplexity by sparsity for {len(families)} pruners. "
        f"{cliff_words(cliffs)}",
        caption="Lower is better. The cliff of a curve is the sparsity at which its perplexity is "
        f"{FACTOR:g} × that of the dense model; between two runs, the logarithm of the perplexity is "
        f"interpolated linearly. {cliff_words(cliffs)}",
        explain=partial(curves.perplexity_curves, families),
    )


def cliff_words(cliffs: Mapping[str, Cliff | None]) -> str:
    """Return the range of the cliffs in words."""
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
    """Return the N:M patterns of all points."""
    return sorted({point.shape for points in families.values() for point in points if point.is_grouped})


def _values(families: Families) -> list[float]:
    return [
        point.perplexity for points in families.values() for point in points if isfinite(point.perplexity)
    ]


def _dense(families: Families) -> float | None:
    return dense_perplexity(point for points in families.values() for point in points)


def _last(families: Families) -> float:
    """Return the highest sparsity of a curve, in percent."""
    return max(
        (100 * point.sparsity for points in families.values() for point in curve(points)), default=100.0
    )


def _first(families: Families) -> float:
    """Return the start of the sparsity axis, in percent."""
    return max(
        -2.0, min((100 * point.sparsity for points in families.values() for point in points), default=0.0) - 6
    )


def _scale(families: Families, logarithmic: bool | None, most: float | None) -> Scale:
    """Return an axis that ends a little beyond all points and levels."""
    dense = _dense(families) or 1.0
    # keeps the level of the cliffs in view
    least, largest = min([dense, *_values(families)]), top([1.2 * FACTOR * dense, *_values(families)], dense)
    if most is not None:
        largest = min(largest, most * dense)
    if logarithmic if logarithmic is not None else wants_logarithm([least, largest]):
        # Exponents are shares of the logarithmic axis: 7 % of space below, 5 % above.
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
    below, above = zip(*(point.bar for point in points), strict=True)
    return go.Scatter(
        x=[100 * point.sparsity for point in points],
        y=[point.perplexity for point in points],
        # Invisible without deviations: bars of length zero would still show their caps.
        error_y={
            "type": "data",
            "array": above,
            "arrayminus": below,
            "visible": any((*below, *above)),
            "thickness": 1.5,
        },
        marker=marker,
        name=literal(name),
        legendgroup=name,
        customdata=[point.runs[0].key for point in points],  # a click on the page opens this run
        hovertext=[_hover(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
        **how,
    )


def _hover(point: Point) -> str:
    deviation = (
        f" ± {numbers.perplexity(point.deviation)} over {len(point.runs)} seeds"
        if point.deviation is not None
        else ""
    )
    if point.noise is not None:
        deviation += (
            f", {numbers.perplexity(point.noise)} apart in {len(point.repeats)} orders of the windows"
        )
    achieved = f" ({numbers.percent(point.achieved, 2)} achieved)" if point.achieved is not None else ""
    own = "<br>includes your own run" if point.own else ""
    shape = point.shape if point.is_grouped else numbers.percent(point.sparsity)
    return (
        f"<b>{literal(point.family)}</b>, {shape}{achieved}<br>perplexity "
        f"{numbers.perplexity(point.perplexity)}{deviation}, {numbers.ratio(point.ratio)} of dense{own}"
    )


def _draw_grouped(figure: FigureBuilder, families: Families, looks: Mapping[str, Style]) -> None:
    """Draw N:M points at their sparsity: the marker is the pattern, the colour the family."""
    for place, shape in enumerate(patterns(families)):
        symbol = PATTERNS[place % len(PATTERNS)]
        for name, points in families.items():
            if matching := [point for point in points if point.shape == shape]:
                marker = {"symbol": symbol, "size": 11, "color": looks[name].colour, "line": {"width": 2}}
                figure.add_trace(_marks(name, matching, marker, mode="markers", showlegend=False))
        figure.add_trace(_key(shape, symbol))


def _draw_cliffs(
    figure: FigureBuilder, cliffs: Mapping[str, Cliff | None], looks: Mapping[str, Style]
) -> None:
    known = {name: found for name, found in cliffs.items() if found is not None and found.known}
    for name, found in known.items():
        star = {"symbol": CLIFF, "size": 15, "color": looks[name].colour, "line": {"width": 2}}
        words = f"<b>{literal(name)}</b><br>cliff at {numbers.percent(found.sparsity)}<extra></extra>"
        place = {"x": [100 * found.sparsity], "y": [found.perplexity]}
        figure.add_trace(
            go.Scatter(
                **place, mode="markers", marker=star, legendgroup=name, showlegend=False, hovertemplate=words
            )
        )
    if known:
        figure.add_trace(_key(f"cliff, {FACTOR:g} × dense", CLIFF))


def _draw_own(figure: FigureBuilder, families: Families, looks: Mapping[str, Style]) -> None:
    """Draw a ring around each point that includes one of the user's own runs."""
    for name, points in families.items():
        if own := [point for point in points if point.own]:
            ring = {"symbol": OWN, "size": 18, "color": looks[name].colour, "line": {"width": 1.5}}
            x, y = [100 * point.sparsity for point in own], [point.perplexity for point in own]
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="markers",
                    marker=ring,
                    legendgroup=name,
                    showlegend=False,
                    # Also lets clicks through to the mark below; "none" would catch them.
                    hoverinfo="skip",
                )
            )
    if any(point.own for points in families.values() for point in points):
        figure.add_trace(_key("your own run", OWN))


def _key(words: str, symbol: str) -> go.Scatter:
    """Return a trace that only adds a marker and its meaning to the legend."""
    marker = {"symbol": symbol, "size": 12, "color": palette.GREY, "line": {"width": 2}}
    # One empty point: a trace with no points at all gets no legend entry.
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=words)


def _draw_levels(figure: FigureBuilder, families: Families, scale: Scale) -> None:
    """Draw the dense perplexity as a line, and the level of the cliffs above it."""
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
            # On a logarithmic axis annotations take log10, while traces take the value itself.
            y=scale.at(level),
            text=words,
            xanchor="left",
            yanchor=anchor,
            showarrow=False,
            font={"size": 12},
        )


def _draw_labels(
    figure: FigureBuilder, families: Families, looks: Mapping[str, Style], scale: Scale
) -> float:
    """Draw each curve's name next to its end, joined to it by a thin line.

    Returns:
        The end of the sparsity axis that leaves space for the names, in percent.
    """
    ends = {name: curve(points)[-1] for name, points in families.items() if curve(points)}
    start = max((100 * end.sparsity for end in ends.values()), default=100.0) + 3
    # a curve beyond a capped axis is labelled at its top
    wanted = [scale.place(min(end.perplexity, scale.high)) for end in ends.values()]
    for (name, end), place in zip(ends.items(), spread(wanted, LABEL_HEIGHT), strict=True):
        line = {"color": looks[name].colour, "dash": "dot", "width": 1}
        x, y = [100 * end.sparsity, start], [end.perplexity, scale.value(place)]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line=line,
                name=literal(name),
                legendgroup=name,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        figure.add_annotation(
            x=start,
            y=scale.at(y[1]),
            text=f" {literal(name)}",
            xanchor="left",
            showarrow=False,
            font={"size": 13},
        )
    # about 1.1 percentage points per character of size 13
    return start + 1.1 * max(map(len, ends), default=0)


def _draw_axes(figure: FigureBuilder, families: Families, scale: Scale, end: float) -> None:
    for trace in figure.traces:
        trace.unselected = {"marker": {"opacity": 1}}  # a click must not dim the other points
    figure.update_layout(
        margin={"t": 34, "r": 12},
        # Hiding a line by its legend entry would leave its label behind.
        legend={"itemclick": False, "itemdoubleclick": False, "traceorder": "normal"},
    )
    figure.update_yaxes(title={"text": "Perplexity"}, **scale.axis)
    figure.update_xaxes(
        title={"text": "Sparsity, %"}, range=[_first(families), end], tickvals=list(range(0, 101, 10))
    )

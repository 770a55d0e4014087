"""Perplexity against sparsity, a line for each way to prune: the dense model is a level, cliffs are marked, N:M patterns are points of their own.

N:M patterns stand in a narrow panel of their own on the same axis of perplexities: at their sparsity they would lie upon the curves' points.
The axis is logarithmic where the perplexities span more than a factor of `SPAN`, unless a person says otherwise: on a straight one every curve would
be a floor and a wall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.charts import numbers, palette
from engine.charts.chart import Chart, canvas
from engine.charts.compare.styles import Style, style
from engine.comparison.cliff import FACTOR, Cliff, cliff
from engine.comparison.points import Point, curve

HEIGHT = 520
WIDTHS = [0.84, 0.16]
SPAN = 6.0
OWN, RECORDED = 13, 8
"""Size of a point that holds a run of one's own, and of a recorded one, pixels."""
Families = Mapping[str, Sequence[Point]]


def needs_logarithm(families: Families) -> bool:
    """Whether a straight axis would hide the differences."""
    values = [point.perplexity for points in families.values() for point in points]
    return bool(values) and max(values) > SPAN * min(values)


def perplexity_curves(families: Families, *, logarithmic: bool | None = None, order: Sequence[str] = ()) -> Chart:
    """The curves.

    Args:
        logarithmic: the scale of the perplexities; None for what suits them.
        order: all families there could be, so that one keeps its look when others come and go.
    """
    logarithmic = needs_logarithm(families) if logarithmic is None else logarithmic
    places = {name: place for place, name in enumerate(order or families)}
    shapes = sorted({point.shape for points in families.values() for point in points if point.is_grouped})
    figure = canvas(
        make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=WIDTHS, horizontal_spacing=0.03) if shapes else go.Figure(), HEIGHT
    )
    cliffs = {name: cliff(curve(points)) for name, points in families.items()}
    for name, points in families.items():
        look = style(places.get(name, 0))
        for trace in _lines(name, curve(points), look, cliffs[name]):
            figure.add_trace(trace, **({"row": 1, "col": 1} if shapes else {}))
        if grouped := [point for point in points if point.is_grouped]:
            figure.add_trace(_grouped(name, grouped, look, alone=len(grouped) == len(points)), row=1, col=2)
    _draw_dense(figure, families, shapes)
    _label(figure, shapes, logarithmic=logarithmic)
    table = curve_table(families)
    return Chart(
        title=f"Perplexity against sparsity{', logarithmic' if logarithmic else ''}",
        figure=figure,
        table=table,
        alt=f"Line chart of the pruned perplexity by sparsity for {len(families)} ways to prune. {_cliff_words(cliffs)}",
        caption=f"Less is better. Open stars mark each curve's cliff: {FACTOR:g} × the dense perplexity. Large points: runs of your own. "
        f"On the right: N:M patterns, on the same axis. {_cliff_words(cliffs)}",
    )


def curve_table(families: Families) -> pd.DataFrame:
    """One row a point."""
    columns = ["family", "pattern", "sparsity", "perplexity", "deviation", "seeds", "ratio", "own", "run"]
    rows = [
        (name, point.shape, point.sparsity, point.perplexity, point.deviation, len(point.runs), point.ratio, point.own, point.runs[0].key)
        for name, points in families.items()
        for point in points
    ]
    return pd.DataFrame(rows, columns=columns).astype({"deviation": float})


def filtered(table: pd.DataFrame, words: str, most: float | None) -> pd.DataFrame:
    """The rows of a curve table that hold every word (`own` and `recorded` are words too), at most so many times the dense perplexity."""
    kept = []
    for row in table.itertuples():
        text = f"{' '.join(str(value) for value in row[1:])} {'own' if row.own else 'recorded'}".lower().replace("true", "").replace("false", "")
        kept.append(all(word in text for word in words.lower().split()) and (most is None or row.ratio <= most))
    return table[kept]


def _label(figure: go.Figure, shapes: Sequence[str], *, logarithmic: bool) -> None:
    figure.update_layout(legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top"}, margin={"t": 16})
    first = {"row": 1, "col": 1} if shapes else {}
    figure.update_yaxes(type="log" if logarithmic else "linear", exponentformat="power", nticks=8)
    figure.update_yaxes(title={"text": "Perplexity"}, **first)
    figure.update_xaxes(title={"text": "Sparsity, %"}, range=[0, 100], dtick=10, **first)
    if shapes:
        words = {"title": {"text": "Pattern"}, "type": "category", "categoryorder": "array", "categoryarray": list(shapes)}
        figure.update_xaxes(**words, range=[-0.6, len(shapes) - 0.4], row=1, col=2)


def _lines(name: str, points: Sequence[Point], look: Style, found: Cliff | None) -> list[go.Scatter]:
    if not points:
        return []
    line = {"color": look.colour, "dash": look.dash, "width": 2}
    traces = [_scatter(name, points, look, [100 * point.sparsity for point in points], mode="lines+markers", line=line)]
    if found is not None and found.known:
        star = {"symbol": "star-open", "size": 13, "color": look.colour, "line": {"width": 2}}
        words = f"{name}<br>cliff at {numbers.percent(found.sparsity)}<extra></extra>"
        place = {"x": [100 * found.sparsity], "y": [found.perplexity]}
        traces.append(go.Scatter(**place, mode="markers", marker=star, legendgroup=name, showlegend=False, hovertemplate=words))
    return traces


def _grouped(name: str, points: Sequence[Point], look: Style, *, alone: bool) -> go.Scatter:
    """The N:M points; in the legend where the family has no line."""
    return _scatter(name, points, look, [point.shape for point in points], mode="markers", showlegend=alone)


def _scatter(name: str, points: Sequence[Point], look: Style, places: Sequence[float | str], **how: object) -> go.Scatter:
    sizes = [OWN if point.own else RECORDED for point in points]
    hover = [f"{numbers.percent(point.sparsity)} {point.shape if point.is_grouped else ''}<br>{_hover(point)}" for point in points]
    deviations = [point.deviation or 0.0 for point in points]
    return go.Scatter(
        x=list(places),
        y=[point.perplexity for point in points],
        error_y={"type": "data", "array": deviations, "visible": any(deviations), "thickness": 1.5},
        marker={"symbol": look.marker, "size": sizes, "color": look.colour},
        name=name,
        legendgroup=name,
        customdata=[point.runs[0].key for point in points],
        hovertext=hover,
        hovertemplate=f"{name}<br>%{{hovertext}}<extra></extra>",
        **how,
    )


def _hover(point: Point) -> str:
    spread = f" ± {numbers.perplexity(point.deviation)} over {len(point.runs)} seeds" if point.deviation is not None else ""
    return f"perplexity {numbers.perplexity(point.perplexity)}{spread}, {numbers.ratio(point.ratio)} of dense{', own run' if point.own else ''}"


def _draw_dense(figure: go.Figure, families: Families, shapes: Sequence[str]) -> None:
    runs = [run for points in families.values() for point in points for run in point.runs]
    if not runs:
        return
    line = {"color": palette.GREY, "dash": "dash", "width": 1.5}
    words = {"text": [f"dense {numbers.perplexity(runs[0].dense)}", ""], "textposition": "top right", "hoverinfo": "skip", "showlegend": False}
    for column, ends in enumerate([[0, 100], [shapes[0], shapes[-1]]] if shapes else [[0, 100]], start=1):
        level = go.Scatter(x=ends, y=[runs[0].dense] * 2, mode="lines+text" if column == 1 else "lines", line=line, name="dense", **words)
        figure.add_trace(level, **({"row": 1, "col": column} if shapes else {}))


def _cliff_words(cliffs: Mapping[str, Cliff | None]) -> str:
    known = sorted(((found.sparsity, name) for name, found in cliffs.items() if found is not None and found.known), reverse=True)
    if not known:
        return "No curve has a cliff between its points."
    first, last = known[0], known[-1]
    if len(known) == 1:
        return f"Cliff of {first[1]}: {numbers.percent(first[0])}."
    return f"Cliffs from {numbers.percent(last[0])} ({last[1]}) to {numbers.percent(first[0])} ({first[1]})."

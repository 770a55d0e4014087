"""Two rankings of the pruners: by the sparsity of their cliff, and by their perplexity at N:M patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine import numbers
from engine.analysis.comparison.points import FACTOR, Point, cliff, curve, dense_perplexity
from engine.analysis.explanations import curves
from engine.charts import palette
from engine.charts.chart import Chart, canvas, literal
from engine.charts.compare.curves import Families, cliff_words, patterns
from engine.charts.compare.style import Style, style
from engine.charts.figure import FigureBuilder

LINE = 26  # pixels per row
PATTERN_LOOKS = (
    (palette.BLUE, "circle"),
    (palette.VERMILLION, "diamond"),
    (palette.GREEN, "square"),
    (palette.PURPLE, "triangle-up"),
)


def cliff_ranking(families: Families, order: Sequence[str] = ()) -> Chart:
    """Return the cliffs, the highest sparsity first.

    A curve that has not reached its cliff ends at its last run; one that starts beyond it is left out.

    Args:
        order: all families in their fixed order, which decides their colours.
    """
    looks = {name: style(place) for place, name in enumerate(order or families)}
    table = _cliffs(families)
    shown = table.dropna(subset="sparsity").iloc[::-1]  # a category axis starts at the bottom
    figure = canvas(FigureBuilder(), 70 + LINE * max(3, len(shown)))
    for row in shown.itertuples():
        figure.add_traces(_reach(row.family, 100 * row.sparsity, looks[row.family], reached=row.reached))
    figure.update_layout(showlegend=False)
    # room for the number right of a mark near 100 %
    figure.update_xaxes(title={"text": "Sparsity, %"}, range=[0, 112], tickvals=list(range(0, 101, 20)))
    figure.update_yaxes(showgrid=False, type="category")
    known = {name: cliff(curve(points)) for name, points in families.items()}
    return Chart(
        title=f"Cliffs: sparsity at {FACTOR:g} × the dense perplexity",
        figure=figure.build(),
        table=table,
        alt=f"Ranking of {len(shown)} pruners by the sparsity of their cliff. {cliff_words(known)}",
        caption="The farther right, the more weights can be removed before the perplexity doubles. ▷: no "
        "run has reached the cliff yet.",
        explain=partial(curves.cliff_ranking, families),
    )


def _cliffs(families: Families) -> pd.DataFrame:
    rows: list[tuple[str, float | None, bool]] = []
    for name, points in families.items():
        line = curve(points)
        found = cliff(line)
        if not line:
            continue
        if found is None:
            rows.append((name, line[-1].sparsity, False))  # a lower limit: the last sparsity that was run
        else:
            rows.append((name, found.sparsity if found.known else None, True))
    table = pd.DataFrame(rows, columns=["family", "sparsity", "reached"])
    table = table.astype({"sparsity": float, "reached": bool})
    return table.sort_values("sparsity", ascending=False, ignore_index=True)


def _reach(name: str, percent: float, look: Style, *, reached: bool) -> list[go.Scatter]:
    """Return a line from zero to the cliff, with its mark and its number."""
    marker = {
        "symbol": look.marker if reached else "triangle-right-open",
        "size": 11,
        "color": look.colour,
        "line": {"width": 2 * (not reached)},  # open symbols are only an outline
    }
    words = f" {percent:.1f}" if reached else f" beyond {percent:g}"
    line = {"color": look.colour, "dash": look.dash, "width": 1.5}
    return [
        go.Scatter(x=[0, percent], y=[literal(name)] * 2, mode="lines", line=line, hoverinfo="skip"),
        go.Scatter(
            x=[percent],
            y=[literal(name)],
            mode="markers+text",
            marker=marker,
            text=[words],
            textposition="middle right",
            cliponaxis=False,
            hovertemplate=f"{literal(name)}<br>{words} %<extra></extra>",
        ),
    ]


def pattern_ranking(families: Families) -> Chart:
    """Return the perplexity of every pruner at each N:M pattern, the best first."""
    shapes = patterns(families)
    at = {
        name: {point.shape: point for point in points if point.is_grouped}
        for name, points in families.items()
    }
    names = sorted(
        (name for name in at if at[name]),
        key=lambda name: min(point.perplexity for point in at[name].values()),
        reverse=True,  # the worst first: a category axis starts at the bottom
    )
    figure = canvas(FigureBuilder(), 70 + LINE * max(3, len(names)), legend_lines=1)
    for place, shape in enumerate(shapes):
        figure.add_trace(
            _pattern(
                shape,
                [at[name][shape] for name in names if shape in at[name]],
                PATTERN_LOOKS[place % len(PATTERN_LOOKS)],
            )
        )
    dense = dense_perplexity(point for by_shape in at.values() for point in by_shape.values())
    if dense is not None:
        figure.add_vline(
            x=dense,
            line={"color": palette.GREY, "dash": "dash", "width": 1.5},
            annotation={"text": "dense", "yanchor": "bottom"},
        )
    figure.update_xaxes(title={"text": "Perplexity"}, showgrid=True, gridcolor=palette.GRID)
    figure.update_yaxes(
        showgrid=False, type="category", categoryorder="array", categoryarray=[*map(literal, names)]
    )
    return Chart(
        title="Perplexity at N:M patterns",
        figure=figure.build(),
        table=_patterns(at),
        alt=f"Dot chart of the perplexity of {len(names)} pruners at {numbers.listed(shapes)}. "
        f"{_best(at, shapes)}",
        caption=f"Pruned perplexity, lower is better. {_best(at, shapes)}",
        explain=partial(curves.pattern_ranking, families),
    )


def _pattern(shape: str, points: Sequence[Point], look: tuple[str, str]) -> go.Scatter:
    colour, symbol = look
    deviations = [point.deviation or 0.0 for point in points]
    return go.Scatter(
        x=[point.perplexity for point in points],
        y=[literal(point.family) for point in points],
        error_x={"type": "data", "array": deviations, "visible": any(deviations), "thickness": 1.5},
        mode="markers",
        marker={"symbol": symbol, "size": 11, "color": colour},
        name=shape,
        hovertemplate=f"%{{y}}, {shape}<br>perplexity %{{x:.2f}}<extra></extra>",
    )


def _patterns(at: Mapping[str, Mapping[str, Point]]) -> pd.DataFrame:
    rows = [
        (name, shape, point.sparsity, point.perplexity, point.ratio)
        for name, by_shape in at.items()
        for shape, point in by_shape.items()
    ]
    table = pd.DataFrame(rows, columns=["family", "pattern", "sparsity", "perplexity", "ratio"])
    return table.sort_values(["pattern", "perplexity"], ignore_index=True)


def _best(at: Mapping[str, Mapping[str, Point]], shapes: Sequence[str]) -> str:
    """Return which pruner is best at each pattern."""
    best = {
        shape: min(
            (by_shape[shape] for by_shape in at.values() if shape in by_shape),
            key=lambda point: point.perplexity,
        )
        for shape in shapes
    }
    return " ".join(
        f"Best at {shape}: {point.family} with {numbers.perplexity(point.perplexity)}."
        for shape, point in best.items()
    )

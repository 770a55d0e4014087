"""A figure in the making ends as the one that Plotly's own calls give."""

from __future__ import annotations

from copy import deepcopy

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from engine.charts.figure import FigureBuilder, subplots

LINE = {"color": "#123456", "width": 2}
TITLE = {"text": "dense", "yanchor": "bottom"}
PANEL = {"row": 2, "col": 1}
EVERYWHERE = [
    ("update_layout", {"margin": {"t": 3}, "showlegend": False}),
    ("update_layout", {"margin": {"l": 4}}),
    ("update_xaxes", {"title": {"text": "Block"}, "range": [0, 1]}),
    ("update_xaxes", {"title": {"font": {"size": 9}}, "range": [0, 2]}),
    ("update_yaxes", {"type": "log"}),
    ("add_vline", {"x": 3, "line": LINE}),
    ("add_vline", {"x": 3, "line": LINE, "layer": "below", "annotation": TITLE}),
    ("add_hline", {"y": 5, "line": LINE}),
    ("add_vrect", {"x0": 1, "x1": 2, "opacity": 0.2, "line_width": 0}),
    ("add_shape", {"type": "rect", "x0": 0, "x1": 1, "y0": 0, "y1": 1}),
    ("add_annotation", {"x": 1, "y": 2, "text": "here", "showarrow": False}),
]
IN_A_PANEL = [
    ("update_xaxes", {"title": {"text": "Token"}, **PANEL}),
    ("update_xaxes", {"matches": None, "showticklabels": True}),
    ("update_yaxes", {"nticks": 4, "row": 2}),
    ("update_yaxes", {"title": {"text": "Loss"}, "col": 1}),
    ("add_vline", {"x": 3, "annotation": TITLE, **PANEL}),
    ("add_vrect", {"x0": 1, "x1": 2, **PANEL}),
    ("add_shape", {"type": "line", "x0": 0, "x1": 1, "y0": 0, "y1": 1, **PANEL}),
]


def bars() -> go.Bar:
    return go.Bar(x=[1, 2], y=[3, 4], marker={"color": "#654321"})


@pytest.mark.parametrize("call", EVERYWHERE, ids=lambda call: call[0])
def test_a_call_does_to_a_single_panel_what_it_does_in_plotly(call):
    name, values = call
    ours, plotly = FigureBuilder(bars()), go.Figure(bars())
    for figure in (ours, plotly):
        getattr(figure, name)(**deepcopy(values))  # Plotly writes into what it is given
    assert ours.build() == plotly


STACKED = {"rows": 2, "shared_xaxes": True, "vertical_spacing": 0.1, "row_heights": (0.6, 0.4)}
SQUARE = {"rows": 2, "cols": 2, "column_widths": (0.8, 0.2), "horizontal_spacing": 0.03}


@pytest.mark.parametrize(
    ("titles", "arrangement", "calls"),
    [
        ((), STACKED, EVERYWHERE + IN_A_PANEL),
        (("a", "b"), {"rows": 2}, EVERYWHERE + IN_A_PANEL),
        ((), SQUARE, IN_A_PANEL),
    ],
)
def test_panels_are_arranged_and_changed_as_in_plotly(titles, arrangement, calls):
    ours, plotly = (
        subplots(titles, **arrangement),
        make_subplots(subplot_titles=titles or None, **arrangement),
    )
    for figure in (ours, plotly):
        for row, col in ours.grid:  # Plotly draws lines only in panels that have a trace
            figure.add_trace(bars(), row=row, col=col)
        for name, values in calls:
            getattr(figure, name)(**deepcopy(values))  # Plotly writes into what it is given
    assert ours.build() == plotly


def test_figures_of_one_arrangement_share_nothing():
    first, second = (subplots(("a", "b"), rows=2) for _ in range(2))
    first.update_xaxes(title={"text": "Block"})
    first.layout["annotations"][0]["x"] = 0
    assert second.build() == make_subplots(rows=2, subplot_titles=("a", "b"))


def test_a_layout_that_was_given_stays_as_it_was():
    given = {"xaxis": {"title": {"text": "Block"}}}
    FigureBuilder(layout=given).update_xaxes(title={"text": "Token"}, range=[0, 1])
    assert given == {"xaxis": {"title": {"text": "Block"}}}


@pytest.mark.parametrize("wrong", [{"hight": 3}, {"height": "tall"}])
def test_a_wrong_property_is_refused_at_the_end(wrong):
    figure = FigureBuilder()
    figure.update_layout(**wrong)
    with pytest.raises(ValueError):
        figure.build()

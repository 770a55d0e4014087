"""What a search looked at: the objective of every candidate over its strength, and what the best one does for
each block.

Candidates are drawn as they come. One that was stopped has only a part of its objective, so it is a hollow
mark that no line goes through. The best candidate is the one that the last step chose, and while a step goes
on the best complete one so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, block_count, canvas, largest, unit_of
from engine.events import Candidate
from engine.numbers import percent, scientific
from engine.record import RunRecord

STRONGEST = 0.25
"""How far the axis of strengths reaches from the start; further only where a candidate is stronger."""
LOOKS = {
    "block": (palette.BLUE, "circle", "top center"),
    "row": (palette.VERMILLION, "diamond", "bottom center"),
}
"""Colour, marker, and where the chosen one's label stands: the row step goes on below where the block step
ended.
"""


def best_candidate(record: RunRecord) -> Candidate | None:
    """The candidate that counts at this moment, None before the first."""
    tried = [candidate for candidate in record.search if not candidate.stopped]
    if not tried:
        return None
    of_step = [candidate for candidate in tried if candidate.step == tried[-1].step]
    chosen = [candidate for candidate in of_step if candidate.chosen]
    return chosen[0] if chosen else min(of_step, key=lambda candidate: candidate.objective)


def uniform_candidate(record: RunRecord) -> Candidate | None:
    """The reference, all blocks and rows alike."""
    return next((candidate for candidate in record.search if candidate.step == "uniform"), None)


def named(candidate: Candidate) -> str:
    """`block step, λ = 0.1`."""
    return "uniform" if candidate.step == "uniform" else f"{candidate.step} step, λ = {candidate.strength:g}"


def search_curves(record: RunRecord) -> Chart:
    """The objective over lambda, for each step."""
    columns = ["step", "lambda", "objective", "stopped", "chosen"]
    rows = [
        (tried.step, tried.strength, tried.objective, tried.stopped, tried.chosen) for tried in record.search
    ]
    unit, words = unit_of(largest(candidate.objective for candidate in record.search))
    figure = canvas(go.Figure(_curves(record, unit)))
    figure.update_xaxes(
        title={"text": "Strength λ"},
        range=[-0.01, 0.01 + max([STRONGEST, *(tried.strength for tried in record.search)])],
    )
    figure.update_yaxes(
        title={"text": f"Objective, {words}"},
        range=_span([tried.objective / unit for tried in record.search]),
    )
    return Chart(
        title="The search: objective over strength",
        figure=figure,
        table=pd.DataFrame(rows, columns=columns),
        alt=f"Line chart of the search's objective over λ, {len(rows)} candidates. {_outcome(record)}",
        caption=f"{_outcome(record)} Objective: neuron alignment distance, summed over the blocks; less is better. "
        "λ moves sparsity from early to late blocks (block step), or away from rows whose downstream neurons lost most (row step).",
    )


def alignment_against_uniform(record: RunRecord) -> Chart:
    """Where along the depth the best candidate gains, and what it gives up for that."""
    uniform, best = uniform_candidate(record), best_candidate(record)
    parts = {"uniform": uniform.alignment if uniform else (), "best": best.alignment if best else ()}
    table = (
        pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in parts.items()})
        .rename_axis("block")
        .reset_index()
    )
    unit, words = unit_of(largest(chain.from_iterable(parts.values())))
    figure = canvas(
        go.Figure(
            [
                _bars(
                    table,
                    "uniform",
                    unit,
                    0.9,
                    {"color": palette.TRANSPARENT, "line": {"color": palette.GREY, "width": 2}},
                    "uniform",
                ),
                _bars(table, "best", unit, 0.6, {"color": palette.BLUE}, named(best) if best else "best"),
            ]
        )
    )
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(**block_axis(block_count(record)))
    figure.update_yaxes(title={"text": f"Distance A, {words}"}, rangemode="tozero")
    return Chart(
        title="Alignment against uniform",
        figure=figure,
        table=table,
        alt=f"Bars of the neuron alignment distance by block, uniform as an outline around {named(best) if best else 'the best candidate'}. "
        f"{_gain(record)}",
        caption=f"{_gain(record)} Measured on the search's windows; a block's distance is its part of the objective, 0 = neurons fire as before.",
    )


def _curves(record: RunRecord, unit: float) -> list[go.Scatter]:
    traces, end = [], max([STRONGEST, *(tried.strength for tried in record.search)])
    if (uniform := uniform_candidate(record)) is not None:
        line = {"color": palette.GREY, "width": 2, "dash": "dash"}
        words = "uniform<br>objective %{y:.4f}<extra></extra>"
        traces.append(
            go.Scatter(
                x=[0, end],
                y=[uniform.objective / unit] * 2,
                mode="lines",
                line=line,
                name="uniform",
                hovertemplate=words,
            )
        )
    for step, (colour, symbol, place) in LOOKS.items():
        tried = sorted(
            (candidate for candidate in record.search if candidate.step == step),
            key=lambda candidate: candidate.strength,
        )
        traces += _of_step(step, tried, unit, {"color": colour, "symbol": symbol}, place)
    said: set[str] = (
        set()
    )  # both steps may have stopped candidates; the legend says once what a hollow mark is
    for trace in traces:
        trace.update(showlegend=trace.name not in said and "chosen" not in trace.name)
        said.add(trace.name)
    return traces


def _of_step(
    step: str, tried: list[Candidate], unit: float, look: dict[str, str], place: str
) -> list[go.Scatter]:
    """A step's curve, the candidates that were stopped, and the one that was chosen; those that there are."""
    complete = [candidate for candidate in tried if not candidate.stopped]
    stopped = [candidate for candidate in tried if candidate.stopped]
    chosen = [candidate for candidate in tried if candidate.chosen]
    hollow = {"color": look["color"], "symbol": f"{look['symbol']}-open", "size": 9, "line": {"width": 2}}
    star = {"color": look["color"], "symbol": "star", "size": 18}
    line = {"line": {"color": look["color"], "width": 2.5}, "marker": {**look, "size": 8}}
    label = [f"<b>λ = {candidate.strength:g}</b>" for candidate in chosen]
    traces = [
        _points(complete, unit, f"{step} step", "", mode="lines+markers", **line),
        _points(
            stopped,
            unit,
            "stopped: at least this much",
            "stopped: at least this much, ",
            mode="markers",
            marker=hollow,
        ),
        _points(
            chosen,
            unit,
            f"{step} step, chosen",
            "chosen: ",
            mode="markers+text",
            marker=star,
            text=label,
            textposition=place,
        ),
    ]
    return [trace for trace in traces if len(trace.x)]


def _points(tried: list[Candidate], unit: float, name: str, words: str, **look: object) -> go.Scatter:
    return go.Scatter(
        x=[candidate.strength for candidate in tried],
        y=[candidate.objective / unit for candidate in tried],
        name=name,
        hovertemplate=f"λ = %{{x:g}}<br>{words}objective %{{y:.4f}}<extra></extra>",
        **look,
    )


def _bars(
    table: pd.DataFrame, column: str, unit: float, width: float, marker: Mapping[str, object], name: str
) -> go.Bar:
    return go.Bar(
        x=table["block"],
        y=table[column] / unit,
        customdata=table[column],
        width=width,
        marker=marker,
        name=name,
        hovertemplate=f"block %{{x}}, {name}<br>distance %{{customdata:.3e}}<extra></extra>",
    )


def _span(values: list[float]) -> list[float] | None:
    """An axis around the finite values with room for a label above and below; None (the figure's own choice)
    where they do not differ.
    """
    found = [value for value in values if abs(value) < float("inf")]
    if not found or max(found) == min(found):
        return None
    room = max(found) - min(found)
    return [min(found) - 0.2 * room, max(found) + 0.12 * room]


def _outcome(record: RunRecord) -> str:
    """What was chosen, or what is best so far."""
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None:
        return "No candidate was tried yet."
    if best.step == "uniform":
        return f"Uniform gives {scientific(best.objective, 3)}; the candidates come next."
    chosen = [candidate for candidate in record.search if candidate.chosen]
    words = [
        f"{candidate.step} step λ = {candidate.strength:g} ({scientific(candidate.objective, 3)})"
        for candidate in chosen
    ]
    said = [f"Chosen: {', '.join(words)}."] if words else []
    if not best.chosen:
        said.append(f"Best so far: {named(best)} ({scientific(best.objective, 3)}).")
    return " ".join([*said, *([f"Uniform: {scientific(uniform.objective, 3)}."] if uniform else [])])


def _gain(record: RunRecord) -> str:
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None or uniform is None:
        return "Nothing to compare yet."
    if best.step == "uniform" or not 0 < uniform.objective < float("inf"):
        return f"Uniform: {scientific(uniform.objective, 3)} in all."
    change = best.objective / uniform.objective - 1
    side = "lower" if change <= 0 else "higher"
    nearer = sum(mine < reference for mine, reference in zip(best.alignment, uniform.alignment, strict=False))
    return f"In all {percent(abs(change))} {side} than uniform; lower in {nearer} of {len(best.alignment)} blocks."

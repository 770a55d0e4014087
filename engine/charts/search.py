"""What a search tried: the objective of every candidate over its strength, and the best one per block.

Candidates are drawn as they arrive. A candidate that was stopped early only has a part of its objective, so
it is a hollow mark without a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.candidates import best_candidate, named, step_title, uniform_candidate
from engine.analysis.explanations import search
from engine.charts import palette
from engine.charts.chart import Chart, block_axis, block_count, canvas, largest, unit_of
from engine.charts.figure import FigureBuilder
from engine.events import EVOLUTION_STEP, Candidate
from engine.numbers import percent, scientific
from engine.pruning.axes import ALLOCATIONS
from engine.record import RunRecord

STRONGEST = 0.25
"""Initial end of the strength axis, extended only for a stronger candidate."""
LOOKS = {
    "block": (palette.BLUE, "circle", "top"),
    "row": (palette.VERMILLION, "diamond", "bottom"),
}
"""Colour, marker and label position of each step; the row step continues below where the block step ended."""
OTHER_LOOK = (palette.PURPLE, "square", "top")
"""For a step with any other name."""


def evolves(record: RunRecord) -> bool:
    return any(candidate.step == EVOLUTION_STEP for candidate in record.search)


def search_curves(record: RunRecord) -> Chart:
    """Return the objective over lambda, for each step."""
    columns = ["step", "lambda", "objective", "stopped", "chosen"]
    rows = [
        (tried.step, tried.strength, tried.objective, tried.stopped, tried.chosen) for tried in record.search
    ]
    unit, words = unit_of(largest(candidate.objective for candidate in record.search))
    figure = canvas(FigureBuilder(curves(record, unit)))
    end = strength_end(record)
    figure.update_xaxes(
        title={"text": "Generation" if evolves(record) else "Strength λ"},
        range=[-0.04 * end, 1.04 * end],  # marks at both ends are not cut
    )
    figure.update_yaxes(
        title={"text": objective_title(unit, words)},
        range=value_range([tried.objective / unit for tried in record.search]),
    )
    return Chart(
        title=f"Search: objective over {'generations' if evolves(record) else 'strength'}",
        figure=figure.build(),
        table=pd.DataFrame(rows, columns=columns),
        alt=f"Line chart of the search's objective, {len(rows)} candidates. {outcome(record)}",
        caption=f"{outcome(record)} {objective_words(record)}",
        explain=partial(search.objective, record),
    )


def alignment_against_uniform(record: RunRecord) -> Chart:
    """Return in which blocks the best candidate is better than uniform, and in which it is worse."""
    uniform, best = uniform_candidate(record), best_candidate(record)
    parts = {
        "uniform": uniform.block_objectives if uniform else (),
        "best": best.block_objectives if best else (),
    }
    table = (
        pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in parts.items()})
        .rename_axis("block")
        .reset_index()
    )
    unit, words = unit_of(largest(chain.from_iterable(parts.values())))
    outline = {"color": palette.TRANSPARENT, "line": {"color": palette.GREY, "width": 2}}
    bars = [
        # wider, so that it is visible around the best
        _bars(table, "uniform", unit, 0.9, outline, "uniform"),
        _bars(table, "best", unit, 0.6, {"color": palette.BLUE}, named(best) if best else "best"),
    ]
    figure = canvas(FigureBuilder(bars))
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(**block_axis(block_count(record)))
    figure.update_yaxes(title={"text": f"Distance A, {words}"}, rangemode="tozero")
    return Chart(
        title="Neuron alignment of the best candidate and of uniform",
        figure=figure.build(),
        table=table,
        alt="Bars of the neuron alignment distance per block, uniform as an outline around "
        f"{named(best) if best else 'the best candidate'}. {gain_over_uniform(record)}",
        caption=f"{gain_over_uniform(record)} Measured on the search's windows; a block's distance is its "
        "term of the objective, 0 = neurons are as active as in the dense model.",
        explain=partial(search.against_uniform, record),
    )


def curves(record: RunRecord, unit: float) -> list[go.Scatter]:
    traces, end = [], strength_end(record)
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
    # in the order of the search
    steps = dict.fromkeys(candidate.step for candidate in record.search if not candidate.is_reference)
    for step in steps:
        colour, symbol, place = LOOKS.get(step, OTHER_LOOK)
        tried = sorted(
            (candidate for candidate in record.search if candidate.step == step),
            key=lambda candidate: candidate.strength,
        )
        labels = [f"{place} {_side(candidate.strength / end)}" for candidate in tried if candidate.chosen]
        traces += _of_step(step, tried, unit, {"color": colour, "symbol": symbol}, labels)
    named_in_legend: set[str] = set()  # both steps may have stopped candidates, the legend needs one entry
    for trace in traces:
        trace.update(showlegend=trace.name not in named_in_legend and "chosen" not in trace.name)
        named_in_legend.add(trace.name)
    return traces


def strength_end(record: RunRecord) -> float:
    """Return the end of the axis of strengths, or of generations."""
    least = 1.0 if evolves(record) else STRONGEST
    return max([least, *(tried.strength for tried in record.search)])


def _side(share: float) -> str:
    """Return on which side of its mark a label stands; at an end of the axis, the panel would cut it off."""
    return "left" if share > 2 / 3 else "right" if share < 1 / 3 else "center"


def _of_step(
    step: str, tried: list[Candidate], unit: float, look: dict[str, str], labels: list[str]
) -> list[go.Scatter]:
    """Return a step's curve, its stopped candidates, and the chosen one, as far as there are any; `labels`
    are the positions of the labels of the chosen ones.
    """
    complete = [candidate for candidate in tried if not candidate.stopped]
    stopped = [candidate for candidate in tried if candidate.stopped]
    chosen = [candidate for candidate in tried if candidate.chosen]
    hollow = {"color": look["color"], "symbol": f"{look['symbol']}-open", "size": 9, "line": {"width": 2}}
    star = {"color": look["color"], "symbol": "star", "size": 18}
    line = {"line": {"color": look["color"], "width": 2.5}, "marker": {**look, "size": 8}}
    label = [f"<b>{candidate.place}</b>" for candidate in chosen]
    traces = [
        _points(complete, unit, step_title(step), "", mode="lines+markers", **line),
        _points(
            stopped,
            unit,
            "stopped: at least this value",
            "stopped: at least this value, ",
            mode="markers",
            marker=hollow,
        ),
        _points(
            chosen,
            unit,
            f"{step_title(step)}, chosen",
            "chosen: ",
            mode="markers+text",
            marker=star,
            text=label,
            textposition=labels,
        ),
    ]
    return [trace for trace in traces if len(trace.x)]


def _points(tried: list[Candidate], unit: float, name: str, words: str, **look: object) -> go.Scatter:
    return go.Scatter(
        x=[candidate.strength for candidate in tried],
        y=[candidate.objective / unit for candidate in tried],
        name=name,
        customdata=[candidate.place for candidate in tried],
        hovertemplate=f"%{{customdata}}<br>{words}objective %{{y:.4f}}<extra></extra>",
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


def objective_title(unit: float, words: str) -> str:
    """Return the title of an axis of objectives, which are drawn in a unit that `unit_of` has named."""
    # Not "no unit": some objectives are in nats per token, as the caption says.
    return "Objective" if unit == 1 else f"Objective, {words}"


def objective_words(record: RunRecord) -> str:
    """Return what the objective and the strength are, as the allocation declares them."""
    allocation = ALLOCATIONS.named(record.recipe.allocation) if record.recipe else None
    if allocation is None or not allocation.objective:
        return "Lower is better."
    return f"Objective: {allocation.objective}; lower is better. {allocation.strengths}".strip()


def value_range(values: list[float]) -> list[float] | None:
    """Return an axis around the finite values, with space for labels above and below; None, which leaves it
    to Plotly, if the values do not differ.
    """
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite or max(finite) == min(finite):  # an axis of length zero
        return None
    extent = max(finite) - min(finite)
    # more below: the row step's label is under its mark
    return [min(finite) - 0.2 * extent, max(finite) + 0.12 * extent]


def outcome(record: RunRecord) -> str:
    """Return which candidates were chosen, or which is best so far."""
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None:
        return "No candidate has been tried yet."
    if best.is_reference:
        return f"Uniform gives {scientific(best.objective, 3)}; the candidates follow."
    chosen = [candidate for candidate in record.search if candidate.chosen]
    words = [
        f"{step_title(candidate.step)} {candidate.place} ({scientific(candidate.objective, 3)})"
        for candidate in chosen
    ]
    sentences = [f"Chosen: {', '.join(words)}."] if words else []
    if not best.chosen:
        sentences.append(f"Best so far: {named(best)} ({scientific(best.objective, 3)}).")
    return " ".join([*sentences, *([f"Uniform: {scientific(uniform.objective, 3)}."] if uniform else [])])


def gain_over_uniform(record: RunRecord) -> str:
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None or uniform is None:
        return "Nothing to compare yet."
    if best.is_reference or not 0 < uniform.objective < float("inf"):
        return f"Uniform: {scientific(uniform.objective, 3)} in total."
    change = best.objective / uniform.objective - 1
    side = "lower" if change <= 0 else "higher"
    lower = sum(
        value < reference
        for value, reference in zip(best.block_objectives, uniform.block_objectives, strict=False)
    )
    return (
        f"{percent(abs(change))} {side} than uniform in total; lower in {lower} of "
        f"{len(best.block_objectives)} blocks."
    )

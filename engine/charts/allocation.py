"""The sparsity of each block, and the quantity that it was derived from.

The bars have a fixed axis, so that two runs can be compared by eye; the uniform allocation is drawn as an
outline. A method that measures something per block gets a panel for it above, which fills before the
sparsities are known. During a search, the bars show the best candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.candidates import best_candidate, named
from engine.analysis.explanations import allocation
from engine.charts import palette
from engine.charts.chart import HEIGHT, Chart, block_count, canvas, panels, share_block_axis
from engine.numbers import listed, percent
from engine.pruning.axes import ALLOCATIONS
from engine.record import RunRecord

MOST_LABELS = 16
"""Blocks up to which the bars have room for their numbers."""
TOP = 108
"""End of the axis in percent: a bar of 99 % still has room for a word above it."""


def measured_quantity(record: RunRecord) -> str:
    """Return what the run's allocation measures on each block, in words; empty if it measures nothing."""
    return ALLOCATIONS.named(record.recipe.allocation).measure if record.recipe else ""


def allocation_bars(record: RunRecord) -> Chart:
    """Return the sparsity of each block next to the target, and the quantity that it was derived from."""
    quantity, table = measured_quantity(record), _table(record)
    figure = (
        panels([0.4, 0.6], [f"{quantity[0].upper()}{quantity[1:]}", "Sparsity derived from it, %"], 0.16)
        if quantity
        else panels([1])
    )
    canvas(figure, HEIGHT + 100 if quantity else HEIGHT, legend_lines=2 if quantity else 1)
    last = 2 if quantity else 1  # row of the bars: the measured quantity, if any, is above them
    if quantity:
        figure.add_trace(_measured(table, quantity), row=1, col=1)
    figure.add_traces(_ratios(record, table), row=last, col=1)
    # the outline, free and clipped bars share each block's place
    figure.update_layout(barmode="overlay", bargap=0.3)
    share_block_axis(figure, block_count(record), last)
    figure.update_yaxes(
        title={"text": "Sparsity, %"}, range=[0, TOP], tickvals=[0, 25, 50, 75, 100], row=last, col=1
    )
    return Chart(
        title="Sparsity per block",
        figure=figure.build(),
        table=table if quantity else table.drop(columns="measured"),
        alt=f"Bar chart of the sparsity per block against the target. {_summary(record, table)}",
        caption=f"{_summary(record, table)} {_direction(table, quantity)}Outline: uniform. The mean over all "
        "weights is the target.",
        explain=partial(allocation.sparsity_per_block, record),
    )


def _table(record: RunRecord) -> pd.DataFrame:
    best = best_candidate(record)
    # Until the allocation is decided, a search shows the ratios of its best candidate.
    ratios = dict(enumerate(record.allocation or (best.ratios if best else ())))
    target = record.sparsity.target
    rows = [
        (block, record.measured.get(block), target, ratios.get(block), block in record.clipped)
        for block in sorted({*record.measured, *ratios})
    ]
    table = pd.DataFrame(rows, columns=["block", "measured", "uniform", "sparsity", "held"])
    return table.astype({"measured": float, "uniform": float, "sparsity": float, "held": bool})


def _measured(table: pd.DataFrame, quantity: str) -> go.Scatter:
    return go.Scatter(
        x=table["block"],
        y=table["measured"],
        mode="lines+markers",
        line={"color": palette.GREEN, "width": 2.5},
        marker={"symbol": "diamond", "size": 9},
        showlegend=False,
        hovertemplate=f"block %{{x}}<br>{quantity}: %{{y:.4g}}<extra></extra>",
    )


def _ratios(record: RunRecord, table: pd.DataFrame) -> list[go.Bar | go.Scatter]:
    """Return the uniform outline, the sparsities, those clipped at a limit, and the target line."""
    total, target = block_count(record), record.sparsity.target
    free, held = table[~table["held"]], table[table["held"]]
    # Stripes, not a second colour, mark the clipped blocks: blue stays the colour of the result.
    striped = {"color": palette.BLUE, "pattern": {"shape": "/", "fillmode": "replace", "solidity": 0.4}}
    traces: list[go.Bar | go.Scatter] = [_bars(free, "sparsity", {"color": palette.BLUE}, total, "")]
    if len(held):
        traces.append(_bars(held, "clipped at a limit", striped, total, "clipped"))
    if target is None or not total:
        return traces
    ghost = {"color": palette.TRANSPARENT, "line": {"color": palette.GREY, "width": 1.5}}
    line = {"color": palette.VERMILLION, "width": 2, "dash": "dash"}
    ends = {
        "x": [-0.5, total - 0.5],  # the whole axis, to the outer edges of the first and last block
        "y": [100 * target] * 2,
        "mode": "lines",
        "line": line,
        "hoverinfo": "skip",
    }
    outline = go.Bar(
        x=list(range(total)),
        y=[100 * target] * total,
        width=0.9,
        marker=ghost,
        name="uniform",
        hoverinfo="skip",
    )
    # Plotly draws in this order: the wide outline below, the target line on top.
    return [outline, *traces, go.Scatter(name=f"target {percent(target)}", **ends)]


def _bars(table: pd.DataFrame, name: str, marker: Mapping[str, object], total: int, word: str) -> go.Bar:
    """Return bars with a word above them, or with their numbers inside if there is room."""
    numbers = [f"{100 * ratio:.0f}" for ratio in table["sparsity"]] if total <= MOST_LABELS else None
    return go.Bar(
        x=table["block"],
        y=100 * table["sparsity"],
        width=0.7,
        marker=marker,
        name=name,
        text=[word] * len(table) if word else numbers,
        textposition="outside" if word else "inside",
        textangle=0 if total <= MOST_LABELS else -90,  # a word is wider than one of many bars
        insidetextanchor="start",
        constraintext="inside",
        cliponaxis=False,
        hovertemplate=f"block %{{x}}<br>sparsity %{{y:.2f}} "
        f"%{', clipped at a limit' if word else ''}<extra></extra>",
    )


def _summary(record: RunRecord, table: pd.DataFrame) -> str:
    """Return a sentence on what was decided, or on how far the decision is."""
    known = table.dropna(subset="sparsity")
    if known.empty:
        done = len(record.measured)
        return (
            f"{done} of {block_count(record)} blocks are measured; the sparsities follow when all are."
            if done
            else "No sparsity is decided yet."
        )
    best = best_candidate(record)
    so_far = f"Best so far, {named(best)}: " if not record.allocation and best is not None else ""
    low, high = known.loc[known["sparsity"].idxmin()], known.loc[known["sparsity"].idxmax()]
    if low["sparsity"] == high["sparsity"]:
        return f"{so_far}{percent(low['sparsity'])} in every block."
    start = f"{so_far}from" if so_far else "From"
    words = (
        f"{start} {percent(low['sparsity'])} in block {int(low['block'])} "
        f"to {percent(high['sparsity'])} in block {int(high['block'])}"
    )
    words += f", target {percent(record.sparsity.target)}." if record.sparsity.target is not None else "."
    held = [int(block) for block in known[known["held"]]["block"]]
    return (
        f"{words} Clipped at a limit: block{'s' if len(held) > 1 else ''} {listed(held)}." if held else words
    )


def _direction(table: pd.DataFrame, quantity: str) -> str:
    """Return which way the quantity works, if both are known and are clearly correlated."""
    pairs = table[table["measured"].abs() < float("inf")].dropna(subset="sparsity")  # also drops NaN
    if not quantity or pairs["measured"].nunique() < 2 or pairs["sparsity"].nunique() < 2:
        return ""
    slope = pairs["measured"].corr(pairs["sparsity"])
    if abs(slope) < 0.9:  # Pearson correlation, below which a sentence would overstate the relation
        return ""
    return (
        "The higher the measured value of a block (upper panel), the "
        f"{'higher' if slope > 0 else 'lower'} its sparsity. "
    )

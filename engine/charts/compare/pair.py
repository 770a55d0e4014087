"""Two runs in one drawing: how the sparsity was shared out, neuron alignment, the error through depth, and
what their masks share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.comparison.overlap import LinearOverlap, Shared, Side, overall
from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas, done_blocks, largest, short_names, unit_of
from engine.charts.grids import ROOM_FOR_NUMBERS
from engine.events import BlockPruned
from engine.numbers import percent
from engine.record import RunRecord

Names = tuple[str, str]
LOOKS = ((palette.BLUE, "circle", "solid"), (palette.VERMILLION, "diamond", "dash"))


def pair_allocation(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Each block's sparsity in both runs."""
    caption = "Share of each block's prunable weights that is gone."
    return _chart(
        "Sparsity of every block, %", runs, names, lambda block: 100 * block.sparsity, "Sparsity, %", caption
    )


def pair_alignment(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Each block's neuron alignment distance in both runs."""
    caption = "NeuroAL's distance A between normalised input norms, dense against pruned; 0 = unchanged."
    unit, words = unit_of(largest(block.alignment for run in runs for block in run.blocks))
    chart = _chart(
        "Neuron alignment of every block",
        runs,
        names,
        lambda block: block.alignment / unit,
        f"Distance A, {words}",
        caption,
    )
    return replace(chart, table=chart.table.assign(**{name: chart.table[name] * unit for name in names}))


def pair_depth(runs: Sequence[RunRecord], names: Names) -> Chart:
    """The relative error of the hidden states behind each block in both runs."""
    caption = "‖h − h′‖ / ‖h‖ of the evaluation text's hidden states behind each block, pruned against dense."
    return _chart("Error through depth, %", runs, names, _error, "Relative error, %", caption)


def _error(block: BlockPruned) -> float | None:
    return None if block.relative_error is None else 100 * block.relative_error


def _chart(
    title: str,
    runs: Sequence[RunRecord],
    names: Names,
    value: Callable[[BlockPruned], float | None],
    unit: str,
    caption: str,
) -> Chart:
    columns = [{block.index: value(block) for block in done_blocks(run)} for run in runs]
    blocks = sorted({*columns[0], *columns[1]})
    table = pd.DataFrame(
        {
            "block": blocks,
            **{
                name: [column.get(block) for block in blocks]
                for name, column in zip(names, columns, strict=True)
            },
        }
    )
    figure = canvas(go.Figure(), legend_lines=1)
    for name, (colour, symbol, dash) in zip(names, LOOKS, strict=True):
        line, marker = {"color": colour, "dash": dash, "width": 2.5}, {"symbol": symbol, "size": 9}
        words = f"block %{{x}}<br>%{{y:.4g}}<extra>{name}</extra>"
        figure.add_trace(
            go.Scatter(
                x=blocks,
                y=table[name],
                mode="lines+markers",
                name=name,
                line=line,
                marker=marker,
                hovertemplate=words,
            )
        )
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": unit}, rangemode="tozero")
    return Chart(
        title,
        figure,
        table,
        f"Line chart over the blocks of two runs, {names[0]} and {names[1]}. {_further(table, names)}",
        caption,
    )


def _further(table: pd.DataFrame, names: Names) -> str:
    """Where the two differ most."""
    apart = (table[names[0]].astype(float) - table[names[1]].astype(float)).abs()
    if apart.dropna().empty:
        return "Not measured in both."
    return (
        "They are the same."
        if apart.max() == 0
        else f"They differ most in block {int(table.loc[apart.idxmax(), 'block'])}."
    )


def overlap_grid(found: Sequence[LinearOverlap], side: Side = "kept", order: Sequence[str] = ()) -> Chart:
    """Intersection over union of the weights that stay, or of those that go, blocks by linears; its cells can
    be clicked.

    Args:
        order: the linears' names in the model's order.
    """
    total = overall(found, side)
    names = sorted(
        {one.linear for one in found}, key=lambda name: order.index(name) if name in order else len(order)
    )
    blocks = sorted({one.block for one in found})
    figure = canvas(
        go.Figure([_heat(found, side, names, blocks), _handles(found, side)]), 70 + 27 * max(3, len(names))
    )
    figure.update_layout(hoverdistance=60)
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": "Linear"}, autorange="reversed", showgrid=False)
    verdict = f"Over the whole model {percent(total.share)}; two blind choices of as many would share {percent(total.chance)}."
    return Chart(
        title=f"What the two masks share, % of the {side} weights",
        figure=figure,
        table=overlap_table(found),
        alt=f"Heat map of the overlap of two masks, blocks by linears. {verdict}",
        caption=f"Weights that both runs {'keep' if side == 'kept' else 'remove'} / weights that either does (intersection over union). {verdict}",
    )


def overlap_table(found: Sequence[LinearOverlap]) -> pd.DataFrame:
    """One row a linear: what is shared, and what chance would share, of the kept and of the removed weights;
    shares.
    """
    columns = ["block", "linear", "kept", "kept_by_chance", "removed", "removed_by_chance"]
    rows = [
        (one.block, one.linear, one.kept.share, one.kept.chance, one.removed.share, one.removed.chance)
        for one in found
    ]
    return pd.DataFrame(rows, columns=columns)


def _heat(
    found: Sequence[LinearOverlap], side: Side, names: Sequence[str], blocks: Sequence[int]
) -> go.Heatmap:
    at = {(one.linear, one.block): 100 * _side(one, side).share for one in found}
    cells = [[at.get((name, block)) for block in blocks] for name in names]
    readable = len(blocks) <= ROOM_FOR_NUMBERS
    return go.Heatmap(
        x=blocks,
        y=[short_names(names)[name] for name in names],
        z=cells,
        text=[["" if cell is None else f"{cell:.0f}" for cell in row] for row in cells],
        texttemplate="%{text}" if readable else None,
        textfont={"color": palette.INK},
        zmin=0,
        zmax=100,
        colorscale=palette.AMOUNT,
        showscale=not readable,
        colorbar={"title": {"text": "Shared, %", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )


def _handles(found: Sequence[LinearOverlap], side: Side) -> go.Scatter:
    """An invisible point in the middle of each cell: a heat map's own cells cannot be selected."""
    short = short_names(list(dict.fromkeys(one.linear for one in found)))
    parts = [_side(one, side) for one in found]
    hidden = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[one.block for one in found],
        y=[short[one.linear] for one in found],
        customdata=[
            (one.block, one.linear, 100 * part.share, 100 * part.chance)
            for one, part in zip(found, parts, strict=True)
        ],
        mode="markers",
        marker={"symbol": "square", "size": 22, "opacity": 0},
        selected=hidden,
        unselected=hidden,
        hovertemplate="block %{x}, %{y}<br>shared %{customdata[2]:.1f} %<br>by chance %{customdata[3]:.1f} %<extra></extra>",
        showlegend=False,
    )


def _side(one: LinearOverlap, side: Side) -> Shared:
    return one.kept if side == "kept" else one.removed

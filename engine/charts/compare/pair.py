"""Two runs in one drawing: how the sparsity was shared out, neuron alignment, the error through depth, and what their masks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas, done_blocks
from engine.charts.names import short_names
from engine.charts.numbers import percent
from engine.comparison.overlap import LinearOverlap, overall
from engine.events import BlockPruned
from engine.record import RunRecord

Names = tuple[str, str]
LOOKS = ((palette.BLUE, "circle", "solid"), (palette.VERMILLION, "diamond", "dash"))


def pair_allocation(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Each block's sparsity in both runs."""
    caption = "Share of each block's prunable weights that is gone."
    return _chart("Sparsity of every block, %", runs, names, lambda block: 100 * block.sparsity, "Sparsity, %", caption)


def pair_alignment(runs: Sequence[RunRecord], names: Names) -> Chart:
    """Each block's neuron alignment distance in both runs."""
    caption = "NeuroAL's distance A between normalised input norms, dense against pruned; 0 = unchanged."
    return _chart("Neuron alignment of every block", runs, names, lambda block: block.alignment, "Distance A", caption)


def pair_depth(runs: Sequence[RunRecord], names: Names) -> Chart:
    """The relative error of the hidden states behind each block in both runs."""
    caption = "‖h − h′‖ / ‖h‖ of the evaluation text's hidden states behind each block, pruned against dense."
    return _chart("Error through depth, %", runs, names, _error, "Relative error, %", caption)


def _error(block: BlockPruned) -> float | None:
    return None if block.relative_error is None else 100 * block.relative_error


def _chart(title: str, runs: Sequence[RunRecord], names: Names, value: Callable[[BlockPruned], float | None], unit: str, caption: str) -> Chart:
    columns = [{block.index: value(block) for block in done_blocks(run)} for run in runs]
    blocks = sorted({*columns[0], *columns[1]})
    table = pd.DataFrame({"block": blocks, **{name: [column.get(block) for block in blocks] for name, column in zip(names, columns, strict=True)}})
    figure = canvas(go.Figure(), legend_lines=1)
    for name, (colour, symbol, dash) in zip(names, LOOKS, strict=True):
        line, marker = {"color": colour, "dash": dash, "width": 2.5}, {"symbol": symbol, "size": 9}
        words = f"block %{{x}}<br>%{{y:.4g}}<extra>{name}</extra>"
        figure.add_trace(go.Scatter(x=blocks, y=table[name], mode="lines+markers", name=name, line=line, marker=marker, hovertemplate=words))
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": unit}, rangemode="tozero")
    return Chart(title, figure, table, f"Line chart over the blocks of two runs, {names[0]} and {names[1]}. {_further(table, names)}", caption)


def _further(table: pd.DataFrame, names: Names) -> str:
    """Where the two differ most."""
    apart = (table[names[0]].astype(float) - table[names[1]].astype(float)).abs()
    if apart.dropna().empty:
        return "Not measured in both."
    return "They are the same." if apart.max() == 0 else f"They differ most in block {int(table.loc[apart.idxmax(), 'block'])}."


def overlap_grid(found: tuple[LinearOverlap, ...]) -> Chart:
    """Intersection over union of the weights that stay, blocks by linears."""
    names = list(dict.fromkeys(one.linear for one in found))
    short = short_names(names)
    blocks = sorted({one.block for one in found})
    at = {(one.linear, one.block): one for one in found}
    cells = [[100 * at[name, block].kept if (name, block) in at else None for block in blocks] for name in names]
    chance = [[100 * at[name, block].chance if (name, block) in at else None for block in blocks] for name in names]
    figure = go.Figure(
        go.Heatmap(
            x=blocks,
            y=[short[name] for name in names],
            z=cells,
            customdata=chance,
            text=[["" if cell is None else f"{cell:.0f}" for cell in row] for row in cells],
            texttemplate="%{text}",
            textfont={"color": palette.INK},
            zmin=0,
            zmax=100,
            colorscale=palette.AMOUNT,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="block %{x}, %{y}<br>shared %{z:.1f} %<br>by chance about %{customdata:.1f} %<extra></extra>",
        )
    )
    canvas(figure, 70 + 27 * max(3, len(names)))
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(title={"text": "Linear"}, autorange="reversed", showgrid=False)
    rows = [(one.block, one.linear, one.kept, one.chance, one.removed) for one in found]
    total, blind = overall(found), _mean_chance(found)
    return Chart(
        title="What the two masks share, %",
        figure=figure,
        table=pd.DataFrame(rows, columns=["block", "linear", "kept_shared", "by_chance", "removed_shared"]),
        alt=f"Heat map of the overlap of two masks, blocks by linears. Overall {percent(total)}, by chance about {percent(blind)}.",
        caption=f"Weights that both keep / weights that either keeps (intersection over union). Over the whole model {percent(total)}; two blind "
        f"choices of as many would share about {percent(blind)}.",
    )


def _mean_chance(found: tuple[LinearOverlap, ...]) -> float:
    either = sum(one.either for one in found)
    return sum(one.chance * one.either for one in found) / either if either else 1.0

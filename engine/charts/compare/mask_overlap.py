"""The overlap of two masks as a heat map of blocks by linears."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from engine.analysis.comparison.overlap import LinearOverlap, Side, overall
from engine.analysis.explanations import two_runs
from engine.charts.chart import Chart, block_axis, canvas, cell_handles, short_names
from engine.charts.figure import FigureBuilder
from engine.charts.heatmaps import IN_HOVER, labelled_heatmap, least_width, linear_axis
from engine.numbers import percent


def overlap_grid(overlaps: Sequence[LinearOverlap], side: Side = "kept", order: Sequence[str] = ()) -> Chart:
    """Return the intersection over union of the kept or the removed weights; the cells are clickable.

    Args:
        order: the linears' names in the model's order.
    """
    names = sorted(
        dict.fromkeys(one.linear for one in overlaps),
        key=lambda name: order.index(name) if name in order else len(order),  # unknown names go last
    )
    blocks = sorted({one.block for one in overlaps})
    short = short_names(names)
    labels = [short[name] for name in names]
    least = least_width(len(blocks), labels)
    parts = [getattr(one, side) for one in overlaps]
    share = {(one.linear, one.block): 100 * part.share for one, part in zip(overlaps, parts, strict=True)}
    cells = [[share.get((name, block)) for block in blocks] for name in names]
    heat = labelled_heatmap(blocks, labels, cells, 100, "Overlap, %", digits=0, hover=None)
    handles = cell_handles(
        [one.block for one in overlaps],
        [short[one.linear] for one in overlaps],
        [
            # a click is handled by the first two, the rest is hover text
            (one.block, one.linear, 100 * part.share, 100 * part.chance)
            for one, part in zip(overlaps, parts, strict=True)
        ],
        "block %{x}, %{y}<br>overlap %{customdata[2]:.1f} %<br>by chance %{customdata[3]:.1f} %",
    )
    figure = canvas(FigureBuilder([heat, handles]), 70 + 27 * max(3, len(names)))
    figure.update_layout(hoverdistance=60)  # a click selects the nearest handle, however wide the cells are
    figure.update_xaxes(**block_axis(len(blocks)))
    figure.update_yaxes(**linear_axis(len(blocks), labels))
    total = overall(overlaps, side)
    words = (
        f"{percent(total.share)} over the whole model; two random masks of the same sizes would have "
        f"{percent(total.chance)}."
    )
    verb = "keep" if side == "kept" else "remove"
    return Chart(
        title=f"Mask overlap, % of the {side} weights",
        figure=figure.build(),
        table=overlap_table(overlaps),
        alt=f"Heat map of the overlap of two masks, blocks by linears. {words}",
        caption=f"Weights that both runs {verb} / weights that at least one {verb}s (intersection over "
        f"union). {words}" + (IN_HOVER if least else ""),
        least_width=least,
        explain=partial(two_runs.mask_overlap, overlaps, side),
    )


def overlap_table(overlaps: Sequence[LinearOverlap]) -> pd.DataFrame:
    """Return one row per linear: the overlap of the kept and of the removed weights, and that of random
    masks.

    All values are shares.
    """
    columns = ["block", "linear", "kept", "kept_by_chance", "removed", "removed_by_chance"]
    rows = [
        (one.block, one.linear, one.kept.share, one.kept.chance, one.removed.share, one.removed.chance)
        for one in overlaps
    ]
    return pd.DataFrame(rows, columns=columns)

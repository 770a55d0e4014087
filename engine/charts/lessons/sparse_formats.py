"""Charts of lesson 8, second half: the size of a weight by storage format, and the time of its product."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.plots import line_chart
from engine.lessons.sparse_formats import SHARES, SIDE, TOKENS, Kernel, Product, break_even, sizes
from engine.numbers import percent

HEIGHT = 330
KERNEL_STYLES: dict[Kernel, tuple[str, str, str]] = {
    "dense": ("dense, zeros included", palette.BLUE, ""),
    "csr": ("sparse rows (CSR)", palette.GREEN, "/"),
}
"""By kernel: its label, colour and pattern."""


def size_curves(width: int, at: float) -> Chart:
    """Plot the size of one weight against its sparsity, relative to dense storage.

    Args:
        width: bytes per value.
        at: the sparsity to mark.
    """
    shown = SHARES[::5]  # one point per 5 %
    found = [sizes(share, width) for share in shown]
    # nan leaves a gap in the line: with fewer than half zeros, 2:4 cannot store all values.
    packed = [
        each.semi_structured / each.dense if each.semi_structured is not None else nan for each in found
    ]
    lines = {
        "dense": [1.0] * len(found),
        "bitmask + values": [each.bitmask / each.dense for each in found],
        "sparse rows (CSR)": [each.csr / each.dense for each in found],
        "2:4": packed,
    }
    marked, least = sizes(at, width), break_even(width)
    csr, bitmask = (percent(size / marked.dense, 0) for size in (marked.csr, marked.bitmask))
    summary = (
        f"At {percent(at, 0)} zeros, sparse rows take {csr} of the dense size and a bitmask with values "
        f"{bitmask}."
    )
    return line_chart(
        [100 * share for share in shown],
        lines,
        axes=("Zeros, %", "Size, % of dense"),
        title=f"Size of a {SIDE:,} × {SIDE:,} weight, {width} bytes per value",
        alt=f"Line chart of the size of a weight against its zeros, by format. {summary}",
        caption=f"{summary} Sparse rows are smaller than dense from {percent(least['csr'], 0)} zeros, "
        f"a bitmask from {percent(least['bitmask'], 0)}. "
        "2:4 needs zeros in its pattern and always stores half of the values.",
        at=100 * at,
    )


def product_times(products: Sequence[Product]) -> Chart:
    """Plot the median time of the product, by kernel and sparsity."""
    table = pd.DataFrame(
        [(each.kernel, each.sparsity, each.median, each.low, each.high, each.rounds) for each in products],
        columns=["kernel", "sparsity", "seconds", "lower_quartile", "upper_quartile", "rounds"],
    )
    bars = [_bars(products, kernel) for kernel in KERNEL_STYLES]
    figure = canvas(FigureBuilder(bars), HEIGHT, legend_lines=1)
    figure.update_layout(bargap=0.25)
    # bars evenly spaced: the timed sparsities are not
    figure.update_xaxes(title={"text": "Zeros in the weight"}, type="category")
    figure.update_yaxes(title={"text": "Median time, ms"}, rangemode="tozero")
    summary = product_summary(products)
    return Chart(
        title="Time of one product, measured where Prunescope runs",
        figure=figure.build(),
        table=table,
        alt=f"Bar chart of the time of a matrix product by sparsity and kernel. {summary}",
        caption=f"{summary} A {SIDE:,} × {SIDE:,} weight times {TOKENS} inputs in float32, on the CPU. "
        f"Medians of {products[0].rounds} interleaved rounds; the lines show the middle half.",
    )


def product_summary(products: Sequence[Product]) -> str:
    """Return a summary: the dense kernel at the highest sparsity, and from where the sparse one is faster."""
    dense = {each.sparsity: each.median for each in products if each.kernel == "dense"}
    sparse = {each.sparsity: each.median for each in products if each.kernel == "csr"}
    most = max(dense)
    faster = [share for share in dense if sparse[share] < dense[share]]
    sparse_rows = (
        f"Among the timed sparsities, sparse rows are faster from {percent(min(faster), 0)}."
        if faster
        else "Sparse rows are never faster here."
    )
    return (
        f"With {percent(most, 0)} zeros, the dense product takes × {dense[most] / dense[min(dense)]:.2f} "
        f"of its time without zeros. {sparse_rows}"
    )


def _bars(products: Sequence[Product], kernel: Kernel) -> go.Bar:
    name, colour, pattern = KERNEL_STYLES[kernel]
    timed = [each for each in products if each.kernel == kernel]
    spread = {
        "type": "data",
        "symmetric": False,
        # s to ms; lengths from the median, not positions
        "array": [1000 * (each.high - each.median) for each in timed],
        "arrayminus": [1000 * (each.median - each.low) for each in timed],
        "color": palette.GREY,
        "thickness": 1.5,
    }
    return go.Bar(
        x=[percent(each.sparsity, 0) for each in timed],
        y=[1000 * each.median for each in timed],
        name=name,
        error_y=spread,
        marker={"color": colour, "pattern": {"shape": pattern}},
        hovertemplate=f"{name}, %{{x}} zeros: %{{y:.3~g}} ms<extra></extra>",
    )

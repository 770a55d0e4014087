"""The drawings of lesson 8, the second half: bytes of a weight by format, and seconds of its product."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas
from engine.charts.lessons.plots import line_chart
from engine.lessons.zeros import SHARES, SIDE, TOKENS, Kernel, Product, break_even, sizes
from engine.numbers import percent

HEIGHT = 330
LOOKS: dict[Kernel, tuple[str, str, str]] = {
    "dense": ("zeros stored and multiplied", palette.BLUE, ""),
    "csr": ("sparse rows (CSR)", palette.GREEN, "/"),
}


def size_curves(width: int, at: float) -> Chart:
    """Bytes of one weight over its sparsity, as a share of dense storage."""
    shown = SHARES[::5]
    found = [sizes(share, width) for share in shown]
    packed = [
        each.semi_structured / each.dense if each.semi_structured is not None else nan for each in found
    ]
    lines = {
        "zeros stored": [1.0] * len(found),
        "bitmask + values": [each.bitmask / each.dense for each in found],
        "sparse rows (CSR)": [each.csr / each.dense for each in found],
        "2:4": packed,
    }
    here, least = sizes(at, width), break_even(width)
    csr, bitmask = (percent(bytes_ / here.dense, 0) for bytes_ in (here.csr, here.bitmask))
    said = (
        f"At {percent(at, 0)} zeros sparse rows take {csr} of the dense bytes, bitmask and values {bitmask}."
    )
    return line_chart(
        [100 * share for share in shown],
        lines,
        axes=("Zeros, %", "Bytes, % of dense"),
        title=f"Bytes of a {SIDE:,} × {SIDE:,} weight, {width} bytes a value",
        alt=f"Line chart of the size of a weight against its zeros, by format. {said}",
        caption=f"{said} Smaller than dense: sparse rows from {percent(least['csr'], 0)} on, bitmask from {percent(least['bitmask'], 0)}. "
        "2:4 needs its pattern, and stores half of the values however many are zero.",
        at=100 * at,
    )


def product_times(products: Sequence[Product]) -> Chart:
    """Median times of the product, by kernel and sparsity."""
    table = pd.DataFrame(
        [(each.kernel, each.sparsity, each.median, each.low, each.high, each.rounds) for each in products],
        columns=["kernel", "sparsity", "seconds", "lower_quartile", "upper_quartile", "rounds"],
    )
    figure = canvas(go.Figure([_bars(products, kernel) for kernel in LOOKS]), HEIGHT, legend_lines=1)
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(title={"text": "Zeros in the weight"}, type="category")
    figure.update_yaxes(title={"text": "Median time, ms"}, rangemode="tozero")
    said = product_words(products)
    return Chart(
        title="Time of one product, measured here and now",
        figure=figure,
        table=table,
        alt=f"Bar chart of the time of a matrix product by sparsity and kernel. {said}",
        caption=f"{said} A {SIDE:,} × {SIDE:,} weight times {TOKENS} inputs in float32, on the CPU that serves this page; medians of "
        f"{products[0].rounds} rounds taken in turns, lines: the middle half.",
    )


def product_words(products: Sequence[Product]) -> str:
    """What the dense kernel makes of the most zeros, and from which of the sparsities on sparse rows are
    faster.
    """
    dense = {each.sparsity: each.median for each in products if each.kernel == "dense"}
    sparse = {each.sparsity: each.median for each in products if each.kernel == "csr"}
    most = max(dense)
    faster = [share for share in dense if sparse[share] < dense[share]]
    ahead = (
        f"sparse rows are faster from {percent(min(faster), 0)} on, of those timed"
        if faster
        else "sparse rows are never faster here"
    )
    return f"With {percent(most, 0)} zeros the dense product takes × {dense[most] / dense[min(dense)]:.2f} of its time without any; {ahead}."


def _bars(products: Sequence[Product], kernel: Kernel) -> go.Bar:
    name, colour, pattern = LOOKS[kernel]
    mine = [each for each in products if each.kernel == kernel]
    spread = {
        "type": "data",
        "symmetric": False,
        "array": [1000 * (each.high - each.median) for each in mine],
        "arrayminus": [1000 * (each.median - each.low) for each in mine],
        "color": palette.GREY,
        "thickness": 1.5,
    }
    return go.Bar(
        x=[percent(each.sparsity, 0) for each in mine],
        y=[1000 * each.median for each in mine],
        name=name,
        error_y=spread,
        marker={"color": colour, "pattern": {"shape": pattern}},
        hovertemplate=f"{name}, %{{x}} zeros: %{{y:.3~g}} ms<extra></extra>",
    )

"""Where a walk from dense to nothing stands: perplexity over the sparsities of one pruner, the current one marked."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import numbers, palette
from engine.charts.chart import Chart, canvas

HEIGHT = 250
LOGARITHMIC = 10.0
"""From this ratio of the largest to the smallest perplexity on, the axis is logarithmic."""


def walk_line(sparsities: Sequence[float], perplexities: Sequence[float], current: int, agreeing: Sequence[int | None] = ()) -> Chart:
    """The line; the first place is the dense model.

    Args:
        agreeing: how many tokens of each text are the dense model's before the two part, where that is known.
    """
    table = pd.DataFrame({"sparsity": sparsities, "perplexity": perplexities})
    if agreeing:
        table["tokens as dense"] = pd.array(list(agreeing), dtype="Int64")
    figure = canvas(go.Figure(), HEIGHT)
    x = [100 * sparsity for sparsity in sparsities]
    line = {"color": palette.BLUE, "width": 2.5}
    words = "%{x:.0f} %<br>perplexity %{customdata}<extra></extra>"
    readable = [numbers.perplexity(value) for value in perplexities]
    figure.add_trace(go.Scatter(x=x, y=perplexities, mode="lines+markers", line=line, marker={"size": 7}, customdata=readable, hovertemplate=words))
    here = {"symbol": "circle-open", "size": 18, "color": palette.VERMILLION, "line": {"width": 3}}
    figure.add_trace(go.Scatter(x=[x[current]], y=[perplexities[current]], mode="markers", marker=here, hoverinfo="skip"))
    figure.add_hline(y=perplexities[0], line={"color": palette.GREY, "width": 1.5, "dash": "dash"}, layer="below")
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title={"text": "Sparsity, %"}, range=[-3, max(100 * max(sparsities), 90) + 4], dtick=10)
    figure.update_yaxes(title={"text": "Perplexity"}, **_axis(perplexities))
    place = f"{numbers.percent(sparsities[current], 0)}: perplexity {readable[current]}"
    return Chart(
        title="Where this is",
        figure=figure,
        table=table,
        alt=f"Line chart of the perplexity by sparsity. The ring is at {place}; dense is {readable[0]}.",
        caption=f"Perplexity on the evaluation text{', logarithmic' if _spans(perplexities) else ''}. The ring is here: {place}. Dashed: dense.",
    )


def _spans(perplexities: Sequence[float]) -> bool:
    """Whether a straight axis would press all but the last points flat."""
    known = [value for value in perplexities if 0 < value < float("inf")]
    return bool(known) and max(known) / min(known) >= LOGARITHMIC


def _axis(perplexities: Sequence[float]) -> dict[str, object]:
    if not _spans(perplexities):
        return {"rangemode": "tozero", "nticks": 6}
    return {"type": "log", "dtick": 1, "exponentformat": "power"}

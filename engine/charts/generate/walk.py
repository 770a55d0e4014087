"""Where a walk from dense to nothing stands: perplexity over the sparsities of one pruner, the current one marked."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import numbers, palette
from engine.charts.chart import Chart, canvas


def walk_line(sparsities: Sequence[float], perplexities: Sequence[float], current: int) -> Chart:
    """The line; the first place is the dense model."""
    table = pd.DataFrame({"sparsity": sparsities, "perplexity": perplexities})
    figure = canvas(go.Figure(), 230)
    x = [100 * sparsity for sparsity in sparsities]
    line = {"color": palette.BLUE, "width": 2.5}
    words = "%{x:.0f} %<br>perplexity %{y:.2f}<extra></extra>"
    figure.add_trace(go.Scatter(x=x, y=perplexities, mode="lines+markers", line=line, marker={"size": 7}, hovertemplate=words))
    here = {"symbol": "circle-open", "size": 18, "color": palette.VERMILLION, "line": {"width": 3}}
    figure.add_trace(go.Scatter(x=[x[current]], y=[perplexities[current]], mode="markers", marker=here, hoverinfo="skip"))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title={"text": "Sparsity, %"}, range=[-3, 97])
    figure.update_yaxes(title={"text": "Perplexity"}, type="log", exponentformat="power", nticks=5)
    place = f"{numbers.percent(sparsities[current], 0)}: perplexity {numbers.perplexity(perplexities[current])}"
    return Chart(
        title="Where this is",
        figure=figure,
        table=table,
        alt=f"Line chart of the perplexity by sparsity. The ring is at {place}.",
        caption=f"Perplexity on the evaluation text, logarithmic. The ring is here: {place}.",
    )

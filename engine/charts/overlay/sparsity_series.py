"""The small curve of a pruner over the sparsities, with a mark for the second run."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, literal
from engine.charts.overlay.headline import incomparable_perplexities
from engine.charts.overlay.pair import Pair
from engine.numbers import perplexity


def marked_series(chart: Chart, pair: Pair) -> Chart:
    """Return the curve with a mark for the second run, or with the reason why it has none.

    The dense model is in the curve already.
    """
    recipe, score, name = pair.second.recipe, pair.second.pruned, pair.names[1]
    if recipe is None:
        return chart
    if score is None:
        return replace(chart, caption=f"{chart.caption} {name} has no perplexity yet.")
    if incomparable_perplexities(pair):
        return replace(chart, caption=f"{chart.caption} {name} was measured in another way.")
    value = perplexity(score.perplexity)
    figure = go.Figure(chart.figure)
    figure.add_trace(
        go.Scatter(
            x=[round(100 * recipe.sparsity, 6)],
            y=[score.perplexity],
            mode="markers",
            marker={"symbol": "diamond", "size": 11, "color": palette.GREEN, "opacity": 1},
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
            customdata=[value],
            hovertemplate=f"%{{x:g}} %<br>perplexity %{{customdata}}<extra>{literal(name)}</extra>",
        )
    )
    row = pd.DataFrame({"run": [name], "sparsity": [recipe.sparsity], "perplexity": [score.perplexity]})
    return replace(
        chart,
        figure=figure,
        table=pd.concat([chart.table.assign(run="curve"), row], ignore_index=True),
        alt=f"{chart.alt} Diamond: {name}, {value}.",
        caption=f"{chart.caption} Diamond: {name}, {value}.",
    )

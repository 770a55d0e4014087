"""Charts of lesson 8, first half: token losses, an error through many layers, and recorded runs up to the
cliff.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas
from engine.charts.figure import FigureBuilder
from engine.charts.lessons.plots import STRIPES, Panel, line_chart, pair_chart
from engine.charts.lessons.shared import shared
from engine.lessons.perplexity_explosion import Chain, TokenLosses
from engine.numbers import percent, perplexity
from engine.record import RunRecord

HEIGHT = 330  # pixels


@shared
def loss_bars(losses: TokenLosses) -> Chart:
    """Plot the loss of each token, and their mean, from which perplexity is computed."""
    figure = canvas(
        FigureBuilder([_bars(losses, damaged) for damaged in (False, True)]), HEIGHT, legend_lines=1
    )
    figure.add_hline(y=losses.nll, line={"color": palette.GREEN, "width": 2, "dash": "dash"})
    figure.update_layout(barmode="overlay")  # two traces with separate tokens, not side by side
    figure.update_xaxes(title={"text": "Token"}, dtick=2, tick0=2)
    figure.update_yaxes(title={"text": "Loss −ln p, nats"}, rangemode="tozero")
    count = len(losses.losses)
    table = {
        "token": range(1, count + 1),
        "probability": losses.probabilities,
        "loss": losses.losses,
        "damaged": [at in losses.damaged for at in range(count)],
    }
    summary = f"The mean is {losses.nll:.2f} nats, so the perplexity is {perplexity(losses.perplexity)}."
    return Chart(
        title="Loss of each token",
        figure=figure.build(),
        table=pd.DataFrame(table),
        alt=f"Bar chart of the loss of {count} tokens, {len(losses.damaged)} of them damaged. {summary}",
        caption=f"Dashed: the mean of all tokens. {summary} The probabilities are invented.",
    )


def _bars(losses: TokenLosses, damaged: bool) -> go.Bar:
    tokens = [at for at in range(len(losses.losses)) if (at in losses.damaged) == damaged]
    return go.Bar(
        x=[at + 1 for at in tokens],
        y=[losses.losses[at] for at in tokens],
        width=0.8,
        name="damaged by pruning" if damaged else "unchanged",
        marker={"color": palette.VERMILLION, "pattern": STRIPES} if damaged else {"color": palette.BLUE},
        customdata=[losses.probabilities[at] for at in tokens],
        hovertemplate="token %{x}: p = %{customdata:.2g}, loss %{y:.2f}<extra></extra>",
    )


def error_through_layers(chain: Chain, layers: int) -> Chart:
    """Plot the measured error after each layer, the formula, and each layer's own error."""
    error, law = percent(chain.error[layers - 1], 0), percent(chain.law[layers - 1], 0)  # layers count from 1
    summary = (
        f"Each layer alone has an error of about {percent(chain.typical, 0)}; after {layers} layers the "
        f"error is {error}"
    )
    return line_chart(
        list(range(1, len(chain.own) + 1)),
        {"measured after the layer": chain.error, "formula": chain.law, "each layer's own error": chain.own},
        axes=("Layers", "Error, %"),
        title="Error after many pruned layers",
        alt=f"Line chart of the error over the layers. {summary}; the formula gives {law}.",
        caption=f"{summary} (the formula gives {law}). "
        "A chain of random 128 × 128 layers without a nonlinearity, pruned by Wanda.",
        at=layers,
    )


def error_in_runs(records: Sequence[RunRecord], at: float) -> Chart:
    """Plot the error of the hidden states through the blocks of the bundled model, a line per sparsity.

    The run nearest to the sparsity `at` is highlighted.
    """
    blocks = len(records[0].blocks)
    figure = canvas(FigureBuilder(), HEIGHT)
    # The highlighted run is drawn last, so that it covers the others.
    ordered = sorted(records, key=lambda record: abs(_sparsity(record) - at), reverse=True)
    for number, record in enumerate(ordered, start=1):
        figure.add_trace(_run(record, highlighted=number == len(ordered)))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(**block_axis(blocks))
    # The labels stand to the right of the last block.
    figure.update_xaxes(range=[-0.5, blocks - 0.3], tickvals=list(range(blocks)), tickmode="array")
    figure.update_yaxes(title={"text": "Error of the hidden states, %"}, rangemode="tozero")
    rows = [
        (_sparsity(record), block.index, block.relative_error)
        for record in records
        for block in record.blocks
    ]
    chosen = ordered[-1].blocks
    first, last = (percent(block.relative_error) for block in (chosen[0], chosen[-1]))
    summary = (
        f"At {percent(_sparsity(ordered[-1]), 0)}: {first} after the first block, {last} after the last."
    )
    return Chart(
        title="The same in the bundled model (recorded)",
        figure=figure.build(),
        table=pd.DataFrame(rows, columns=["sparsity", "block", "relative error"]),
        alt=f"Line chart of the error of the hidden states over the blocks, a line per sparsity. {summary}",
        caption=f"{summary} Wanda, ‖h − h′‖ / ‖h‖ over the evaluation text; a line per sparsity. "
        "Each block has a skip connection that passes the signal on unchanged, so the error grows more "
        "slowly than in the chain.",
    )


def _sparsity(record: RunRecord) -> float:
    return record.recipe.sparsity if record.recipe else 0.0


def _run(record: RunRecord, *, highlighted: bool) -> go.Scatter:
    label = percent(_sparsity(record), 0)
    errors = [100 * (block.relative_error or 0.0) for block in record.blocks]
    return go.Scatter(
        x=[block.index for block in record.blocks],
        y=errors,
        mode="lines+markers+text" if highlighted else "lines+text",
        line={
            "color": palette.VERMILLION if highlighted else palette.GREY,
            "width": 3 if highlighted else 1.5,
        },
        marker={"symbol": "diamond", "size": 9},
        text=[*[""] * (len(errors) - 1), f" {label}"],  # a label at the last block only
        textposition="middle right",
        textfont={"weight": "bold" if highlighted else "normal"},
        hovertemplate=f"{label}, after block %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def loss_and_perplexity(records: Sequence[RunRecord], at: float) -> Chart:
    """Plot the mean loss of the recorded runs, and its exponential."""
    scored = [
        (record.recipe.sparsity, record.pruned) for record in records if record.pruned and record.recipe
    ]
    sparsity, nearest = min(scored, key=lambda item: abs(item[0] - at))
    summary = (
        f"At {percent(sparsity, 0)} the mean loss is {nearest.nll:.2f} nats "
        f"and the perplexity {perplexity(nearest.perplexity)}"
    )
    title = records[0].recipe.methods["score"].title if records[0].recipe else ""
    dense = perplexity(records[0].dense.perplexity if records[0].dense else None)
    return pair_chart(
        [100 * share for share, _ in scored],  # percent, as `at`
        Panel("Mean loss, nats", [score.nll for _, score in scored]),
        Panel("Perplexity, exp of the mean loss", [score.perplexity for _, score in scored]),
        axis="Sparsity, %",
        at=100 * sparsity,
        title=f"Recorded runs of the bundled model, {title}",
        alt=f"Two line charts over the sparsity. {summary}.",
        caption=f"{summary}; dense {dense}. Perplexity: {records[0].protocol.perplexity}.",
    )

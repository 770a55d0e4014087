"""The drawings of lesson 8, the first half: losses of tokens, an error through many layers, and recorded runs
up to the cliff.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, block_axis, canvas
from engine.charts.lessons.plots import Panel, line_chart, pair_chart
from engine.lessons.explosion import Chain, Sentence
from engine.numbers import percent, perplexity
from engine.record import RunRecord

HEIGHT = 330
STRIPES = {"shape": "/", "fillmode": "replace", "solidity": 0.35}


def token_losses(sentence: Sentence) -> Chart:
    """What each token adds, and the mean that perplexity is made of."""
    places = list(range(1, len(sentence.losses) + 1))
    spoilt = [place in sentence.spoilt for place in range(len(places))]
    bars = [_bars(places, sentence, spoilt, which) for which in (False, True)]
    figure = canvas(go.Figure(bars), HEIGHT, legend_lines=1)
    figure.add_hline(y=sentence.nll, line={"color": palette.GREEN, "width": 2, "dash": "dash"})
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title={"text": "Token"}, dtick=2, tick0=2)
    figure.update_yaxes(title={"text": "Loss −ln p, nats"}, rangemode="tozero")
    said = f"The mean is {sentence.nll:.2f} nats, so the perplexity is {perplexity(sentence.perplexity)}."
    table = {
        "token": places,
        "probability": sentence.probabilities,
        "loss": sentence.losses,
        "spoilt": spoilt,
    }
    return Chart(
        title="Loss of each token",
        figure=figure,
        table=pd.DataFrame(table),
        alt=f"Bar chart of the loss of {len(places)} tokens, {len(sentence.spoilt)} of them spoilt. {said}",
        caption=f"Dashed: the mean of all. {said} The probabilities are made up.",
    )


def _bars(places: Sequence[int], sentence: Sentence, spoilt: Sequence[bool], which: bool) -> go.Bar:
    mine = [at for at, is_spoilt in enumerate(spoilt) if is_spoilt == which]
    return go.Bar(
        x=[places[at] for at in mine],
        y=[sentence.losses[at] for at in mine],
        width=0.8,
        name="spoilt by pruning" if which else "as it was",
        marker={"color": palette.VERMILLION, "pattern": STRIPES} if which else {"color": palette.BLUE},
        customdata=[sentence.probabilities[at] for at in mine],
        hovertemplate="token %{x}: p = %{customdata:.2g}, loss %{y:.2f}<extra></extra>",
    )


def error_through_layers(chain: Chain, layers: int) -> Chart:
    """The error that is measured behind each layer, beside the law and each layer's own."""
    depth = list(range(1, len(chain.own) + 1))
    last, law = chain.error[layers - 1], chain.law[layers - 1]
    said = f"Each layer alone is off by about {percent(chain.typical, 0)}; behind {layers} of them the signal is off by {percent(last, 0)}"
    return line_chart(
        depth,
        {"measured behind the layer": chain.error, "law": chain.law, "each layer's own error": chain.own},
        axes=("Layers", "Error, %"),
        title="Error behind each of many pruned layers",
        alt=f"Line chart of the error over the layers. {said}, by the law {percent(law, 0)}.",
        caption=f"{said} (the law says {percent(law, 0)}). A chain of random 128 × 128 layers, pruned by Wanda, without a nonlinearity.",
        at=layers,
    )


def error_in_runs(records: Sequence[RunRecord], at: float) -> Chart:
    """The error of the hidden states through the blocks of the bundled model, for each recorded sparsity, one
    of them in front.
    """
    figure = canvas(go.Figure(), HEIGHT)
    ordered = sorted(
        records, key=lambda record: abs(_sparsity(record) - at), reverse=True
    )  # the chosen one is drawn last
    for place, record in enumerate(ordered, start=1):
        figure.add_trace(_run(record, front=place == len(ordered)))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(**block_axis(len(records[0].blocks)))
    figure.update_xaxes(
        range=[-0.5, len(records[0].blocks) - 0.3],
        tickvals=list(range(len(records[0].blocks))),
        tickmode="array",
    )
    figure.update_yaxes(title={"text": "Error of the hidden states, %"}, rangemode="tozero")
    rows = [
        (_sparsity(record), block.index, block.relative_error)
        for record in records
        for block in record.blocks
    ]
    chosen = ordered[-1].blocks
    ends = [percent(block.relative_error) for block in (chosen[0], chosen[-1])]
    said = f"At {percent(_sparsity(ordered[-1]), 0)}: {ends[0]} behind the first block, {ends[1]} behind the last."
    return Chart(
        title="The same in the bundled model, recorded",
        figure=figure,
        table=pd.DataFrame(rows, columns=["sparsity", "block", "relative error"]),
        alt=f"Line chart of the error of the hidden states over the blocks, a line for each sparsity. {said}",
        caption=f"{said} Wanda, ‖h − h′‖ / ‖h‖ over the evaluation text; a line for each sparsity. "
        "Beside each block a skip connection carries the signal on unchanged, so the error grows more slowly than in the chain.",
    )


def _sparsity(record: RunRecord) -> float:
    return record.recipe.sparsity if record.recipe else 0.0


def _run(record: RunRecord, *, front: bool) -> go.Scatter:
    label = percent(_sparsity(record), 0)
    errors = [100 * (block.relative_error or 0.0) for block in record.blocks]
    return go.Scatter(
        x=[block.index for block in record.blocks],
        y=errors,
        mode="lines+markers+text" if front else "lines+text",
        line={"color": palette.VERMILLION if front else palette.GREY, "width": 3 if front else 1.5},
        marker={"symbol": "diamond", "size": 9},
        text=[*[""] * (len(errors) - 1), f" {label}"],
        textposition="middle right",
        textfont={"weight": "bold" if front else "normal"},
        hovertemplate=f"{label}, behind block %{{x}}: %{{y:.1f}} %<extra></extra>",
    )


def loss_and_perplexity(records: Sequence[RunRecord], at: float) -> Chart:
    """The same recorded runs twice: the mean loss, and its exponential."""
    scored = [
        (record.recipe.sparsity, record.pruned) for record in records if record.pruned and record.recipe
    ]
    near = min(scored, key=lambda item: abs(item[0] - at))
    said = f"At {percent(near[0], 0)} the mean loss is {near[1].nll:.2f} nats and the perplexity {perplexity(near[1].perplexity)}"
    title = records[0].recipe.methods["score"].title if records[0].recipe else ""
    dense = perplexity(records[0].dense.perplexity if records[0].dense else None)
    return pair_chart(
        [100 * sparsity for sparsity, _ in scored],
        Panel("Mean loss, nats", [score.nll for _, score in scored]),
        Panel("Perplexity, the exponential of it", [score.perplexity for _, score in scored]),
        axis="Sparsity, %",
        at=100 * near[0],
        title=f"Recorded runs of the bundled model, {title}",
        alt=f"Two line charts over the sparsity. {said}.",
        caption=f"{said}; dense {dense}. Perplexity: {records[0].protocol.perplexity}.",
    )

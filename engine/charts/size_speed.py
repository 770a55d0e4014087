"""The size of a model in each storage format, and its latency, dense and pruned.

Both are amounts, so the bars start at zero. The weights that are never pruned are a separate part of every
size, because no format makes them smaller; the dense size is a line through all bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from engine.analysis.explanations import weights
from engine.charts import palette
from engine.charts.chart import LEGEND_LINE, Chart, align_titles, canvas, name_rows
from engine.charts.figure import FigureBuilder, subplots
from engine.numbers import listed, milliseconds, percent, size

if TYPE_CHECKING:  # these import torch, which a page must not load
    from engine.analysis.size_speed import Measurement
    from engine.evaluation.size import SizeReport
    from engine.evaluation.speed import SpeedReport, Stage, Timing

LINE, REST = 30, 60  # pixels
SHORT_LABELS, LONG_LABELS = 1.42, 1.75  # length of the axis in longest bars, with room for labels after them
CROSSED = 0.66  # share of the dense size above which the line of that size would cross a bar's label
COLOURS = {"dense": palette.VERMILLION, "pruned": palette.BLUE, "2:4": palette.GREEN}
NAMES = {"dense": "dense", "pruned": "pruned", "2:4": "2:4 kernels"}
WHERE = {"prefill": "the prompt", "token": "one more token"}
NEVER = "never pruned"


def model_sizes(found: SizeReport) -> Chart:
    """Return the bytes of the whole model in each format."""
    table = size_table(found)
    labels = [f"{size(total)} · {percent(total / found.dense, 0)}" for total in table["bytes"]]
    words = _size_words(found)
    return Chart(
        title="Size by format",
        figure=_size_figure(table, labels, found),
        table=table,
        alt="Bars of the model's size per format: "
        + ", ".join(f"{name} {label}" for name, label in zip(table["format"], labels, strict=True))
        + f". {words}",
        caption=f"{words} {_packed_words(found)} Dashed: dense. {found.not_semi_structured}".rstrip(),
        explain=partial(weights.sizes, found),
    )


def size_table(found: SizeReport) -> pd.DataFrame:
    """Return one row per format, in the order in which they are drawn, top to bottom."""
    packed = found.compressed
    rows = [
        ("dense", "dense", found.dense, found.rest, "counted"),
        ("zeros stored", "pruned", found.dense, found.rest, "counted"),
        ("sparse rows (CSR)", "pruned", found.csr, found.rest, "counted"),
        ("bitmask + values", "pruned", found.bitmask, found.rest, "counted"),
    ]
    if found.semi_structured is not None:
        rows.append(("2:4", "pruned", found.semi_structured, found.rest, "counted"))
    # the rest is zipped too, so this part is smaller than in the formats above
    rows.append(("dense, zipped", "dense", packed.dense + packed.rest, packed.rest, "measured"))
    rows.append(("zeros, zipped", "pruned", packed.pruned + packed.rest, packed.rest, "measured"))
    table = pd.DataFrame(rows, columns=["format", "model", "bytes", "never_pruned", "how"])
    return table.assign(share=table["bytes"] / found.dense)


def _size_figure(table: pd.DataFrame, labels: list[str], found: SizeReport) -> go.Figure:
    unit, name = (1e9, "GB") if found.dense >= 1e9 else (1e6, "MB")  # decimal units
    top = max(table["bytes"]) / unit
    figure = canvas(
        FigureBuilder(_size_bars(table, unit, name)), LINE * len(table) + REST + LEGEND_LINE, legend_lines=1
    )
    # a label that the line would cross moves to its right
    ends = [max(total, found.dense) if total > CROSSED * found.dense else total for total in table["bytes"]]
    figure.add_trace(end_labels([end / unit for end in ends], list(range(len(table))), labels))
    figure.add_vline(
        x=found.dense / unit, line={"color": palette.GREY, "width": 1.5, "dash": "dash"}, layer="below"
    )
    figure.update_layout(barmode="stack", bargap=0.3, legend={"traceorder": "normal"})
    figure.update_xaxes(
        title={"text": f"Size of the whole model, {name}"},
        range=[0, SHORT_LABELS * top],
        showgrid=True,
        gridcolor=palette.GRID,
        nticks=6,
    )
    name_rows(figure, list(table["format"]))
    return figure.build()


def _size_bars(table: pd.DataFrame, unit: float, name: str) -> list[go.Bar]:
    places = pd.Series(range(len(table)))  # row numbers, which a Boolean array can select
    bars = [_bar(places, table["never_pruned"] / unit, palette.GREY, NEVER, name)]
    for model in ("dense", "pruned"):
        chosen = (table["model"] == model).to_numpy()
        # the bar is stacked on the part that is never pruned
        prunable = ((table["bytes"] - table["never_pruned"]) / unit)[chosen]
        bars.append(_bar(places[chosen], prunable, COLOURS[model], model, name))
    return bars


def _bar(places: pd.Series, values: pd.Series, colour: str, name: str, unit: str) -> go.Bar:
    return go.Bar(
        x=list(values),
        y=list(places),
        orientation="h",
        name=name,
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate=f"{name}: %{{x:.3~g}} {unit}<extra></extra>",
    )


def end_labels(ends: Sequence[float], places: Sequence[float], words: Sequence[str]) -> go.Scatter:
    """Return words after the bars, in the page's text colour."""
    return go.Scatter(
        x=ends,
        y=places,
        mode="text",
        text=[f" {word}" for word in words],
        textposition="middle right",
        showlegend=False,
        hoverinfo="skip",
    )


def _size_words(found: SizeReport) -> str:
    """Return what the zeros can save, with the best format that needs no compression."""
    name, best = "bitmask and values", found.bitmask
    if found.semi_structured is not None and found.semi_structured < best:
        name, best = "2:4", found.semi_structured
    change = "larger" if found.csr >= found.dense else "smaller"
    return (
        f"In dense storage the zeros save nothing; as {name} the model takes {size(best)} of "
        f"{size(found.dense)}; "
        f"as sparse rows it is {change} than dense, because each value needs its column."
    )


def _packed_words(found: SizeReport) -> str:
    packed = found.compressed
    sample = f"extrapolated from {percent(packed.share, 0)} of the bytes" if packed.share < 1 else "all bytes"
    return (
        f"Zipped sizes are measured ({packed.compressor}, {sample}), the others are counted from the masks, "
        f"in {found.dtype}."
    )


def latencies(found: Measurement) -> Chart:
    """Return the time for the prompt and for one more token, per model."""
    report = found.speed
    stages = _stages(report)
    words = _speed_words(report)
    return Chart(
        title="Latency of the prompt and of one more token",
        figure=_speed_figure(report, stages),
        table=speed_table(report),
        alt="Bars of the median time per model, with quartiles: "
        + "; ".join(
            f"{title}: {listed([f'{NAMES[item.model]} {milliseconds(item.median)}' for item in own])}"
            for title, own in stages.values()
        )
        + ".",
        caption=" ".join(
            filter(
                None,
                (words, f"{protocol(found)}; lines: middle half.", report.no_token, report.not_converted),
            )
        ),
        explain=partial(weights.latencies, report),
    )


def _stages(report: SpeedReport) -> dict[Stage, tuple[str, list[Timing]]]:
    """Return the stages that were timed, each with its title and its timings."""
    titles: dict[Stage, str] = {
        "prefill": f"prompt of {report.prompt} tokens (prefill)",
        "token": "one more token (with the KV cache)",
    }
    own: dict[Stage, list[Timing]] = {
        stage: [item for item in report.timings if item.stage == stage] for stage in titles
    }
    return {stage: (titles[stage], items) for stage, items in own.items() if items}


def _speed_figure(report: SpeedReport, stages: dict[Stage, tuple[str, list[Timing]]]) -> go.Figure:
    lines = max(len(items) for _, items in stages.values())
    height = len(stages) * (LINE * lines + REST) + LEGEND_LINE
    figure = subplots(
        [title for title, _ in stages.values()],
        rows=len(stages),
        vertical_spacing=(REST + 14) / height if len(stages) > 1 else 0,
    )
    align_titles(figure)
    canvas(figure, height)
    figure.update_layout(margin={"t": LEGEND_LINE}, showlegend=False, bargap=0.3)
    for row, (stage, (_, items)) in enumerate(stages.items(), start=1):
        figure.add_traces(_speed_bars(report, stage, items), row=row, col=1)
        # s to ms; each panel has its own scale
        span = [0, 1000 * LONG_LABELS * max(item.high for item in items)]
        figure.update_xaxes(range=span, showgrid=True, gridcolor=palette.GRID, nticks=6, row=row, col=1)
        name_rows(figure, [NAMES[item.model] for item in items], row)
    figure.update_xaxes(title={"text": "Median time of a pass, ms"}, row=len(stages), col=1)
    return figure.build()


def _speed_bars(report: SpeedReport, stage: Stage, items: list[Timing]) -> list[go.Bar | go.Scatter]:
    places = list(range(len(items)))
    spread = {
        "type": "data",
        "symmetric": False,
        # lengths from the median, not positions
        "array": [1000 * (item.high - item.median) for item in items],
        "arrayminus": [1000 * (item.median - item.low) for item in items],
        "thickness": 1.5,
        "width": 4,
        "color": palette.GREY,
    }
    bar = go.Bar(
        x=[1000 * item.median for item in items],
        y=places,
        orientation="h",
        marker={"color": [COLOURS[item.model] for item in items], "line": {"width": 0}},
        error_x=spread,
        customdata=[[milliseconds(item.low), milliseconds(item.high), item.rounds] for item in items],
        hovertemplate="%{x:.3~g} ms, middle half of %{customdata[2]} passes from %{customdata[0]} to "
        "%{customdata[1]}<extra></extra>",
    )
    words = [f"{milliseconds(item.median)} · {_rate(_tokens(report, item))} tokens/s" for item in items]
    return [bar, end_labels([1000 * item.high for item in items], places, words)]


def _tokens(report: SpeedReport, item: Timing) -> float:
    """Return tokens per second."""
    # a prefill pass processes the whole prompt
    return (report.prompt if item.stage == "prefill" else 1) / item.median


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def speed_table(report: SpeedReport) -> pd.DataFrame:
    """Return one row per timing."""
    rows = [
        (
            item.stage,
            NAMES[item.model],
            item.median,
            item.low,
            item.high,
            item.rounds,
            _tokens(report, item),
            report.ratio(item.stage, item.model),
        )
        for item in report.timings
    ]
    names = [
        "stage",
        "model",
        "seconds",
        "lower_quartile",
        "upper_quartile",
        "passes",
        "tokens_per_second",
        "of_dense",
    ]
    return pd.DataFrame(rows, columns=names)


def _ratio(report: SpeedReport, stage: Stage) -> str:
    """Return `× 0.99`, and whether that is within the spread of the passes."""
    value = report.ratio(stage)
    dense, pruned = report.timing(stage, "dense"), report.timing(stage, "pruned")
    if value is None or dense is None or pruned is None:
        return ""
    apart = dense.high < pruned.low or pruned.high < dense.low  # the middle halves do not overlap
    return f"× {value:.2f}" + ("" if apart else " (within the spread)")


def _speed_words(report: SpeedReport) -> str:
    stages: list[Stage] = ["prefill", "token"]
    ratios = [
        f"{_ratio(report, stage)} for {WHERE[stage]}" for stage in stages if report.timing(stage, "pruned")
    ]
    kernels = [
        f"× {ratio:.2f} for {WHERE[stage]}" for stage in stages if (ratio := report.ratio(stage, "2:4"))
    ]
    extra = f" 2:4 kernels: {listed(kernels)}." if kernels else ""
    return f"Time of the pruned model relative to the dense one: {listed(ratios)}.{extra}"


def protocol(found: Measurement) -> str:
    """Return how the times were measured, without a full stop."""
    rounds = {item.stage: item.rounds for item in found.speed.timings}
    counts = listed([f"{count} passes" for count in rounds.values()])
    threads = f", {found.threads} thread{'' if found.threads == 1 else 's'}" if found.device == "cpu" else ""
    return (
        f"Medians of {counts} of each model, alternating, on {found.device_name} ({found.device}{threads}), "
        f"batch 1, {found.size.dtype}"
    )


def why_zeros_save_nothing(found: Measurement) -> str:
    """Return the main message with the measured numbers: dense storage and dense kernels treat zeros like all
    other numbers.
    """
    stages: list[Stage] = ["prefill", "token"]
    times = [f"× {ratio:.2f} for {WHERE[stage]}" for stage in stages if (ratio := found.speed.ratio(stage))]
    return (
        "**Zeros alone save nothing**: dense storage keeps each zero like any other number, so the pruned "
        f"model takes the same {size(found.size.dense)}, and dense kernels multiply by it, so its time "
        f"relative to the dense model's is {listed(times)}; only a format or a kernel that leaves the zeros "
        "out saves anything."
    )

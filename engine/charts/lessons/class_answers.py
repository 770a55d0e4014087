"""What a class answered: the distribution over the choices of one question, and all counts as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import pandas as pd
import plotly.graph_objects as go

from engine.charts import palette
from engine.charts.chart import Chart, canvas, ceiling, literal
from engine.charts.figure import FigureBuilder
from engine.lessons.classroom import Tally
from engine.numbers import plural

LINE, WIDTH, EDGE = 21, 38, 70
"""Pixels per line of text, characters per line, and pixels of the legend and the axis."""
BEFORE, AFTER = "before the reveal", "after the reveal"
SMALLEST_AXIS = 5  # answers, so that the first one does not fill the chart


def answer_bars(choices: Sequence[str], tally: Tally, right: int | None) -> Chart:
    """Plot how many students chose each choice.

    Args:
        choices: the texts of the choices.
        tally: the counts; the second series appears with the first answer after the reveal.
        right: the index of the right choice, which is marked; None before the reveal.
    """
    series = {BEFORE: _padded(tally.before, len(choices))}
    if sum(tally.after):
        series[AFTER] = _padded(tally.after, len(choices))
    labels = [_label(choice, marked=at == right) for at, choice in enumerate(choices)]
    summary = _summary(tally, revealed=right is not None)
    counted = ", ".join(
        f"{letter} {' and '.join(str(counts[at]) for counts in series.values())}"
        for at, letter in enumerate(ascii_lowercase[: len(choices)])
    )
    marked = "" if right is None else f" Right: {ascii_lowercase[right]}."
    return Chart(
        title="Answers of the class",
        figure=_bars(series, labels).build(),
        table=pd.DataFrame(
            {
                "choice": list(choices),
                **series,
                **({} if right is None else {"right": [at == right for at in range(len(choices))]}),
            }
        ),
        alt=f"Bar chart of the students per choice, {summary}: {counted}.{marked}",
        caption=f"{summary[0].upper()}{summary[1:]}."
        + ("" if right is None else " The check mark is the right answer."),
    )


def _bars(series: Mapping[str, Sequence[int]], labels: Sequence[str]) -> FigureBuilder:
    """Return the bars of each series, next to the choices' labels."""
    height = LINE * sum(max(len(label.split("<br>")), 1 + len(series)) + 1 for label in labels)
    figure = canvas(FigureBuilder(), height + EDGE, legend_lines=len(series) - 1)
    for (name, counts), colour, shape in zip(
        series.items(), (palette.BLUE, palette.ORANGE), ("", "/"), strict=False
    ):
        bars = go.Bar(
            x=counts,
            y=list(range(len(labels))),
            name=name,
            orientation="h",
            text=[str(count) for count in counts],
            textposition="outside",
            cliponaxis=False,
            # hatched, so that the two differ without colour
            marker={"color": colour, "cornerradius": 3, "pattern": {"shape": shape}},
            hovertemplate=f"{name}: %{{x}}<extra></extra>",
        )
        figure.add_trace(bars)
    top = max(SMALLEST_AXIS, *(max(counts) for counts in series.values()))
    figure.update_layout(bargap=0.35, bargroupgap=0.06, showlegend=len(series) > 1)
    figure.update_xaxes(
        title={"text": "Students"}, range=[0, 1.1 * ceiling(top)], showgrid=True, gridcolor=palette.GRID
    )
    if top < 10:  # otherwise Plotly labels halves of students
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(
        range=[len(labels) - 0.5, -0.5],  # the first on top
        tickvals=list(range(len(labels))),
        ticktext=labels,
        showgrid=False,
    )
    return figure


def _summary(tally: Tally, *, revealed: bool) -> str:
    """Return how many answers there are: `12 answers before the reveal and 3 after the reveal`."""
    before, after = tally.totals()
    words = [plural(before, "answer") + (f" {BEFORE}" if after or revealed else "")]
    if after:
        words.append(f"{after:,} {AFTER}")
    return " and ".join(words)


def class_table(tallies: Mapping[str, Tally], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return all counts of a class, a row per choice.

    Args:
        tallies: the counts by question, `LESSON.QUESTION`.
        titles: the titles of the lessons by name.
    """
    rows = [
        {
            "lesson": titles.get(question.partition(".")[0], ""),
            "question": question,
            "choice": ascii_lowercase[at],
            BEFORE: _at(tally.before, at),
            AFTER: _at(tally.after, at),
        }
        for question, tally in sorted(tallies.items())
        for at in range(max(len(tally.before), len(tally.after)))
    ]
    return pd.DataFrame(rows, columns=["lesson", "question", "choice", BEFORE, AFTER])


def _label(choice: str, *, marked: bool) -> str:
    text = "<br>".join(literal(line) for line in textwrap.wrap(choice, WIDTH))
    return f"<b>✓ {text}</b>" if marked else text


def _padded(counts: Sequence[int], length: int) -> list[int]:
    return [_at(counts, at) for at in range(length)]


def _at(counts: Sequence[int], at: int) -> int:
    return counts[at] if at < len(counts) else 0

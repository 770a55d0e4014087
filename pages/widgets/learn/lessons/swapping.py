"""Lesson 7: mending a mask by swaps, one at a time, with DSnoT and R2-DSnoT."""

from __future__ import annotations

from itertools import takewhile

import streamlit as st

from engine.charts.lessons import swapping as charts
from engine.charts.lessons.recorded import recorded_changes
from engine.lessons import swapping as lesson
from engine.lessons.swapping import COLUMNS, METHODS, MOST, ROWS, WIDTH, Mended, Row
from engine.numbers import decimal, percent
from engine.pruning.axes import REFINEMENTS
from engine.pruning.refinements.swaps import COLUMNS_PER_SWAP
from engine.recipe import Recipe
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider, toggle
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember
from pages.widgets.learn.recorded import by_name

TITLES = {REFINEMENTS[name].title: name for name in METHODS}
SPARSITIES = (30, 40, 50, 60, 70, 80)
PAIRS = {"DSnoT over Wanda": ("wanda", "wanda-dsnot"), "R²-DSnoT over RIA": ("ria", "ria-r2-dsnot")}
"""The pruner without swaps, and with them."""


def _draw_expected() -> None:
    left, right = panes()
    row = lesson.row(0)
    with left:
        st.markdown(
            f"One output neuron with {COLUMNS} weights, half of them removed by Wanda. Inputs whose **mean** is not zero add something to the output "
            "at each token alike. Remove them, and the output is shifted by"
        )
        st.latex(r"e = \sum_{j\ \text{removed}} c_j, \qquad c_j = w_j\, m_j")
        st.markdown(
            f"with $m_j$ the mean of input j, summed over the tokens of a window. Here **e = {decimal(row.drift, 1)}**: the output is too low."
        )
        answered = ask(
            "swapping.first",
            "One removed weight may come back, and a kept one has to go for it. What would bring e nearer to 0?",
            [
                "Back comes one with positive c, out goes one with negative c.",
                "Back comes one with negative c, out goes one with positive c.",
                "Back comes the largest |w|, out goes the smallest.",
            ],
            0,
            "e is the sum over what is removed. To lower it, a positive part has to leave that sum, or a negative one to join it; a swap does both.",
        )
        after = answered and toggle("Make the first swap", "swapping.swap")
    with right:
        draw_chart(charts.contributions(lesson.row(1) if after else row), "swapping.expected")


def _draw_swaps() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**DSnoT** goes on like this. Back comes who corrects e most for the least noise; out goes the lowest Wanda score that helps as well:"
        )
        st.latex(
            r"\begin{gathered} \text{back: } \arg\max_{j\ \text{removed}} \operatorname{sign}(e)\, c_j / v_j \\"
            r"\text{out: } \arg\min_{j\ \text{kept},\ \operatorname{sign}(e)\, c_j < 0} |w_j|\, a_j \end{gathered}"
        )
        st.caption("v is the variance of an input, a its norm.")
        answered = ask(
            "swapping.real",
            "Swap after swap |e| gets smaller. Does the real error of the output, token by token, get smaller too?",
            ["Yes, e is that error.", "Not always: e is only its mean."],
            1,
            _real_words(),
        )
        swaps = int(slider("Swaps made", 0, MOST, 1, 1, "swapping.swaps"))
        row = lesson.row(swaps)
        _draw_state(row, swaps, with_error=answered)
        if row.following:
            st.caption("Who may come back, and who may go, before the next swap. The first of each is taken.")
            st.dataframe(
                charts.candidates(row),
                hide_index=True,
                alt="Candidates of the next swap, the first choice on top",
            )
    with right:
        draw_chart(charts.contributions(row), "swapping.row")
        if answered:
            draw_chart(charts.swap_by_swap(_rows("dsnot"), swaps), "swapping.errors")


def _draw_state(row: Row, swaps: int, *, with_error: bool) -> None:
    grid = st.grid(2 if with_error else 1, min_column_width=140, border=True)
    grid.metric(
        "Expected error e",
        decimal(row.drift, 1),
        help="The sum of c over what is removed, in units of the output summed over a window's tokens.",
    )
    if with_error:
        grid.metric(
            "Error of the output",
            percent(row.error),
            help=f"‖Xw − Xw′‖ / ‖Xw‖ over all tokens, after {swaps} swaps.",
        )


def _rows(method: str) -> list[Row]:
    """The row before the first swap and behind each that the method makes."""
    return [
        lesson.row(0, method),
        *takewhile(
            lambda row: row.swapped is not None, (lesson.row(swaps, method) for swaps in range(1, MOST + 1))
        ),
    ]


def _real_words() -> str:
    before, one, two = (lesson.row(swaps) for swaps in range(3))
    return (
        f"The first swap lowers both: e from {decimal(before.drift, 1)} to {decimal(one.drift, 1)}, the error of the output from "
        f"{percent(before.error)} to {percent(one.error)}. The second one lowers |e| again, to {abs(two.drift):.1f}, but the output "
        f"gets worse: {percent(two.error)}. "
        "It removed a weight whose input swings around a mean near 0: nothing for e, much for each token."
    )


def _draw_many() -> None:
    left, right = panes()
    with left:
        st.markdown(
            f"Published is: up to **50 swaps a row**, in rows of 4,096 weights and more. Here are {ROWS} rows of {WIDTH}, 60 % of them removed. "
            "How far the inputs' means are from zero decides how much there is to mend."
        )
        plain = lesson.matrix(1.0)
        answered = ask(
            "swapping.many",
            f"How many swaps are best for the output of rows as narrow as {WIDTH}?",
            ["All 24 that are tried.", "A few.", "None at all, whatever the inputs are like."],
            1,
            _many_words(plain),
        )
        mean = slider(
            "How far the inputs' means are from zero, in standard deviations",
            0.0,
            1.0,
            1.0,
            0.1,
            "swapping.mean",
        )
        lower = toggle("Refuse a swap that does not lower |e|", "swapping.lower")
    with right:
        if answered:
            draw_chart(charts.many_swaps(lesson.matrix(mean, lower=lower)), "swapping.many")


def _many_words(states: tuple[Mended, ...]) -> str:
    least = lesson.best(states)
    return (
        f"With means of about one standard deviation {least.cycles} swaps take the error from {percent(states[0].error)} to "
        f"{percent(least.error)}; with {states[-1].cycles} it is {percent(states[-1].error)}: so many swaps exchange "
        "a large part of what a narrow row keeps. "
        f"So the engine makes one swap for every {COLUMNS_PER_SWAP} columns unless it is told otherwise. "
        "And if the means are zero, there is nothing to mend."
    )


def _draw_relative() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**R²-DSnoT** keeps the rule and changes the ranking: who comes back is chosen by its *share* of its row and column, as in lesson 6, "
            "and for who goes the input's strength counts by its square root."
        )
        title = choice("Method", list(TITLES), "swapping.method", default="R²-DSnoT")
        swaps = int(slider("Swaps made", 0, MOST, 3, 1, "swapping.steps"))
        row = lesson.row(swaps, TITLES[title])
        answered = ask(
            "swapping.model",
            "In the bundled model, at 70 %: does swapping help Wanda and RIA?",
            ["It helps both.", "It helps neither.", "It helps only Wanda."],
            0,
            "At 60 and 70 % both get better; at 80 % both get worse, and at 50 % RIA does. Measure before you trust it.",
        )
    with right:
        draw_chart(charts.contributions(row), "swapping.relative")
        if answered:
            _draw_recorded()
    remember(
        [
            "Swapping changes the mask and no weight: it drives the expected shift of each output towards zero.",
            "The mean is not the error. Few swaps help, many wreck a narrow row.",
            "It pays where inputs have means, and at 60 to 70 % rather than below or beyond.",
        ],
        "DSnoT",
        {"pruner": "wanda-dsnot", "sparsity": "0.6"},
        "Prune the bundled model with Wanda and DSnoT",
    )


def _draw_recorded() -> None:
    names = [pruner for pair in PAIRS.values() for pruner in pair]
    runs = by_name(
        engine_handle.shared_engine(),
        {name: [Recipe.build(pruner=name, sparsity=share / 100) for share in SPARSITIES] for name in names},
    )
    if runs:
        draw_chart(
            recorded_changes(
                {title: (runs[before], runs[after]) for title, (before, after) in PAIRS.items()}, 0.7
            ),
            "swapping.model",
        )


STEPS = (
    Step("expected", "What goes missing", _draw_expected),
    Step("swaps", "Swap by swap", _draw_swaps),
    Step("many", "How many?", _draw_many),
    Step("relative", "By shares", _draw_relative),
)

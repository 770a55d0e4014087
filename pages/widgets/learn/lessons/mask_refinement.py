"""Lesson 7: refining a mask by swaps, one at a time, with DSnoT and R²-DSnoT."""

from __future__ import annotations

from itertools import takewhile

import streamlit as st

from engine.charts.lessons import mask_refinement as charts
from engine.charts.lessons.recorded_runs import recorded_changes
from engine.lessons import mask_refinement as lesson
from engine.lessons.mask_refinement import COLUMNS, METHODS, MOST_SWAPS, ROWS, WIDTH, RefinedMatrix, Row
from engine.numbers import decimal, percent
from engine.pruning.axes import REFINEMENTS
from engine.pruning.refinements.swaps import COLUMNS_PER_SWAP
from engine.recipe import Recipe
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider, toggle
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.recorded_runs import finished_by_name

TITLES = {REFINEMENTS[name].title: name for name in METHODS}
SPARSITIES = (30, 40, 50, 60, 70, 80)
PAIRS = {
    "DSnoT over Wanda": ("wanda", "wanda-dsnot"),
    "R²-DSnoT over RIA per row": ("ria", "ria-r2-dsnot"),
}
"""By label: the pruner without swaps and the one with them, both within rows."""


def _draw_expected() -> None:
    left, right = panes()
    row = lesson.row(0)  # `lesson.row` caches, as do the others here: every click draws the step again
    with left:
        st.markdown(
            f"One output neuron has {COLUMNS} weights; Wanda removes half of them. "
            "An input whose **mean** is not zero adds a constant part to the output of every token. "
            "Without these inputs, the output shifts by"
        )
        st.latex(r"e = \sum_{j\ \text{removed}} c_j, \qquad c_j = w_j\, m_j")
        st.markdown(
            "where $m_j$ is the mean of input j, summed over the tokens of a window. "
            f"Here **e = {decimal(row.drift, 1)}**: the output is too low."
        )
        answered = ask(
            "swapping.first",
            "One removed weight may be restored, and a kept weight is removed in exchange. "
            "Which swap brings e closer to 0?",
            [
                "Restore a weight with positive c, remove one with negative c.",
                "Restore a weight with negative c, remove one with positive c.",
                "Restore the largest |w|, remove the smallest.",
            ],
            0,
            "e is the sum over the removed weights. To lower it, a positive term must leave the sum "
            "or a negative term must join it; a swap does both.",
        )
        swapped = answered and toggle("Make the first swap", "swapping.swap")
    with right:
        draw_chart(charts.contributions(lesson.row(1) if swapped else row), "swapping.expected")


def _draw_swaps() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**DSnoT** repeats such swaps. It restores the weight that corrects e most with the least noise. "
            "It removes the weight with the lowest Wanda score among those that also correct e:"
        )
        st.latex(
            r"\begin{gathered} "
            r"\text{restore: } \arg\max_{j\ \text{removed}} \operatorname{sign}(e)\, c_j / v_j \\"
            r"\text{remove: } \arg\min_{j\ \text{kept},\ \operatorname{sign}(e)\, c_j < 0} |w_j|\, a_j "
            r"\end{gathered}"
        )
        st.caption("v is the variance of an input, a its norm.")
        answered = ask(
            "swapping.real",
            "|e| gets smaller with every swap. "
            "Does the real output error, measured token by token, get smaller too?",
            ["Yes: e is that error.", "Not always: e is only its mean."],
            1,
            _real_error_explanation(),
        )
        swaps = int(slider("Swaps made", 0, MOST_SWAPS, 1, 1, "swapping.swaps"))
        row = lesson.row(swaps)
        _draw_state(row, swaps, with_error=answered)
        if row.following:  # after the last swap there are no candidates
            st.caption("The candidates for the next swap. DSnoT takes the first of each column.")
            st.dataframe(
                charts.candidates(row),
                hide_index=True,
                alt="Candidates for the next swap, the first choice on top",
            )
    with right:
        draw_chart(charts.contributions(row), "swapping.row")
        if answered:
            draw_chart(charts.swap_by_swap(_all_swaps("dsnot"), swaps), "swapping.errors")


def _draw_state(row: Row, swaps: int, *, with_error: bool) -> None:
    grid = st.grid(2 if with_error else 1, min_column_width=140, border=True)
    grid.metric(
        "Expected error e",
        decimal(row.drift, 1),
        help="The sum of c over the removed weights, in units of the output summed over the tokens of a "
        "window.",
    )
    if with_error:
        grid.metric(
            "Output error",
            percent(row.error),
            help=f"‖Xw − Xw′‖ / ‖Xw‖ over all tokens, after {swaps} swaps.",
        )


def _all_swaps(method: str) -> list[Row]:
    """Return the row before the first swap and after each swap that the method makes."""
    later = (lesson.row(swaps, method) for swaps in range(1, MOST_SWAPS + 1))
    # None: the method had no swap left
    return [lesson.row(0, method), *takewhile(lambda row: row.swapped is not None, later)]


def _real_error_explanation() -> str:
    before, one, two = (lesson.row(swaps) for swaps in range(3))
    return (
        f"The first swap lowers both: e goes from {decimal(before.drift, 1)} to {decimal(one.drift, 1)}, "
        f"the output error from {percent(before.error)} to {percent(one.error)}. "
        f"The second swap lowers |e| again, to {abs(two.drift):.1f}, but the output error rises to "
        f"{percent(two.error)}. "
        "It removed a weight whose input varies around a mean near 0: this does not change e, but it "
        "changes every token."
    )


def _draw_many() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "The paper makes up to **50 swaps per row**, in rows of 4,096 weights and more. "
            f"This matrix has {ROWS} rows of {WIDTH} weights, and 60 % of them are removed. "
            "The further the means of the inputs are from zero, the more there is to correct."
        )
        states = lesson.matrix(1.0)
        answered = ask(
            "swapping.many",
            f"In rows of only {WIDTH} weights, how many swaps give the smallest output error?",
            ["All 24 that are tried.", "A few.", "None, whatever the inputs are."],
            1,
            _many_swaps_explanation(states),
        )
        mean = slider(
            "Distance of the input means from zero, in standard deviations",
            0.0,
            1.0,
            1.0,
            0.1,
            "swapping.mean",
        )
        lower = toggle("Reject swaps that do not lower |e|", "swapping.lower")
    with right:
        if answered:
            draw_chart(charts.many_swaps(lesson.matrix(mean, lower=lower)), "swapping.many")


def _many_swaps_explanation(states: tuple[RefinedMatrix, ...]) -> str:
    least = lesson.best(states)
    return (
        f"With means of about one standard deviation, {least.cycles} swaps lower the error from "
        f"{percent(states[0].error)} to {percent(least.error)}. With {states[-1].cycles} swaps it is "
        f"{percent(states[-1].error)}: so many swaps replace a large part of the kept weights of a narrow "
        "row. "
        f"By default, the engine therefore makes one swap per {COLUMNS_PER_SWAP} columns. "
        "If the means are zero, there is nothing to correct."
    )


def _draw_relative() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**R²-DSnoT** keeps this rule and changes the ranking. It restores weights by their *share* of "
            "row and column, "
            "as in lesson 6. For removal, it uses the square root of the input strength."
        )
        title = choice("Method", list(TITLES), "swapping.method", default="R²-DSnoT")
        swaps = int(slider("Swaps made", 0, MOST_SWAPS, 3, 1, "swapping.steps"))
        row = lesson.row(swaps, TITLES[title])
        answered = ask(
            "swapping.model",
            "In the bundled model at 70 %: does swapping help Wanda and RIA?",
            ["It helps both.", "It helps neither.", "It helps only Wanda."],
            0,
            "At 60 and 70 % both get better. At 80 % both get worse, and at 50 % RIA gets worse. "
            "Measure before you rely on it.",
        )
    with right:
        draw_chart(charts.contributions(row), "swapping.relative")
        if answered:
            _draw_recorded()
    draw_summary(
        [
            "Swapping changes the mask but no weight: it moves the expected shift of each output towards "
            "zero.",
            "The mean is not the error. A few swaps help; many ruin a narrow row.",
            "Swapping pays off if inputs have non-zero means, and at 60 to 70 % sparsity rather than below "
            "or above.",
        ],
        "DSnoT",
        {"pruner": "wanda-dsnot", "sparsity": "0.6"},
        "Prune the bundled model with Wanda and DSnoT",
    )


def _draw_recorded() -> None:
    names = [pruner for pair in PAIRS.values() for pruner in pair]
    runs = finished_by_name(
        engine_handle.shared_engine(),
        {
            # Swaps start from a mask within rows, so the mask without swaps has to be one, too.
            name: [Recipe.build(pruner=name, group="row", sparsity=share / 100) for share in SPARSITIES]
            for name in names
        },
    )
    if runs:
        pairs = {title: (runs[before], runs[after]) for title, (before, after) in PAIRS.items()}
        draw_chart(recorded_changes(pairs, 0.7), "swapping.model")


STEPS = (
    Step("expected", "The expected error", _draw_expected),
    Step("swaps", "Swap by swap", _draw_swaps),
    Step("many", "How many swaps?", _draw_many),
    Step("relative", "Relative importance", _draw_relative),
)

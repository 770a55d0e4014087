"""Lesson 3: which weights are compared with one another, from the whole layer to four neighbours, and the
cost of each choice.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import comparison_groups as charts
from engine.lessons import comparison_groups as lesson
from engine.lessons.comparison_groups import GROUPINGS, LAYER, MATRICES, PATTERNS, ROW, WEAK_ROW
from engine.numbers import percent
from engine.pruning.axes import SCORES
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, number, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary

TITLES = {SCORES[name].title: name for name in lesson.SCORE_NAMES}


def _draw_row() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A score ranks the weights. But **which weights compete with each other?** "
            "Within the whole layer, the lowest scores are removed wherever they are. "
            "Within each row, every output loses the same share. "
            f"In this matrix, all weights of row y{WEAK_ROW + 1} are small."
        )
        answered = ask(
            "groups.row",
            f"Magnitude removes half of the layer, and all weights compete. What happens to y{WEAK_ROW + 1}?",
            [
                "It loses half of its weights, like the other rows.",
                "It loses all of its weights.",
                "It keeps its weights, because only these few produce the output.",
            ],
            1,
            f"All of its weights are below the threshold, so the output y{WEAK_ROW + 1} is 0 for every "
            "input: "
            "the neuron is dead. Within rows it keeps the larger half of its weights. "
            "Find out how low the sparsity must be for the row to survive.",
        )
        if answered:
            grouping = choice("Weights compete within", [LAYER, ROW], "groups.freedom")
            score = TITLES[choice("Score", list(TITLES), "groups.score")]
            sparsity = slider("Sparsity, %", 10, 90, 50, 5, "groups.sparsity") / 100
    with right:
        if answered:
            masked = lesson.masked(grouping, score, sparsity)
            st.metric("Output error", percent(masked.error))
            draw_chart(charts.grouped_matrix(masked, grouping), "groups.matrix")
        else:
            draw_chart(charts.plain_matrix(lesson.masked(ROW, "magnitude")), "groups.plain")


def _draw_neighbours() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Hardware needs more structure. An **N:M** pattern keeps N of every M neighbours in a row: "
            "2:4 keeps two of four. The sparse units of some GPUs can then skip the zeros, "
            "because they know where to find them."
        )
        answered = ask(
            "groups.neighbours",
            "The four neighbours 0.9, −1.1, 0.8 and 0.7 are all large for their row. "
            "What does 2:4 remove by magnitude?",
            ["Nothing: all are above the row's threshold.", "0.8 and 0.7.", "−1.1 and 0.7."],
            1,
            "Two of the four must be removed: the two smallest, however large they are. "
            "And of four small neighbours, two are kept.",
        )
        pattern = choice("Pattern", PATTERNS, "groups.pattern", default="2:4")
        score = TITLES[choice("Score", list(TITLES), "groups.neighbours_score")]
        group = int(pattern.split(":")[1])  # M of N:M
        masked = lesson.masked(pattern, score)
        if answered:
            grid = st.grid(2, min_column_width=140, border=True)
            grid.metric("Output error", percent(masked.error))
            grid.metric(
                "Removed only because of the pattern",
                len(masked.forced),
                help="A comparison within each row that removes as many weights would keep these.",
            )
    with right:
        if answered:
            draw_chart(charts.grouped_matrix(masked, pattern, group), "groups.neighbours")
        else:
            draw_chart(charts.plain_matrix(masked, group), "groups.neighbours_plain")


def _draw_price() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Half of the weights can be removed in four ways. Every 2:4 mask is also a 4:8 mask. "
            "Every 4:8 mask removes half of each row. Every such mask removes half of the layer. "
            "So the masks of each group are among those of the next wider one."
        )
        answered = ask(
            "groups.price",
            "What follows from this for every matrix?",
            [
                "A wider group keeps more of the score.",
                "A wider group has a smaller output error.",
                "Both.",
            ],
            0,
            "The lowest scores are removed, so with more masks to choose from, the kept score cannot be "
            "smaller. "
            "The output error is a different quantity: the score only approximates it. It usually follows. "
            "Change the matrix until it does not.",
        )
        if answered:
            matrix = number(
                "Matrix",
                1,
                MATRICES,
                1,
                "groups.matrix_number",
                help_text="Each number is a different matrix with different inputs.",
            )
            score = TITLES[choice("Score", list(TITLES), "groups.price_score", default="Wanda")]
            prices = lesson.prices(matrix, score)
            st.markdown(_error_order([price.error for price in prices]))
    with right:
        if answered:
            draw_chart(charts.kept_scores(prices), "groups.kept")
            draw_chart(charts.output_errors(prices), "groups.errors")
        else:
            draw_chart(charts.plain_matrix(lesson.masked(ROW, "magnitude"), 4), "groups.price_plain")
    if answered:
        draw_summary(
            [
                "The comparison group is a separate choice, besides the score.",
                "Within the whole layer, a neuron with small weights can lose all of them; "
                "within rows, every neuron keeps its share.",
                "N:M buys speed with freedom: every M neighbours lose the same number of weights, large or "
                "small.",
            ],
            "N:M",
            {"pruner": "wanda", "pattern": "2:4"},
            "Prune the bundled model to 2:4",
        )


def _error_order(errors: list[float]) -> str:
    """Return whether the errors, from the widest group to the narrowest, only grow."""
    if errors == sorted(errors):
        return ":material/trending_up: For this matrix, the output error grows as the group gets narrower."
    # the first narrower group with a smaller error
    at = next(index for index in range(1, len(errors)) if errors[index] < errors[index - 1])
    return (
        f":material/swap_vert: For this matrix, **{GROUPINGS[at]}** has a smaller output error "
        f"than **{GROUPINGS[at - 1]}**."
    )


STEPS = (
    Step("row", "A row of small weights", _draw_row),
    Step("neighbours", "N:M patterns", _draw_neighbours),
    Step("price", "The price of structure", _draw_price),
)

"""Lesson 3: which weights are compared with one another, from the whole layer to four neighbours, and what
each freedom is worth.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import groups as charts
from engine.lessons import groups as lesson
from engine.lessons.groups import FREEDOMS, LAYER, MATRICES, PATTERNS, QUIET, ROW
from engine.numbers import percent
from engine.pruning.axes import SCORES
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, number, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember

TITLES = {SCORES[name].title: name for name in lesson.SCORE_NAMES}


def _draw_row() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A score puts weights in order. But **which weights compete with which?** In the whole layer the lowest scores go wherever they stand; "
            f"row by row, every output loses the same share. Here all weights of row y{QUIET + 1} are small."
        )
        answered = ask(
            "groups.row",
            f"Magnitude removes half of the layer, all weights in one competition. What becomes of y{QUIET + 1}?",
            [
                "It loses half, as the others do.",
                "It loses everything.",
                "It is spared, for its few weights carry the output.",
            ],
            1,
            f"All its weights are below the cut, so the output y{QUIET + 1} is 0 whatever comes in: the neuron is gone. "
            "Row by row it keeps its largest half. Try how far the sparsity has to fall for it to survive.",
        )
        if answered:
            freedom = choice("Who competes", [LAYER, ROW], "groups.freedom")
            score = TITLES[choice("Score", list(TITLES), "groups.score")]
            sparsity = slider("Sparsity, %", 10, 90, 50, 5, "groups.sparsity") / 100
    with right:
        if answered:
            masked = lesson.masked(freedom, score, sparsity)
            st.metric("Output error", percent(masked.error))
            draw_chart(charts.grouped_matrix(masked, freedom), "groups.matrix")
        else:
            draw_chart(charts.plain_matrix(lesson.masked(ROW, "magnitude")), "groups.plain")


def _draw_neighbours() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Hardware wants more order. **N:M** keeps N of each M neighbours in a row: with 2:4, two of four. "
            "The sparse units of some GPUs can skip the zeros then, because they know where to look."
        )
        answered = ask(
            "groups.neighbours",
            "The four neighbours 0.9, −1.1, 0.8, 0.7 are all large for their row. What does 2:4 remove by magnitude?",
            ["Nothing, they are all above the row's cut.", "0.8 and 0.7.", "−1.1 and 0.7."],
            1,
            "Two of the four have to go, the two smallest, however large they are. And four small neighbours keep two of them.",
        )
        pattern = choice("Pattern", PATTERNS, "groups.pattern", default="2:4")
        score = TITLES[choice("Score", list(TITLES), "groups.neighbours_score")]
        group = int(pattern.split(":")[1])
        masked = lesson.masked(pattern, score)
        if answered:
            grid = st.grid(2, min_column_width=140, border=True)
            grid.metric("Output error", percent(masked.error))
            grid.metric(
                "Removed by their group alone",
                len(masked.forced),
                help="A comparison within each row, with as many removed, would keep these.",
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
            "Half of the weights go in each of four ways. Every 2:4 mask is also a 4:8 mask; that one takes half of each row; and that takes half of "
            "the layer. So each freedom contains the next."
        )
        answered = ask(
            "groups.price",
            "What follows from that, for every matrix?",
            [
                "The wider freedom keeps more of the score.",
                "The wider freedom has the smaller output error.",
                "Both.",
            ],
            0,
            "The lowest scores go, so with more masks to choose from no less of the score stays. The output error is another matter: the score "
            "only stands in for it. Mostly it follows. Change the matrix until it does not.",
        )
        if answered:
            matrix = number(
                "Matrix",
                1,
                MATRICES,
                1,
                "groups.matrix_number",
                about="Each number is another matrix with other inputs.",
            )
            score = TITLES[choice("Score", list(TITLES), "groups.price_score", default="Wanda")]
            prices = lesson.prices(matrix, score)
            st.markdown(_order([price.error for price in prices]))
    with right:
        if answered:
            draw_chart(charts.kept_scores(prices), "groups.kept")
            draw_chart(charts.output_errors(prices), "groups.errors")
        else:
            draw_chart(charts.plain_matrix(lesson.masked(ROW, "magnitude"), 4), "groups.price_plain")
    if answered:
        remember(
            [
                "The comparison group is a choice of its own, beside the score.",
                "Within the whole layer a quiet neuron can be cut off altogether; within rows every neuron keeps its share.",
                "N:M pays for speed with freedom: of each M neighbours the same number goes, large or small.",
            ],
            "N:M",
            {"pruner": "wanda", "pattern": "2:4"},
            "Prune the bundled model 2:4",
        )


def _order(errors: list[float]) -> str:
    """Whether the errors grow as the freedom narrows."""
    if errors == sorted(errors):
        return ":material/trending_up: In this matrix the output error grows as the freedom narrows."
    worse = next(at for at in range(1, len(errors)) if errors[at] < errors[at - 1])
    return f":material/swap_vert: In this matrix **{FREEDOMS[worse]}** has a smaller output error than **{FREEDOMS[worse - 1]}**."


STEPS = (
    Step("row", "A quiet row", _draw_row),
    Step("neighbours", "N of M neighbours", _draw_neighbours),
    Step("price", "The price of order", _draw_price),
)

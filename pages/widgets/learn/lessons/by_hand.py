"""Lesson 1: prune an 8 x 8 matrix by hand, see why size alone is not the cost, and meet the scores on a
leaderboard.
"""

from __future__ import annotations

import streamlit as st

from engine import numbers
from engine.charts.lessons import by_hand as charts
from engine.lessons import by_hand as lesson
from engine.lessons.by_hand import COLUMNS, COUNTS, WEIGHTS
from engine.numbers import percent
from engine.pruning.axes import SCORES
from pages.widgets.chart import draw_chart
from pages.widgets.learn.board import draw_board, put, removed_places
from pages.widgets.learn.controls import choice, locked, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember

REMOVED = "by_hand.removed"
TITLES = {charts.NAMES[name]: name for name in lesson.SCORE_NAMES}


def _draw_hand() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A linear layer turns 8 inputs into 8 outputs, $Y = XW^\\top$. To prune it is to set weights to zero. "
            "**Press weights to remove them; press again to bring them back.** Remove 32 of the 64 so that the outputs change as little as you can."
        )
        removed = _draw_weights([f"x{column + 1}" for column in range(COLUMNS)])
    with right:
        _draw_state(removed)
        draw_chart(charts.output_errors(lesson.board(removed)), "by_hand.outputs")


def _draw_inputs() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "What a weight adds to the output is the weight *times its input*. Over the 64 tokens of this lesson's calibration text some inputs "
            "are loud and some are quiet. Their strength is the root mean square"
        )
        st.latex(r"a_j = \sqrt{\tfrac{1}{T} \sum_t X_{tj}^2}")
        answered = ask(
            "by_hand.cost",
            "The weight 0.9 sits on an input of strength 0.2, the weight −0.3 on one of strength 4. Which one is missed more when it is removed?",
            [
                "0.9, for it is three times as large.",
                "−0.3, for its input is twenty times as loud.",
                "Neither: each is one weight of 64.",
            ],
            1,
            "Alone, a weight is missed by |w| · a: 0.9 · 0.2 = 0.18 against 0.3 · 4 = 1.2. Its sign does not matter.",
        )
    with right:
        if answered:
            draw_chart(charts.cost_matrix(lesson.costs(), lesson.layer().strengths), "by_hand.costs")
        else:
            draw_chart(charts.weight_matrix(lesson.board(())), "by_hand.weights")


def _draw_scores() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A **score** says how much each weight matters; the lowest scores go. Three that you will meet everywhere:"
        )
        title = choice("Score", list(TITLES), "by_hand.score")
        method = SCORES[TITLES[title]]
        st.latex(method.formula)
        st.markdown(method.explanation)
        count = int(
            slider("Weights removed", COUNTS[0], COUNTS[-1], WEIGHTS // 2, COUNTS.step, "by_hand.count")
        )
        answered = ask(
            "by_hand.best",
            "With half of the weights gone, how far is Wanda from the best of all 10¹⁸ masks?",
            [
                "It makes several times the error of the best.",
                "It is within a tenth or so of the best.",
                "It is the best.",
            ],
            1,
            _distances(),
        )
    with right:
        board = lesson.scored(TITLES[title], count)
        st.metric("Output error", percent(board.error))
        draw_chart(charts.masked_matrix(board, TITLES[title]), "by_hand.mask")
        if answered:
            draw_chart(charts.error_curves(lesson.curves(), count), "by_hand.curves")


def _distances() -> str:
    """How the scores stand against the best mask with half of the weights gone."""
    errors = {name: values[list(COUNTS).index(WEIGHTS // 2)] for name, values in lesson.curves().items()}
    return (
        f"Magnitude makes an error of {percent(errors['magnitude'])}, Wanda {percent(errors['wanda'])}, the best of the "
        f"{numbers.scientific(lesson.masks(WEIGHTS // 2))} masks {percent(errors['best'])}. "
        "Most of what there is to gain comes from looking at the inputs at all."
    )


def _draw_leaderboard() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Your matrix once more, now with the strength of each input above it. Does your mask get better?"
        )
        removed = _draw_weights([f"{strength:.2g}" for strength in lesson.layer().strengths])
        answered = ask(
            "by_hand.beat",
            "Can anything with as many zeros beat the best of all masks?",
            [
                "No, the best is the best.",
                "Yes: a larger matrix.",
                "Yes: whoever also changes the weights that stay.",
            ],
            2,
            "Inputs are correlated, so a weight that stays can take over part of what a removed one did. Lesson 4 is about that.",
        )
    with right:
        _draw_state(removed)
        if not removed:
            st.info(
                "Remove some weights first: on the left, or on the first step.", icon=":material/touch_app:"
            )
        elif answered:
            draw_chart(charts.ranking(lesson.leaderboard(removed), len(removed)), "by_hand.ranking")
        else:
            draw_chart(charts.output_errors(lesson.board(removed)), "by_hand.still")
    if answered:
        remember(
            [
                "Pruning is judged by what it does to the **output**, not to the weights.",
                "A weight is missed by about |w| times the strength of its input: that is Wanda's score.",
                "A good mask is half of it. The other half is what becomes of the weights that stay.",
            ],
            "Wanda",
            {"pruner": "wanda", "sparsity": "0.5"},
            "Prune the bundled model with Wanda",
        )


def _draw_weights(heads: list[str]) -> frozenset[int]:
    """The board, and the way back to the whole matrix; what is removed."""
    removed = removed_places(REMOVED, WEIGHTS)
    draw_board(REMOVED, lesson.board(()).weights, removed, heads)
    st.button(
        "Bring all back",
        icon=":material/undo:",
        key="by_hand.all",
        disabled=not removed or locked(),
        on_click=put,
        args=(REMOVED, frozenset()),
    )
    return removed


def _draw_state(removed: frozenset[int]) -> None:
    grid = st.grid(2, min_column_width=140, border=True)
    grid.metric("Weights removed", f"{len(removed)} of {WEIGHTS}", help="The aim is 32, half of them.")
    grid.metric(
        "Output error",
        percent(lesson.board(removed).error),
        help="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens of calibration input.",
    )


STEPS = (
    Step("hand", "By hand", _draw_hand),
    Step("inputs", "What comes in", _draw_inputs),
    Step("scores", "Three scores", _draw_scores),
    Step("leaderboard", "Leaderboard", _draw_leaderboard),
)

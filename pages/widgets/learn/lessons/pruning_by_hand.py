"""Lesson 1: prune an 8 × 8 matrix by hand, see why size alone is not the cost, and compare with the scores on
a leaderboard.
"""

from __future__ import annotations

import streamlit as st

from engine import numbers
from engine.charts.lessons import pruning_by_hand as charts
from engine.lessons import pruning_by_hand as lesson
from engine.lessons.pruning_by_hand import COLUMNS, COUNTS, WEIGHTS
from engine.numbers import percent
from engine.pruning.axes import SCORES
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, controls_locked, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.weight_buttons import draw_weight_buttons, removed_in_address, write_removed

REMOVED = "by_hand.removed"
TITLES = {charts.NAMES[name]: name for name in lesson.SCORE_NAMES}


def _draw_hand() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A linear layer maps 8 inputs to 8 outputs, $Y = XW^\\top$. Pruning sets some of its weights to "
            "zero. "
            "**Click a weight to remove it; click it again to restore it.** "
            "Remove 32 of the 64 weights so that the outputs change as little as possible."
        )
        removed = _draw_weights([f"x{column + 1}" for column in range(COLUMNS)])
    with right:
        _draw_state(removed)
        draw_chart(charts.output_errors(lesson.without(removed)), "by_hand.outputs")


def _draw_inputs() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A weight adds the weight *times its input* to the output. "
            "Over the 64 tokens of this lesson's calibration text, some inputs are strong and some are weak. "
            "The strength of an input is its root mean square:"
        )
        st.latex(r"a_j = \sqrt{\tfrac{1}{T} \sum_t X_{tj}^2}")
        answered = ask(
            "by_hand.cost",
            "The weight 0.9 has an input of strength 0.2, the weight −0.3 an input of strength 4. "
            "Which weight costs more to remove?",
            [
                "0.9, because it is three times as large.",
                "−0.3, because its input is twenty times as strong.",
                "Neither: each is one weight of 64.",
            ],
            1,
            "Removing a single weight costs |w| · a: 0.9 · 0.2 = 0.18 against 0.3 · 4 = 1.2. The sign does "
            "not matter.",
        )
    with right:
        if answered:
            draw_chart(charts.cost_matrix(lesson.costs(), lesson.layer().strengths), "by_hand.costs")
        else:
            draw_chart(charts.weight_matrix(lesson.without(())), "by_hand.weights")


def _draw_scores() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A **score** says how much each weight matters; the weights with the lowest scores are removed. "
            "These three scores are the most common:"
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
            "With half of the weights removed, how far is Wanda from the best of all 10¹⁸ masks?",
            [
                "Its error is several times as large.",
                "Its error is about a tenth larger.",
                "It is the best mask.",
            ],
            1,
            _comparison_with_best(),
        )
    with right:
        pruned = lesson.scored(TITLES[title], count)
        st.metric("Output error", percent(pruned.error))
        draw_chart(charts.masked_matrix(pruned, TITLES[title]), "by_hand.mask")
        if answered:
            draw_chart(charts.error_curves(lesson.curves(), count), "by_hand.curves")


def _comparison_with_best() -> str:
    """Return how the scores compare with the best mask, with half of the weights removed."""
    half = WEIGHTS // 2
    # the curves have a value per count
    errors = {name: values[list(COUNTS).index(half)] for name, values in lesson.curves().items()}
    return (
        f"Magnitude has an error of {percent(errors['magnitude'])}, Wanda {percent(errors['wanda'])}, "
        f"and the best of the {numbers.scientific(lesson.masks(half))} masks {percent(errors['best'])}. "
        "Most of the gain comes from looking at the inputs at all."
    )


def _draw_leaderboard() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Here is your matrix again, now with the strength of each input above it. Can you improve your "
            "mask?"
        )
        removed = _draw_weights([f"{strength:.2g}" for strength in lesson.layer().strengths])
        answered = ask(
            "by_hand.beat",
            "With the same number of zeros, can anything beat the best possible mask?",
            [
                "No, the best is the best.",
                "Yes: a larger matrix.",
                "Yes: a method that also changes the remaining weights.",
            ],
            2,
            "Inputs are correlated, so a remaining weight can take over part of what a removed weight did. "
            "Lesson 4 shows how.",
        )
    with right:
        _draw_state(removed)
        if not removed:
            st.info("First remove some weights, here or in the first step.", icon=":material/touch_app:")
        elif answered:  # the leaderboard has entries that beat the best mask
            draw_chart(charts.ranking(lesson.leaderboard(removed), len(removed)), "by_hand.ranking")
        else:
            draw_chart(charts.output_errors(lesson.without(removed)), "by_hand.still")
    if answered:
        draw_summary(
            [
                "Judge pruning by the change of the **output**, not by the change of the weights.",
                "Removing a weight costs about |w| times the strength of its input. This is Wanda's score.",
                "A good mask is half of the work. The other half is updating the remaining weights.",
            ],
            "Wanda",
            {"pruner": "wanda", "sparsity": "0.5"},
            "Prune the bundled model with Wanda",
        )


def _draw_weights(heads: list[str]) -> frozenset[int]:
    """Draw the weights as buttons and a button that restores all; return the removed positions."""
    removed = removed_in_address(REMOVED, WEIGHTS)
    draw_weight_buttons(REMOVED, lesson.without(()).weights, removed, heads)
    st.button(
        "Restore all",
        icon=":material/undo:",
        key="by_hand.all",
        disabled=not removed or controls_locked(),
        on_click=write_removed,
        args=(REMOVED, frozenset()),
    )
    return removed


def _draw_state(removed: frozenset[int]) -> None:
    grid = st.grid(2, min_column_width=140, border=True)
    grid.metric("Weights removed", f"{len(removed)} of {WEIGHTS}", help="The goal is 32, half of them.")
    grid.metric(
        "Output error",
        percent(lesson.without(removed).error),
        help="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens of calibration input.",
    )


STEPS = (
    Step("hand", "By hand", _draw_hand),
    Step("inputs", "The inputs", _draw_inputs),
    Step("scores", "Three scores", _draw_scores),
    Step("leaderboard", "Leaderboard", _draw_leaderboard),
)

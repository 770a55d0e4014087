"""Lesson 4: what to do with the remaining weights: nothing, SparseGPT's update or the joint solution, and how
well each works on new text.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import weight_updates as charts
from engine.lessons import weight_updates as lesson
from engine.lessons.weight_updates import COLUMNS, COUNTS, UPDATES
from engine.numbers import percent
from engine.pruning.axes import UPDATES as METHODS
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider, stops
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary

MATRIX_TITLES = {
    "Nothing": "The weights under the mask, without an update",
    "SparseGPT": "The weights after SparseGPT's update",
    "Joint": "The weights after the joint update",
}


def _draw_pair() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Two inputs of strength 1 both have weight 1: $y = x_1 + x_2$. Their correlation is $\\rho$. "
            "The first weight is removed. The second weight may change:"
        )
        st.latex(r"\min_{w_2'} \; \mathbb{E}\left[(x_1 + x_2 - w_2' x_2)^2\right]")
        answered = ask(
            "survivors.pair",
            "The two inputs are identical, ρ = 1. What should the second weight become?",
            ["It stays 1.", "2.", "0.5."],
            1,
            "With x₁ = x₂ the output was 2 x₂, and a weight of 2 restores it without any error. "
            "In general the best weight is 1 + ρ.",
        )
        correlation = slider(
            "Correlation of the two inputs, ρ", 0.0, 0.99, 0.5, 0.01, "survivors.correlation"
        )
        if answered:
            pair = lesson.pair(correlation)
            grid = st.grid(3, min_column_width=120, border=True)
            grid.metric(
                "Second weight",
                f"{pair.second:.2f}",
                help="From the joint solution, with the engine's default damping of 1 %.",
            )
            grid.metric("Error, unchanged", percent(pair.unchanged))
            grid.metric("Error, updated", percent(pair.updated))
    with right:
        draw_chart(charts.pair_curves(lesson.pairs(), correlation, updated=answered), "survivors.pairs")


def _draw_columns() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**SparseGPT** processes the columns once, from left to right. "
            "The columns **to the right** compensate for the weights that a column loses. Then the column "
            "is final."
        )
        st.latex(METHODS["obs"].formula)
        answered = ask(
            "survivors.last",
            "Which weights compensate for a weight that is removed from the last column?",
            ["The columns to its left.", "None.", "The other rows."],
            1,
            "There is no column to its right, and the columns to its left are final. "
            "Rows cannot compensate for one another: each row is a separate output.",
        )
        done = int(slider("Columns done", 0, COLUMNS, 1, 1, "survivors.columns"))
        weights = lesson.after_columns(done)  # weights that later columns remove still have a value
        st.metric("Output error so far", percent(weights.error))
    with right:
        if answered or done < COLUMNS:  # the last column would give the answer away
            title = "Before the first column" if done == 0 else f"After column {done} of {COLUMNS}"
            frames = f"Frames: weights that column {done} has changed." if done else ""
            draw_chart(charts.weights_matrix(weights, title, frames), "survivors.columns")
        else:
            st.info("Answer the question first to see the last column.", icon=":material/quiz:")


def _draw_joint() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Why make columns final at all? All remaining weights of a row can compensate for all removed "
            "weights together: "
            "ordinary **least squares** of the dense output on the remaining inputs."
        )
        st.latex(r"w_K' = w_K + H_{KK}^{-1} H_{KP}\, w_P, \quad H \propto X^\top X")
        answered = ask(
            "survivors.joint",
            "With the same mask, can SparseGPT's weights have a smaller error on the calibration tokens "
            "than the joint solution?",
            ["Yes, on some matrices.", "No, never."],
            1,
            "The joint solution is the minimum over all weights with this mask, including SparseGPT's. "
            "(The engine adds 1 % of damping to both, which can affect the last digit.)",
        )
        name = choice("Weight update", list(UPDATES), "survivors.update", default="Joint")
        sparsity = slider("Sparsity, %", 25, 75, 50, 5, "survivors.sparsity") / 100
    with right:
        weights = lesson.updated(name, sparsity)
        draw_chart(charts.weights_matrix(weights, MATRIX_TITLES[name]), "survivors.joint")
        if answered:
            draw_chart(charts.update_errors(lesson.errors(sparsity), name), "survivors.updates")


def _draw_fresh() -> None:
    left, right = panes()
    curves = lesson.fresh_errors()
    with left:
        st.markdown(
            "An update fits the remaining weights to the calibration tokens. But the model will read other "
            "tokens. "
            "So calibrate with few or many tokens, and measure on **new** ones."
        )
        answered = ask(
            "survivors.fresh",
            f"There are only {COUNTS[0]} calibration tokens for 8 inputs. "
            "On new text, is the joint solution still better than no update?",
            ["Yes, it is the best solution.", "No, it can be worse."],
            1,
            f"With {COUNTS[0]} tokens its error is {percent(curves[lesson.ON_CALIBRATION][0])} on these "
            "tokens "
            f"and {percent(curves['Joint'][0])} on new text; "
            f"without any update it is {percent(curves['Nothing'][0])}. "
            f"With {COUNTS[-1]} tokens the joint solution has an error of {percent(curves['Joint'][-1])}.",
        )
        tokens = stops("Calibration tokens", COUNTS, "survivors.tokens", default=64)
        if answered:
            grid = st.grid(3, min_column_width=120, border=True)
            for name in UPDATES:
                # `tokens` is one of COUNTS: `stops` offers no others
                grid.metric(f"{name}, new text", percent(curves[name][COUNTS.index(tokens)]))
    with right:
        if answered:
            draw_chart(charts.fresh_curves(curves, tokens), "survivors.fresh")
        else:
            draw_chart(charts.update_errors(lesson.errors(0.5)), "survivors.seen")
    if answered:
        draw_summary(
            [
                "If inputs are correlated, the remaining weights can take over part of what was removed.",
                "SparseGPT compensates column by column, only to the right; "
                "the joint solution updates a whole row at once.",
                "Both learn from the calibration text: use several times as many tokens as a layer has "
                "inputs.",
            ],
            "SparseGPT",
            {"pruner": "sparsegpt", "sparsity": "0.6"},
            "Prune the bundled model with SparseGPT",
        )


STEPS = (
    Step("pair", "Two inputs", _draw_pair),
    Step("columns", "Column by column", _draw_columns),
    Step("joint", "All columns together", _draw_joint),
    Step("fresh", "New text", _draw_fresh),
)

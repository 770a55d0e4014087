"""Lesson 4: what becomes of the weights that stay: nothing, SparseGPT's update, the joint solution, and what
each is worth on new text.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import survivors as charts
from engine.lessons import survivors as lesson
from engine.lessons.survivors import COLUMNS, COUNTS, UPDATES
from engine.numbers import percent
from engine.pruning.axes import UPDATES as REGISTRY
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider, stops
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember

AFTER = {
    "Nothing": "The weights under the mask alone",
    "SparseGPT": "The weights after SparseGPT's update",
    "Joint": "The weights after the joint update",
}


def _draw_pair() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Two inputs of strength 1, both with weight 1: $y = x_1 + x_2$. Their correlation is $\\rho$. The first weight is removed. "
            "The second one may change:"
        )
        st.latex(r"\min_{w_2'} \; \mathbb{E}\left[(x_1 + x_2 - w_2' x_2)^2\right]")
        answered = ask(
            "survivors.pair",
            "The two inputs say the same, ρ = 1. What should the second weight become?",
            ["It stays 1.", "2.", "0.5."],
            1,
            "With x₁ = x₂ the output was 2 x₂, and the weight 2 gives it back without any error. In general the best is 1 + ρ.",
        )
        correlation = slider(
            "Correlation of the two inputs, ρ", 0.0, 0.99, 0.5, 0.01, "survivors.correlation"
        )
        if answered:
            pair = lesson.pair(correlation)
            grid = st.grid(3, min_column_width=120, border=True)
            grid.metric(
                "Second weight",
                f"{pair.survivor:.2f}",
                help="By the joint solution, with the engine's usual damping of 1 %.",
            )
            grid.metric("Error, left alone", percent(pair.left))
            grid.metric("Error, updated", percent(pair.updated))
    with right:
        draw_chart(charts.pair_curves(lesson.pairs(), correlation, updated=answered), "survivors.pairs")


def _draw_columns() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**SparseGPT** goes through the columns once. What a column loses is made up for by the columns **to its right**, then it is settled."
        )
        st.latex(REGISTRY["obs"].formula)
        answered = ask(
            "survivors.last",
            "Who makes up for a weight that is removed from the last column?",
            ["The columns to its left.", "Nobody.", "The other rows."],
            1,
            "To its right there is nothing, and the columns to its left are settled. Rows never help one another: each is an output of its own.",
        )
        done = int(slider("Columns done", 0, COLUMNS, 1, 1, "survivors.columns"))
        weights = lesson.after_columns(done)
        st.metric("Output error so far", percent(weights.error))
    with right:
        if answered or done < COLUMNS:
            title = "Before the first column" if done == 0 else f"Behind column {done} of {COLUMNS}"
            draw_chart(
                charts.weights_matrix(
                    weights, title, f"Frames: what column {done} has changed." if done else ""
                ),
                "survivors.columns",
            )
        else:
            st.info("Answer first, then see the last column go.", icon=":material/quiz:")


def _draw_joint() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Why settle columns at all? All survivors of a row can make up for all its losses at once: ordinary **least squares** of the dense "
            "output on the inputs that stay."
        )
        st.latex(r"w_K' = w_K + H_{KK}^{-1} H_{KP}\, w_P, \quad H \propto X^\top X")
        answered = ask(
            "survivors.joint",
            "With the same mask, can SparseGPT's weights have less error on the calibration tokens than the joint solution?",
            ["Yes, on some matrices.", "No, never."],
            1,
            "The joint solution is the minimum over all weights with this mask, and SparseGPT's are among them. "
            "(The engine adds 1 % of damping to both, which can blur the last digit.)",
        )
        name = choice("What the survivors do", list(UPDATES), "survivors.update", default="Joint")
        sparsity = slider("Sparsity, %", 25, 75, 50, 5, "survivors.sparsity") / 100
    with right:
        weights = lesson.updated(name, sparsity)
        draw_chart(charts.weights_matrix(weights, AFTER[name]), "survivors.joint")
        if answered:
            draw_chart(charts.update_errors(lesson.errors(sparsity), name), "survivors.updates")


def _draw_fresh() -> None:
    left, right = panes()
    curves = lesson.fresh_errors()
    with left:
        st.markdown(
            "An update fits the survivors to the calibration tokens. The model will read others. So: calibrate with few tokens or many, and "
            "measure on **new** ones."
        )
        answered = ask(
            "survivors.fresh",
            f"Only {COUNTS[0]} calibration tokens for 8 inputs. On new text, is the joint solution still better than leaving the survivors alone?",
            ["Yes, it is the best solution.", "No, it can be worse."],
            1,
            f"With {COUNTS[0]} tokens its error is {percent(curves[lesson.OWN][0])} on them and {percent(curves['Joint'][0])} on new text; "
            f"without any update it is {percent(curves['Nothing'][0])}. With {COUNTS[-1]} tokens it is {percent(curves['Joint'][-1])}.",
        )
        tokens = stops("Calibration tokens", COUNTS, "survivors.tokens", default=64)
        if answered:
            grid = st.grid(3, min_column_width=120, border=True)
            for name in UPDATES:
                grid.metric(f"{name}, new text", percent(curves[name][COUNTS.index(tokens)]))
    with right:
        if answered:
            draw_chart(charts.fresh_curves(curves, tokens), "survivors.fresh")
        else:
            draw_chart(charts.update_errors(lesson.errors(0.5)), "survivors.seen")
    if answered:
        remember(
            [
                "Where inputs are correlated, the survivors can take over part of what was removed.",
                "SparseGPT does it column by column, to the right only; the joint solution does it for a whole row at once.",
                "Both learn from the calibration text: give them several times as many tokens as a layer has inputs.",
            ],
            "SparseGPT",
            {"pruner": "sparsegpt", "sparsity": "0.6"},
            "Prune the bundled model with SparseGPT",
        )


STEPS = (
    Step("pair", "Two inputs", _draw_pair),
    Step("columns", "Column by column", _draw_columns),
    Step("joint", "All at once", _draw_joint),
    Step("fresh", "New text", _draw_fresh),
)

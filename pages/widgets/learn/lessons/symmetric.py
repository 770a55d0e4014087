"""Lesson 6: scores that look at both sides of a weight, shares in place of sizes, and why whole rows die."""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import symmetric as charts
from engine.charts.lessons.recorded import recorded_perplexities
from engine.lessons import symmetric as lesson
from engine.lessons.symmetric import FAINT_ROW, WITHOUT_TEXT, Masked
from engine.numbers import percent
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group
from engine.recipe import Recipe
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember
from pages.widgets.learn.recorded import by_name

FAINT = f"y{FAINT_ROW + 1}"
FIRST = {SCORES[name].title: name for name in ("magnitude", "wanda")}
GROUPS = {"The whole layer": Group.LAYER, "Each row": Group.ROW}
SHARED = {SCORES[name].title: name for name in ("magnitude", "ri", "ria")}
MODELS = {"Wanda": "wanda", "SymWanda": "symwanda", "RIA": "ria"}
SPARSITIES = (50, 60, 70, 80, 90)


def _draw_rows() -> None:
    left, right = panes()
    whole = lesson.masked("magnitude", 0.0)
    with left:
        st.markdown(
            f"Six outputs, eight inputs. The weights of **{FAINT}** are about a quarter as large as those of the others; say, because a later layer "
            "multiplies them up again. All weights of the layer compete."
        )
        answered = ask(
            "symmetric.rows",
            f"Half of all weights go, the smallest first. How many of its eight does {FAINT} keep?",
            ["Four, like everybody.", "Two or so.", "None."],
            2,
            f"One threshold holds for the whole layer, and all of {FAINT} lies below it. The neuron now says 0 at every token, "
            "and whoever reads it downstream reads nothing.",
        )
        score = choice("Score", list(FIRST), "symmetric.first") if answered else ""
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.sparsity") / 100 if answered else 0.0
    with right:
        found = lesson.masked(FIRST[score], sparsity) if answered else whole
        _draw_state(found)
        draw_chart(
            charts.masked_matrix(found, f"What {score} removes" if answered else "The weights"),
            "symmetric.rows",
        )


def _draw_state(found: Masked) -> None:
    grid = st.grid(3, min_column_width=120, border=True)
    grid.metric(
        "Outputs cut off",
        len(found.dead_rows),
        help="Rows without a weight: these outputs are 0 at every token.",
    )
    grid.metric(
        "Inputs unheard",
        len(found.dead_columns),
        help="Columns without a weight: no output listens to these inputs.",
    )
    grid.metric("Output error", percent(found.error), help="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens.")


def _draw_sides() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Wanda asks how loud a weight's **input** is. One may as well ask how loud its **output** is, or both. The symmetric family mixes them:"
        )
        st.latex(
            r"S_{ij} = |W_{ij}| \left( (1 - \beta)\, a_j + \beta\, b_i \right), \quad a_j = \lVert X_{:j} \rVert, \; b_i = \lVert Y_{:i} \rVert"
        )
        answered = ask(
            "symmetric.output",
            "β = 1, the output alone, and each row chooses among its own weights. Which score picks the same ones?",
            ["Wanda.", "Magnitude.", "None of the others."],
            1,
            "Within a row, b is one and the same factor for all weights. It cancels, and what is left is |W|. "
            "The output matters only where rows compete.",
        )
        part = slider("β, from the input alone to the output alone", 0.0, 1.0, 0.5, 0.05, "symmetric.part")
        group = GROUPS[choice("Weights compete within", list(GROUPS), "symmetric.group")]
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.half") / 100
    with right:
        if answered:
            found = lesson.blended(part, sparsity, group=group)
            _draw_state(found)
            draw_chart(charts.score_matrix(found, f"Scores with β = {part:.2f}"), "symmetric.sides")
        else:
            draw_chart(
                charts.masked_matrix(lesson.masked("magnitude", 0.0), "The weights"), "symmetric.weights"
            )


def _draw_shares() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**Relative importance** does not ask how large a weight is, but what *share* of its row and of its column it makes up:"
        )
        st.latex(SCORES["ria"].formula)
        answered = ask(
            "symmetric.shares",
            f"All weights of {FAINT} are multiplied by 8. What becomes of their shares of their own row?",
            ["They stay as they are.", "They are multiplied by 8.", "They get smaller."],
            0,
            f"Numerator and denominator grow alike. Only their shares of the columns change. So a faint row is not judged by its faintness: "
            f"at 50 % {FAINT} keeps {_left('ri')} of its weights under relative importance, {_left('magnitude')} under magnitude. "
            "That is protection, not a guarantee.",
        )
        score = choice("Score", list(SHARED), "symmetric.shared", default=SCORES["ria"].title)
        scale = slider(f"Multiply {FAINT} by", 0.25, 8.0, 1.0, 0.25, "symmetric.scale")
        alpha = (
            slider("α, how much the input's strength counts", 0.0, 1.0, 0.5, 0.1, "symmetric.alpha")
            if SHARED[score] == "ria"
            else 0.5
        )
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.third") / 100
    with right:
        name = SHARED[score]
        if answered:
            found = lesson.masked(name, sparsity, scale=scale, settings={"ria.alpha": alpha})
            _draw_state(found)
            draw_chart(charts.masked_matrix(found, f"What {score} removes"), "symmetric.shares")
        else:
            draw_chart(
                charts.masked_matrix(lesson.masked(name, 0.0, scale=scale), "The weights"), "symmetric.scaled"
            )


def _left(score: str) -> int:
    """How many weights the faint row keeps at 50 %."""
    return lesson.masked(score, 0.5).left[FAINT_ROW]


def _draw_model() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Does it happen in a real model? All linears of the bundled one, the weights of each competing with one another, "
            "once by magnitude and once by relative importance."
        )
        answered = ask(
            "symmetric.model",
            "At 50 %, how many of the model's 19,000 neurons are cut off by magnitude?",
            ["None.", "A few dozen.", "Hundreds."],
            0,
            "Trained rows are far more alike than those of our matrix. It begins at 70 to 80 %, and then it grows fast; "
            "relative importance puts it off. That is one reason why scores come apart at high sparsity.",
        )
    with right:
        if answered:
            lost = {SCORES[name].title: lesson.lost_in_model(name) for name in WITHOUT_TEXT}
            draw_chart(charts.lost_neurons(lost, sum(lesson.model_neurons())), "symmetric.lost")
            _draw_recorded()
    remember(
        [
            "Where all weights of a layer compete, faint rows and quiet columns can lose everything.",
            "Looking at the output helps only where rows compete; within a row it cancels.",
            "Shares of row and column protect the faint. On a single layer's error they need not be better: ask the model.",
        ],
        "RIA",
        {"pruner": "ria", "sparsity": "0.6"},
        "Prune the bundled model with RIA",
    )


def _draw_recorded() -> None:
    recipes = {
        title: [Recipe.build(pruner=pruner, sparsity=share / 100) for share in SPARSITIES]
        for title, pruner in MODELS.items()
    }
    runs = by_name(engine_handle.shared_engine(), recipes)
    if runs:
        draw_chart(recorded_perplexities(runs, 0.7), "symmetric.recorded")


STEPS = (
    Step("rows", "Rows that die", _draw_rows),
    Step("sides", "Input and output", _draw_sides),
    Step("shares", "Shares, not sizes", _draw_shares),
    Step("model", "In a model", _draw_model),
)

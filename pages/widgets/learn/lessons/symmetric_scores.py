"""Lesson 6: scores that use both sides of a weight, shares instead of sizes, and why whole rows die."""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import symmetric_scores as charts
from engine.charts.lessons.recorded_runs import recorded_perplexities
from engine.lessons import symmetric_scores as lesson
from engine.lessons.symmetric_scores import WEAK_ROW, WITHOUT_TEXT, Masked
from engine.numbers import percent
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group
from engine.recipe import Recipe
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.recorded_runs import finished_by_name

WEAK = f"y{WEAK_ROW + 1}"
FIRST = {SCORES[name].title: name for name in ("magnitude", "wanda")}
GROUPS = {"The whole layer": Group.LAYER, "Each row": Group.ROW}
SHARES = {SCORES[name].title: name for name in ("magnitude", "ri", "ria")}
PRUNERS = {"Wanda": "wanda", "SymWanda": "symwanda", "RIA": "ria"}
SPARSITIES = (50, 60, 70, 80, 90)


def _draw_rows() -> None:
    left, right = panes()
    with left:
        st.markdown(
            f"Six outputs, eight inputs. The weights of **{WEAK}** are about a quarter as large as those of "
            "the other rows, "
            "for example because a later layer scales them up again. All weights of the layer compete."
        )
        answered = ask(
            "symmetric.rows",
            "Half of all weights are removed, the smallest first. How many of its eight weights does "
            f"{WEAK} keep?",
            ["Four, like every row.", "About two.", "None."],
            2,
            f"One threshold holds for the whole layer, and all weights of {WEAK} are below it. "
            "The neuron now outputs 0 for every token, and every later layer that reads it gets nothing.",
        )
        score = choice("Score", list(FIRST), "symmetric.first") if answered else ""
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.sparsity") / 100 if answered else 0.0
    with right:
        # Without an answer the sparsity is 0, so the matrix is shown unpruned.
        masked = lesson.masked(FIRST[score] if answered else "magnitude", sparsity)
        _draw_state(masked)
        title = f"Weights removed by {score}" if answered else "The weights"
        draw_chart(charts.masked_matrix(masked, title), "symmetric.rows")


def _draw_state(masked: Masked) -> None:
    grid = st.grid(3, min_column_width=120, border=True)
    grid.metric(
        "Dead outputs",
        len(masked.dead_rows),
        help="Rows without any weight left: these outputs are 0 for every token.",
    )
    grid.metric(
        "Unused inputs",
        len(masked.dead_columns),
        help="Columns without any weight left: no output uses these inputs.",
    )
    grid.metric("Output error", percent(masked.error), help="‖XWᵀ − XW′ᵀ‖ / ‖XWᵀ‖ over 64 tokens.")


def _draw_sides() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Wanda uses the strength of a weight's **input**. "
            "A score can just as well use the strength of its **output**, or both. The symmetric family "
            "mixes them:"
        )
        st.latex(
            r"S_{ij} = |W_{ij}| \left( (1 - \beta)\, a_j + \beta\, b_i \right), "
            r"\quad a_j = \lVert X_{:j} \rVert, \; b_i = \lVert Y_{:i} \rVert"
        )
        answered = ask(
            "symmetric.output",
            "With β = 1 the score uses only the output, and weights compete within each row. "
            "Which score selects the same weights?",
            ["Wanda.", "Magnitude.", "Neither."],
            1,
            "Within a row, b is the same factor for all weights. It cancels, and |W| remains. "
            "That holds for β = 1 only: with a smaller β, b is *added* to the strength of the input, so it "
            "evens out the differences between the inputs.",
        )
        part = slider("β, from input only to output only", 0.0, 1.0, 0.5, 0.05, "symmetric.part")
        group = GROUPS[choice("Weights compete within", list(GROUPS), "symmetric.group")]
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.half") / 100
    with right:
        if answered:
            masked = lesson.blended(part, sparsity, group=group)  # β = `part` in the formula above
            _draw_state(masked)
            draw_chart(charts.score_matrix(masked, f"Scores with β = {part:.2f}"), "symmetric.sides")
        else:
            draw_chart(
                charts.masked_matrix(lesson.masked("magnitude", 0.0), "The weights"), "symmetric.weights"
            )


def _draw_shares() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "**Relative importance** does not use the size of a weight. "
            "It uses the weight's *share* of its row and of its column:"
        )
        st.latex(SCORES["ria"].formula)
        answered = ask(
            "symmetric.shares",
            f"All weights of {WEAK} are multiplied by 8. What happens to their shares of their own row?",
            ["They do not change.", "They are multiplied by 8.", "They get smaller."],
            0,
            "Numerator and denominator grow alike. Only their shares of the columns change. "
            "So a row with small weights is not penalised for them: "
            f"at 50 %, {WEAK} keeps {_kept_in_weak_row('ri')} of its weights under relative importance "
            f"and {_kept_in_weak_row('magnitude')} under magnitude. This is protection, not a guarantee.",
        )
        score = choice("Score", list(SHARES), "symmetric.shared", default=SCORES["ria"].title)
        scale = slider(f"Multiply {WEAK} by", 0.25, 8.0, 1.0, 0.25, "symmetric.scale")
        alpha = (
            slider("α, the exponent of the input strength", 0.0, 1.0, 0.5, 0.1, "symmetric.alpha")
            if SHARES[score] == "ria"
            else 0.5  # ignored by the other scores
        )
        sparsity = slider("Sparsity, %", 10, 90, 50, 5, "symmetric.third") / 100
    with right:
        name = SHARES[score]
        if answered:
            masked = lesson.masked(name, sparsity, scale=scale, settings={"ria.alpha": alpha})
            _draw_state(masked)
            draw_chart(charts.masked_matrix(masked, f"Weights removed by {score}"), "symmetric.shares")
        else:
            draw_chart(
                charts.masked_matrix(lesson.masked(name, 0.0, scale=scale), "The weights"), "symmetric.scaled"
            )


def _kept_in_weak_row(score: str) -> int:
    """Return how many weights the weak row keeps at 50 %."""
    return lesson.masked(score, 0.5).row_counts[WEAK_ROW]


def _draw_model() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Does this happen in a real model? This step prunes all linears of the bundled model by "
            "magnitude "
            "and by relative importance; within each linear, all weights compete."
        )
        answered = ask(
            "symmetric.model",
            "At 50 %, how many of the model's 19,000 neurons does magnitude disconnect?",
            ["None.", "A few dozen.", "Hundreds."],
            0,
            "The rows of a trained model are far more alike than those of our matrix. "
            "The first neurons die at 70 to 80 %; beyond that, the number grows fast. "
            "Relative importance delays this. It is one reason why scores differ at high sparsity.",
        )
    with right:
        if answered:
            lost = {SCORES[name].title: lesson.lost_in_model(name) for name in WITHOUT_TEXT}
            draw_chart(charts.lost_neurons(lost, sum(lesson.model_neurons())), "symmetric.lost")
            _draw_recorded()
    draw_summary(
        [
            "If all weights of a layer compete, weak rows and weak columns can lose everything.",
            "The output alone cancels within a row. Added to the input, as in SymWanda's general form, it "
            "does not: it evens out the differences between the inputs.",
            "Shares of row and column protect weak neurons. "
            "They need not lower the error of a single layer: measure on the model.",
        ],
        "RIA",
        {"pruner": "ria", "sparsity": "0.6"},
        "Prune the bundled model with RIA",
    )


def _draw_recorded() -> None:
    recipes = {
        title: [Recipe.build(pruner=pruner, sparsity=share / 100) for share in SPARSITIES]
        for title, pruner in PRUNERS.items()
    }
    runs = finished_by_name(engine_handle.shared_engine(), recipes)
    if runs:
        draw_chart(recorded_perplexities(runs, 0.7), "symmetric.recorded")


STEPS = (
    Step("rows", "Rows that die", _draw_rows),
    Step("sides", "Input and output", _draw_sides),
    Step("shares", "Shares, not sizes", _draw_shares),
    Step("model", "In a real model", _draw_model),
)

"""Lesson 9: a score of the user's own. What it has to know, a race on a small layer, why a smaller error
there proves little, a race on the bundled model, and whether the difference is more than noise.
"""

from __future__ import annotations

import streamlit as st

from engine.charts.lessons import own_score as charts
from engine.errors import FormulaError
from engine.lessons import own_score as lesson
from engine.lessons import own_score_runs as model
from engine.lessons.own_score import BEST, HAND_STRENGTH, PUBLISHED, TITLES, USER
from engine.numbers import percent, perplexity
from engine.pruning.formulas.reading import EXAMPLE
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, slider
from pages.widgets.learn.formula_field import draw_formula_field
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask
from pages.widgets.learn.recorded_runs import finished_records
from pages.widgets.learn.score_race import AMOUNTS, draw_noise, draw_race
from pages.widgets.live import show_error

RIVALS = {TITLES[name]: name for name in (*PUBLISHED, BEST)}


def _draw_know() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A **score** is one number per weight; the weights with the lowest scores are removed. "
            "This layer of two outputs must lose two of the four weights of each. "
            f"Input x4 is {HAND_STRENGTH} times as strong as the others."
        )
        row, large, small = lesson.HAND_PAIR
        weights = lesson.HAND_WEIGHTS[row]
        answered = ask(
            "invent.know",
            f"Output y{row + 1} must lose {weights[large]} (from x{large + 1}) or {weights[small]} "
            f"(from x{small + 1}). Which of these two weights should go?",
            [
                f"{weights[small]}, because it is smaller.",
                f"{weights[large]}, because its input is weaker.",
                "Either: each is one weight of eight.",
            ],
            1,
            f"Without {weights[large]} the output changes by {weights[large]} · 1 = {weights[large]}, "
            f"without {weights[small]} by {weights[small]} · {HAND_STRENGTH} = "
            f"{weights[small] * HAND_STRENGTH:.1f}. "
            "Magnitude cannot know this, so a score needs the inputs. Their sizes are enough here, because "
            "these inputs are uncorrelated: Wanda finds the best of all masks.",
        )
        if answered:
            strength = slider("Strength of x4", 1, 16, HAND_STRENGTH, 1, "invent.strength")
            name = RIVALS[choice("Show the mask of", list(RIVALS), "invent.mask")]
    with right:
        if answered:
            race = lesson.hand_race(strength)
            draw_chart(charts.errors(race, 0.5), "invent.hand_errors")
            draw_chart(charts.masked_matrix(race, name, BEST), "invent.hand_mask")
        else:
            draw_chart(charts.plain_matrix(lesson.hand_race(HAND_STRENGTH)), "invent.hand")


def _draw_formula() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Now write your own. `W` is the weight, `a` the strength of its input and `b` that of its "
            "output. The inputs of this layer are correlated, and each row loses the same number of weights. "
            "It is small enough to try **all** masks of a row, so the best one is known."
        )
        formula = draw_formula_field(helped=True)
        answered = ask(
            "invent.b",
            "You multiply Wanda's score by b, the strength of the output. Which mask do you get?",
            [
                "One that keeps more weights of strong outputs.",
                "One that keeps more weights of weak outputs.",
                "The same mask.",
            ],
            2,
            "Weights compete within their row, and b is the same for all weights of a row. A factor per row, "
            "or for the whole linear, changes no mask; neither does a logarithm. Only the *order* within a "
            "row counts.",
        )
        if answered:
            sparsity = slider("Sparsity, %", 10, 90, 50, 10, "invent.sparsity") / 100
            rival = RIVALS[choice("Compare your mask with", list(RIVALS), "invent.rival", default="Wanda")]
    with right:
        if not answered:
            draw_chart(charts.plain_matrix(lesson.small_race(EXAMPLE, 0.5)), "invent.layer")
        elif formula is not None:
            _draw_small_race(formula, sparsity, rival)


def _draw_small_race(formula: str, sparsity: float, rival: str) -> None:
    try:
        race = lesson.small_race(formula, sparsity)
    except FormulaError as error:
        show_error(str(error))
        return
    draw_chart(charts.errors(race, sparsity), "invent.errors")
    draw_chart(charts.masked_matrix(race, USER, rival), "invent.masks")


def _draw_local() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A smaller error on *one* layer may be luck, so here is your formula on "
            f"{lesson.LAYERS} other layers, at 50 % sparsity."
        )
        formula = draw_formula_field(helped=False)
        st.markdown(
            "And a model is more than its layers. There are recorded runs of the bundled model with "
            f"{len(model.WAYS)} ways to choose a mask, which measured the output error of all its linears."
        )
        amounts = list(AMOUNTS)[1:]
        sparsity = AMOUNTS[choice("Sparsity", amounts, "invent.local_at", default="70 %")]
        found = _ask_about_ways(sparsity)
    with right:
        if formula is not None:
            _draw_tally(formula)
        if found:
            draw_chart(charts.local_and_global(found, sparsity), "invent.ways")


def _ask_about_ways(sparsity: float) -> tuple[model.Way, ...]:
    """Ask where the run with the smallest error stands; return the recorded runs once the user has chosen."""
    recipes = model.recorded_ways(sparsity)
    records = finished_records(engine_handle.shared_engine(), list(recipes.values()))
    if not records:
        return ()
    found = model.ways(dict(zip(recipes, records, strict=True)))
    place, lowest = model.place_of_first(found), min(found, key=lambda way: way.perplexity)
    answered = ask(
        "invent.local",
        f"At {percent(sparsity, 0)}, {found[0].name} has the smallest mean output error. Where does it stand "
        "by perplexity?",
        ["It is the first there, too.", "In the first half, but not first.", "In the second half."],
        model.third(place, len(found)),  # computed: it depends on the sparsity
        f"It is number {place + 1} of {len(found)} with {perplexity(found[0].perplexity)}; {lowest.name} has "
        f"the lowest, {perplexity(lowest.perplexity)}. The mean counts all linears alike. In the model, what "
        "an error does to the text depends on everything that follows it. So a win on a layer is a reason to "
        "try a score, not a result.",
    )
    return found if answered else ()


def _draw_tally(formula: str) -> None:
    try:
        tally = lesson.tally(formula, 0.5)
    except FormulaError as error:
        show_error(str(error))
        return
    grid = st.grid(3, min_column_width=110, border=True)
    for label, count in (
        ("Better than Wanda", tally.better),
        ("The same mask", tally.same),
        ("Worse than Wanda", tally.worse),
    ):
        grid.metric(label, count, help=f"Layers of {lesson.LAYERS}, by the output error of your formula.")


STEPS = (
    Step("know", "What to know", _draw_know),
    Step("formula", "Your formula", _draw_formula),
    Step("local", "A local win", _draw_local),
    Step("race", "The race", draw_race),
    Step("noise", "Noise", draw_noise),
)

"""The last two steps of lesson 9: the user's formula on the bundled model, next to recorded runs of published
scores, and whether it still wins when the race is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.compare.leaderboard import leaderboard_chart
from engine.charts.lessons import own_score as charts
from engine.lessons import own_score_runs as lesson
from engine.lessons.own_score import PUBLISHED, USER
from engine.numbers import percent, perplexity, signed
from engine.pruning.axes import SCORES
from engine.pruning.formulas.reading import EXAMPLE
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, controls_locked
from pages.widgets.learn.formula_field import draw_formula_field, set_formula
from pages.widgets.learn.layout import panes
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.recorded_runs import (
    draw_run,
    draw_start,
    find_run,
    finished_record,
    finished_records,
)
from pages.widgets.live import live
from pages.widgets.page_setup import explore

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView

AMOUNTS = {f"{100 * sparsity:.0f} %": sparsity for sparsity in lesson.SPARSITIES}
QUOTED = 0.6
"""The sparsity that the race's question is about."""
IDEAS = {
    "abs(W) * a ** 0.7": "How much should the inputs count? Try exponents from 0, which is magnitude, to 2.",
    "abs(W) * (a + b)": "Add the outputs. *Multiplying* by b would change nothing.",
    "abs(W) * a ** (0.5 + depth)": "Let the exponent grow with depth. A *factor* that depends on depth only "
    "would cancel, because all weights of a linear have the same depth.",
    "abs(W) / u": "SparseGPT's u knows which inputs can replace each other.",
}
"""Formulas to try, and why."""


def draw_race() -> None:
    engine = engine_handle.shared_engine()
    left, right = panes()
    with left:
        st.markdown(
            "The real race: your formula prunes the bundled model, block by block, and the text decides. "
            "Magnitude, Wanda and RIA have recorded runs at the same sparsity."
        )
        formula = draw_formula_field(helped=False)
        sparsity = _draw_amount()
        answered = _ask_about_race(engine)
        recipe = None if formula is None else lesson.read(formula, sparsity)
        if recipe is not None:
            draw_start(
                engine,
                [recipe],
                "invent.start",
                "Race",
                ready=answered,
                about="Prunes the bundled model with your formula. This takes a few seconds.",
            )
    with right:
        if recipe is not None and answered:
            live(
                "invent.race",
                lambda: find_run(engine, recipe),
                draw_run,
                left=lambda run: run is not None and run.active,
            )
            _draw_standing(engine, recipe)
            _draw_links(engine, recipe)
        _draw_ideas()


def _draw_amount() -> float:
    """Draw the choice of the sparsity, one for the race and its noise, and return it as a share."""
    return AMOUNTS[choice("Sparsity", list(AMOUNTS), "invent.amount", default="60 %")]


def _ask_about_race(engine: BackgroundEngine) -> bool:
    records = finished_records(engine, lesson.published(QUOTED))
    scores = [record.pruned.perplexity for record in records if record.pruned is not None]
    if len(scores) < len(PUBLISHED):
        return True  # there is nothing to predict, and the race works without it
    magnitude, wanda, ria = scores
    return ask(
        "invent.race",
        f"Wanda is magnitude with one more factor, a. At {percent(QUOTED, 0)}, how much higher is the "
        "perplexity without it?",
        ["About 2 %.", "About 25 %.", "About 250 %."],
        1,
        f"Magnitude reaches {perplexity(magnitude)}, Wanda {perplexity(wanda)}: "
        f"{percent(magnitude / wanda - 1, 0)} more. Most steps are smaller: RIA reaches {perplexity(ria)}, "
        f"{percent(abs(ria / wanda - 1), 0)} from Wanda.",
    )


def _draw_standing(engine: BackgroundEngine, recipe: Recipe) -> None:
    """Draw the finished runs of the race."""
    entries = lesson.standing(_finished(engine, recipe), recipe.sparsity)
    if not entries:  # neither bundled runs nor one of the user's
        return
    draw_chart(leaderboard_chart(entries, percent(recipe.sparsity, 0)), "invent.standing", explained=False)
    st.caption(
        "Wanda and your formula compare the weights of each row; magnitude and RIA compare those of the "
        "whole linear, as published."
    )


def _finished(engine: BackgroundEngine, recipe: Recipe) -> list[tuple[RunRecord, bool]]:
    """Return the finished runs of the race, each with whether it was computed here."""
    recipes = [recipe, *lesson.published(recipe.sparsity)]
    runs = [run for run in (find_run(engine, each) for each in recipes) if run is not None]
    return [(run.record, not run.recorded) for run in runs if run.state == "finished"]


def _draw_links(engine: BackgroundEngine, recipe: Recipe) -> None:
    """Draw links to Explore, with the run if it is finished and with the recipe before."""
    finished = finished_record(engine, recipe) is not None
    st.page_link(
        explore(),
        label="This run on Explore" if finished else "This recipe on Explore",
        icon=":material/content_cut:",
        query_params={"run": pin(recipe).key} if finished else _fields(recipe),
    )
    st.caption(":material/link: The address of this page holds your formula. Copy it to share the race.")


def _fields(recipe: Recipe) -> Mapping[str, str]:
    """Return the recipe as Explore's query parameters."""
    return {
        "pruner": USER,
        f"{USER}.expression": lesson.expression(recipe),
        "sparsity": f"{recipe.sparsity:g}",
    }


def _draw_ideas() -> None:
    st.markdown("**What to try next**")
    for place, (formula, why) in enumerate(IDEAS.items()):
        button, text = st.columns((1, 5), vertical_alignment="center")
        button.button(
            "Try",
            key=f"invent.idea.{place}",
            help=f"Writes `{formula}` into the field.",
            disabled=controls_locked(),
            on_click=set_formula,
            args=(formula,),
        )
        text.markdown(f"`{formula}`  \n{why}")


def draw_noise() -> None:
    """Draw the step that repeats the race under conditions that should not decide it."""
    engine = engine_handle.shared_engine()
    left, right = panes()
    with left:
        st.markdown(
            "Repeat the race, and change only what should not matter. **The same calibration windows in "
            "another order** change the rounding of sums, which can decide weights whose scores are nearly "
            "equal. **Other windows of the same text** are another sample of what the model reads."
        )
        answered = ask(
            "invent.noise",
            "Your score has a perplexity that is 0.3 lower than Wanda's. Is it better?",
            [
                "Yes, lower is better.",
                "No, differences below 1 never count.",
                "It depends on how far both move when only the windows or their order change.",
            ],
            2,
            "A difference smaller than that says nothing. Even a larger one holds for this model, this text "
            "and this sparsity; other models may disagree.",
        )
        formula = draw_formula_field(helped=False)
        sparsity = _draw_amount()
        recipe = None if formula is None else lesson.read(formula, sparsity)
        if recipe is not None:
            pairs = lesson.repeated(recipe)
            runs = [one for pair in pairs.values() for one in pair]
            draw_start(
                engine,
                runs,
                "invent.repeat",
                "Repeat the race",
                ready=answered,
                about="Runs your formula and Wanda twice more, a few seconds each.",
            )
    with right:
        if recipe is not None and answered:
            live(
                "invent.repeats",
                lambda: [run for run in (find_run(engine, each) for each in runs) if run is not None],
                _draw_progress,
                left=lambda found: sum(run.active for run in found),
            )
            _draw_repeats(engine, pairs, sparsity)
    if answered:
        _draw_summary(recipe)


def _draw_progress(runs: Sequence[RunView]) -> None:
    for run in runs:
        draw_run(run)


def _draw_repeats(
    engine: BackgroundEngine, pairs: Mapping[str, tuple[Recipe, Recipe]], sparsity: float
) -> None:
    """Draw what the pairs of runs that are finished say."""
    records = {
        condition: (mine, rival)
        for condition, (one, other) in pairs.items()
        if (mine := finished_record(engine, one)) and (rival := finished_record(engine, other))
    }
    found = lesson.repeats(records)
    if not found:
        return
    grid = st.grid(2, min_column_width=160, border=True)
    grid.metric(
        "Yours minus Wanda's", signed(found[0].difference, 2), help="Perplexity; below 0 yours is better."
    )
    grid.metric(
        "Moved by the conditions",
        perplexity(lesson.moved(found)) if len(found) > 1 else "not measured",
        help="The largest difference that a condition makes to one of the two scores.",
    )
    draw_chart(charts.repeats(found, sparsity), "invent.repeated")


def _draw_summary(recipe: Recipe | None) -> None:
    draw_summary(
        [
            "A score needs to know the inputs. Whatever is the same for a whole row cancels.",
            "A smaller error on a layer is a hint. The perplexity of the pruned model is the result.",
            "Before you believe a difference, repeat both runs under conditions that should not matter.",
        ],
        SCORES[USER].title,
        _fields(recipe or lesson.read(EXAMPLE, QUOTED)),
        "Prune the bundled model with your formula",
    )

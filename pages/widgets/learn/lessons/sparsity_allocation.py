"""Lesson 5: how much to prune each block. A guess, NeuroAL's search replayed, other methods,
a real language model, and a race.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.allocation import allocation_bars
from engine.charts.lessons import sparsity_allocation as charts
from engine.charts.lessons.recorded_runs import recorded_perplexities
from engine.charts.lessons.two_models import ratios_on_both
from engine.charts.search import search_curves
from engine.lessons import sparsity_allocation as lesson
from engine.lessons.sparsity_allocation import AUTOMATIC, USER
from engine.lessons.two_models import better_than
from engine.numbers import listed, percent
from engine.pruning.axes import ALLOCATIONS
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.replay import Replay
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, controls_locked, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.learn.real_model import draw_about_model, draw_amount, runs_on_both
from pages.widgets.learn.recorded_runs import (
    draw_missing_notice,
    draw_run,
    draw_start,
    find_run,
    finished_by_name,
    finished_record,
)
from pages.widgets.live import live

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.jobs.views import RunView

SPARSITIES = ("50 %", "60 %", "70 %", "80 %")
TICK = 0.5
"""Seconds between two moments of a replayed search."""
NEUROAL = "neuroal"
MOMENT, PLAYING = "allocation.moment", "allocation.playing"
TRENDS = (
    "It rises from the start: any slope is worse.",
    "It falls all the way: the steeper, the better.",
    "It falls and then rises.",
)
"""In the order of `lesson.trend`."""


def _draw_guess() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A model of eight blocks must lose a share of its weights. It need not lose the same share of "
            "each block. "
            "**Which blocks can lose more?** Make a guess with two sliders: "
            "a slope over the depth, and a lower sparsity for both ends."
        )
        target = _draw_sparsity()
        record = finished_record(engine_handle.shared_engine(), lesson.bundled_recipe(NEUROAL, target))
        if record is None:
            draw_missing_notice()
            return
        ratios = _draw_guess_sliders(record, target)
        answered = ask(
            "allocation.spared",
            f"NeuroAL decides by trial. Which blocks does it prune least at {percent(target, 0)}?",
            [
                "The first blocks.",
                "The middle blocks.",
                "The last blocks.",
                "None: it prunes all blocks alike.",
            ],
            0,
            f"It removes {percent(record.allocation[0], 0)} of the first block "
            f"and {percent(record.allocation[-1], 0)} of the last. "
            "An early error passes through all later blocks.",
        )
        if answered:
            st.metric(
                "Distance to NeuroAL",
                f"{100 * lesson.distance(ratios, record.allocation):.1f} points",
                help="The mean distance between your ratios and NeuroAL's over the blocks.",
            )
    with right:
        others = {"NeuroAL": record.allocation} if answered else {}
        draw_chart(charts.shares(ratios, others, target), "allocation.guess")


def _draw_sparsity() -> float:
    """Draw the choice of the sparsity and return it as a share."""
    return _share(choice("Sparsity of the whole model", SPARSITIES, "allocation.sparsity", default="70 %"))


def _share(text: str) -> float:
    """Return `70 %` as a share."""
    return int(text.split(maxsplit=1)[0]) / 100


def _draw_guess_sliders(record: RunRecord, target: float) -> tuple[float, ...]:
    """Draw the two sliders of the guess and return its ratios for the model of a record."""
    slope, ends = (
        slider(label, -25, 25, 0, 1, f"allocation.{name}", unit="%d points") / 100  # points to shares
        for name, label in (
            ("slope", "Slope: the last block is above the middle by"),
            ("ends", "Ends: the first and the last block are below the middle by"),
        )
    )
    blocks = record.model.linears if record.model else []
    # prunable weights per block
    sizes = [sum(linear.rows * linear.columns for linear in block) for block in blocks]
    return lesson.guess(slope, ends, sizes, target)


def _draw_search() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "NeuroAL prunes the model with about thirty different settings, on 8 windows of text. "
            "For each it checks whether **the neurons still fire in the same proportions**: "
            "d are the input norms of a dense linear, q those of the pruned one."
        )
        st.latex(ALLOCATIONS[NEUROAL].formula)
        target = _draw_sparsity()
        engine, recipe = engine_handle.shared_engine(), lesson.bundled_recipe(NEUROAL, target)
        record = finished_record(engine, recipe)
        if record is None:
            draw_missing_notice()
            return
        objectives = [tried.objective for tried in record.search if tried.step == "block"]
        answered = ask(
            "allocation.turn",
            "First it tries slopes: λ is how far the last block is above the middle. "
            "How does the objective change as λ grows from 0.01 to 0.25?",
            TRENDS,
            lesson.trend(objectives),  # the right answer is computed, because it depends on the sparsity
            "Pruning the early blocks a little less pays off; too much of it costs the late blocks more "
            "than it saves. "
            "At 50 % hardly any slope helps; the higher the sparsity, the steeper the best slope.",
        )
        # from the events of the bundled run; nothing is computed
        replay = Replay(engine.events(pin(recipe).key))
    with right:
        if answered:
            _draw_replay(replay)


def _draw_replay(replay: Replay) -> None:
    """Draw the search moment by moment.

    The button is outside of the live part, because it starts and stops its redrawing.
    """
    moments = lesson.search_moments(replay.events)
    playing = bool(st.session_state.get(PLAYING))
    label, icon = ("Stop", ":material/stop:") if playing else ("Play", ":material/play_arrow:")
    last = None if playing else len(moments) - 1  # see `_play`: None stops
    st.button(
        label, icon=icon, key="allocation.play", disabled=controls_locked(), on_click=_play, args=(last,)
    )
    live(
        "allocation.moment",
        lambda: replay,
        lambda replay: _draw_moment(replay, moments),
        left=lambda _: bool(st.session_state.get(PLAYING)),  # at the end, the button changes back to Play
        every=TICK,
    )


def _draw_moment(replay: Replay, moments: Sequence[int]) -> None:
    """Draw the search at one of its moments; while it plays, each redraw advances by one."""
    last = len(moments) - 1
    if st.session_state.get(PLAYING):
        # Before the slider is drawn: Streamlit rejects a change of its value afterwards.
        st.session_state[MOMENT] = min(st.session_state.get(MOMENT, last) + 1, last)
        if st.session_state[MOMENT] == last:
            _play(None)  # `left` changes with it, so the page is redrawn and the timer ends
    moment = moments[int(slider("Moments of the search", 0, last, last, 1, MOMENT))]
    st.caption(f":material/replay: A recorded run: {replay.describe(moment)}.")
    record = replay.record(moment)
    draw_chart(search_curves(record), "allocation.search", explained=False)
    draw_chart(allocation_bars(record), "allocation.best", explained=False)


def _play(last: int | None) -> None:
    """Play from the current moment, or from the start if it is the `last`; stop if `last` is None."""
    st.session_state[PLAYING] = last is not None
    if last is not None and st.session_state.get(MOMENT, last) == last:
        st.session_state[MOMENT] = 0


def _draw_opinions() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Other methods do not try settings; they measure the dense model once. "
            "**OWL** counts outliers: weights that matter far more than the average weight. "
            "**AlphaPruning** uses the spectrum of the weights to estimate how well a block is trained."
        )
        target = _draw_sparsity()
        answered = ask(
            "allocation.better",
            "In this small model at 70 %: which of the three is better than pruning all blocks alike?",
            ["All three.", "NeuroAL and OWL.", "Only NeuroAL."],
            2,
            "OWL and AlphaPruning were designed for models with billions of weights, where outliers and "
            "spectra say much. "
            "Here they spare the wrong blocks. "
            "A rule that measures something other than the damage is also a guess, so measure the result.",
        )
    with right:
        recipes = {
            ALLOCATIONS[name].title: [lesson.bundled_recipe(name, _share(text)) for text in SPARSITIES]
            for name in AUTOMATIC
        }
        runs = finished_by_name(engine_handle.shared_engine(), recipes)
        if not runs:
            return
        at = [_share(text) for text in SPARSITIES].index(target)
        ratios = {name: records[at].allocation for name, records in runs.items()}
        uniform = ratios.pop(ALLOCATIONS["uniform"].title)  # drawn as bars, the others as lines
        draw_chart(charts.shares(uniform, ratios, target, name="uniform"), "allocation.opinions")
        if answered:
            draw_chart(recorded_perplexities(runs, target), "allocation.recorded")


def _draw_real() -> None:
    left, right = panes()
    uniform = ALLOCATIONS["uniform"].title
    with left:
        draw_about_model()
        amount, fields = draw_amount("allocation.amount")
        found = runs_on_both(
            {
                ALLOCATIONS[name].title: {"pruner": lesson.PRUNER, "allocation": name, **fields}
                for name in AUTOMATIC
            },
            reference=uniform,
        )
        if not found:
            return
        bundled, real = better_than(found, uniform)
        answered = ask(
            "allocation.real",
            f"Wanda at {amount} with {listed([one.name for one in found if one.name != uniform])}: which are "
            "better than pruning all blocks alike, on the real model?",
            ["None.", "Some of them.", "All of them."],
            min(len(real), 1) + (len(real) == len(found) - 1),  # computed: it depends on the sparsity
            f"On the real model {_named(real)}; on the bundled one {_named(bundled)}. "
            "A rule that is right for one model can be wrong for another, so measure it on yours.",
        )
    with right:
        if answered:
            draw_chart(ratios_on_both(found, amount), "allocation.real")


def _named(names: Sequence[str]) -> str:
    """Return `OWL and NeuroAL are better`, `none is better`."""
    return f"{listed(list(names))} {'is' if len(names) == 1 else 'are'} better" if names else "none is better"


def _draw_race() -> None:
    engine = engine_handle.shared_engine()
    left, right = panes()
    with left:
        st.markdown(
            "Now prune with your guess. Wanda selects the weights, you set the sparsity of each block, "
            "and the text decides who wins. All racers remove the same share. "
            "You may copy the slope of NeuroAL's block step. "
            "You do not have its row step, which allocates the sparsity over the rows of each linear."
        )
        target = _draw_sparsity()
        record = finished_record(engine, lesson.bundled_recipe(NEUROAL, target))
        if record is None:
            draw_missing_notice()
        else:
            ratios = _draw_guess_sliders(record, target)
            _draw_start(engine, lesson.user_recipe(ratios, target))
    with right:
        if record is not None:  # then `ratios` exist too
            _draw_result(engine, record, ratios, target)
    draw_summary(
        [
            "Blocks differ in how much pruning they tolerate. "
            "The allocation matters much at high sparsity and hardly at 50 %.",
            "An early loss passes through all later blocks, so pruning the early blocks less is a good "
            "first guess.",
            "Rules designed for one kind of model can fail on another. "
            "NeuroAL tries settings, at the cost of thirty short runs.",
        ],
        "NeuroAL",
        {"pruner": "wanda", "sparsity": "0.7", "allocation": NEUROAL},
        "Prune the bundled model with NeuroAL",
    )


def _draw_start(engine: BackgroundEngine, recipe: Recipe) -> None:
    """Draw the question, then the button that starts the user's run."""
    answered = ask(
        "allocation.race",
        "With its row step, NeuroAL reaches a lower objective than any slope. "
        "Does it also reach a lower perplexity than your best slope?",
        [
            "Yes, that is the purpose of the objective.",
            "No, the row step always does harm.",
            "Only a measurement can tell.",
        ],
        2,
        "The objective says whether neurons fire in the same proportions. "
        "This does not guarantee that the text becomes more probable. Try 15 points at 70 %.",
    )
    draw_start(
        engine,
        [recipe],
        "allocation.start",
        "Race",
        ready=answered,
        about="Prunes the bundled model with your ratios. This takes a few seconds.",
    )


def _draw_result(
    engine: BackgroundEngine, neuroal: RunRecord, ratios: tuple[float, ...], target: float
) -> None:
    """Draw the user's run, which ends with the ranking, and the user's ratios next to NeuroAL's."""
    recipe = lesson.user_recipe(ratios, target)
    live(
        "allocation.computing",
        lambda: find_run(engine, recipe),
        lambda run: _draw_run(engine, run, ratios, target),
        left=lambda run: run is not None and run.active,
    )
    draw_chart(charts.shares(ratios, {"NeuroAL": neuroal.allocation}, target), "allocation.lanes")


def _draw_run(
    engine: BackgroundEngine, run: RunView | None, ratios: tuple[float, ...], target: float
) -> None:
    """Draw the progress of the user's run, its error, or the ranking that it ends with."""

    def draw_ranking(record: RunRecord) -> None:
        others = {name: finished_record(engine, lesson.bundled_recipe(name, target)) for name in AUTOMATIC}
        found = {name: other for name, other in {**others, USER: record}.items() if other is not None}
        draw_chart(charts.ranking(lesson.race(found, ratios), target), "allocation.ranking")

    draw_run(run, draw_ranking)


STEPS = (
    Step("guess", "Your guess", _draw_guess),
    Step("search", "A search", _draw_search),
    Step("opinions", "Three methods", _draw_opinions),
    Step("real", "A real model", _draw_real),
    Step("race", "The race", _draw_race),
)

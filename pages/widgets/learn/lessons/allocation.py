"""Lesson 5: who deserves the weights. A guess, NeuroAL's search replayed, other opinions, and a race."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.allocation import allocation_bars
from engine.charts.lessons import allocation as charts
from engine.charts.lessons.recorded import recorded_perplexities
from engine.charts.search import search_curves
from engine.lessons import allocation as lesson
from engine.lessons.allocation import AUTOMATIC, MINE
from engine.numbers import percent
from engine.pruning.axes import ALLOCATIONS
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.replay import Replay
from pages.widgets import engine_handle
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, locked, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember
from pages.widgets.learn.recorded import by_name, draw_missing, finished, submit, view
from pages.widgets.live import redraw_page
from pages.widgets.progress import progress_words, share

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

SPARSITIES = ("50 %", "60 %", "70 %", "80 %")
POLL, TICK = 0.4, 0.5
NEUROAL = "neuroal"
COMPLAINT, MOMENT, PLAYING = "allocation.complaint", "allocation.moment", "allocation.playing"
TURNS = (
    "It rises from the start: any slope is worse.",
    "It falls all the way: the steeper, the better.",
    "It falls and then rises.",
)


def _draw_guess() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "A model of eight blocks has to lose a share of its weights. It need not take the same from each block. **Who can do with fewer?** "
            "Make a guess with two handles: a slope through the depth, and mercy for both ends."
        )
        target = _share(_draw_sparsity())
        record = finished(engine_handle.shared_engine(), lesson.recorded_recipe(NEUROAL, target))
        if record is None:
            draw_missing()
            return
        mine = _draw_handles(record, target)
        answered = ask(
            "allocation.spared",
            f"NeuroAL decides by trying. Which blocks does it spare at {percent(target, 0)}?",
            [
                "The first blocks.",
                "The middle ones.",
                "The last blocks.",
                "None: it takes the same from all.",
            ],
            0,
            f"It takes {percent(record.allocation[0], 0)} from the first block and {percent(record.allocation[-1], 0)} from the last. "
            "An error that is made early goes through all blocks behind it.",
        )
        if answered:
            st.metric(
                "Your guess is off by",
                f"{100 * lesson.apart(mine, record.allocation):.1f} points",
                help="Mean distance to NeuroAL's ratios over the blocks.",
            )
    with right:
        draw_chart(
            charts.shares(mine, {"NeuroAL": record.allocation} if answered else {}, target),
            "allocation.guess",
        )


def _draw_sparsity() -> str:
    return choice("Sparsity of the whole model", SPARSITIES, "allocation.sparsity", default="70 %")


def _share(text: str) -> float:
    """`70 %` as a share."""
    return int(text.split(maxsplit=1)[0]) / 100


def _draw_handles(record: RunRecord, target: float) -> tuple[float, ...]:
    """The guess, for the model of a record."""
    slope = (
        slider(
            "Slope: the last block is above the middle by",
            -25,
            25,
            0,
            1,
            "allocation.slope",
            unit="%d points",
        )
        / 100
    )
    ends = (
        slider(
            "Ends: first and last block are below the middle by",
            -25,
            25,
            0,
            1,
            "allocation.ends",
            unit="%d points",
        )
        / 100
    )
    sizes = (
        [sum(linear.rows * linear.columns for linear in block) for block in record.model.linears]
        if record.model
        else []
    )
    return lesson.guess(slope, ends, sizes, target)


def _draw_search() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "NeuroAL prunes the model with each of some thirty settings, on 8 windows of text, and looks whether **the neurons keep firing in "
            "the same proportions**: d are the input norms of a dense linear, q those of the pruned one."
        )
        st.latex(ALLOCATIONS[NEUROAL].formula)
        target = _share(_draw_sparsity())
        engine, recipe = engine_handle.shared_engine(), lesson.recorded_recipe(NEUROAL, target)
        record = finished(engine, recipe)
        if record is None:
            draw_missing()
            return
        objectives = [tried.objective for tried in record.search if tried.step == "block"]
        answered = ask(
            "allocation.turn",
            "First it tries slopes: λ is how far the last block is above the middle. What does the objective do as λ grows from 0.01 to 0.25?",
            TURNS,
            lesson.turn(objectives),
            "Some mercy for the early blocks pays, too much of it costs the late ones more than it saves. At 50 % hardly any slope is worth it; "
            "the more has to go, the steeper is best.",
        )
        replay = Replay(engine.events(pin(recipe).key))
    with right:
        if answered:
            _draw_replay(replay)


def _draw_replay(replay: Replay) -> None:
    """The search again, moment by moment. The button stands outside of what is drawn again and again: it
    starts and stops just that.
    """
    places = lesson.moments(replay.events)
    playing = bool(st.session_state.get(PLAYING))
    label, icon = ("Stop", ":material/stop:") if playing else ("Play", ":material/play_arrow:")
    last = None if playing else len(places) - 1
    st.button(label, icon=icon, key="allocation.play", disabled=locked(), on_click=_play, args=(last,))
    st.fragment(_draw_moment, run_every=TICK if playing else None)(replay, places, playing)


def _draw_moment(replay: Replay, places: Sequence[int], ticks: bool) -> None:
    """The search as it was at one of its moments; while it plays, each drawing is one further. `ticks`:
    whether it is drawn again by itself.
    """
    last = len(places) - 1
    if st.session_state.get(PLAYING):
        st.session_state[MOMENT] = min(st.session_state.get(MOMENT, last) + 1, last)
        if st.session_state[MOMENT] == last:
            _play(None)
    place = places[int(slider("Moments of the search", 0, last, last, 1, MOMENT))]
    st.caption(f":material/replay: A recorded run: {replay.words(place)}.")
    record = replay.record(place)
    draw_chart(search_curves(record), "allocation.search")
    draw_chart(allocation_bars(record), "allocation.best")
    if ticks and not st.session_state[PLAYING]:  # it came to its end
        redraw_page("allocation.moment")


def _play(last: int | None) -> None:
    """Play on from here, or from the beginning where this is the `last` moment; stop where it is None."""
    st.session_state[PLAYING] = last is not None
    if last is not None and st.session_state.get(MOMENT, last) == last:
        st.session_state[MOMENT] = 0


def _draw_opinions() -> None:
    left, right = panes()
    with left:
        st.markdown(
            "Others do not try, they measure the dense model once. **OWL** counts outliers: weights that matter far more than the average one. "
            "**AlphaPruning** reads from the spectrum of its weights how well a block is trained."
        )
        chosen = _draw_sparsity()
        answered = ask(
            "allocation.better",
            "In this small model, at 70 %: which of the three is better than taking the same from each block?",
            ["All three.", "NeuroAL and OWL.", "NeuroAL alone."],
            2,
            "OWL and AlphaPruning were made on models of billions of weights, where outliers and spectra tell much. Here they spare the wrong "
            "blocks. A rule that measures something else than the damage is a guess, too; that is why one measures.",
        )
    with right:
        recipes = {
            ALLOCATIONS[name].title: [lesson.recorded_recipe(name, _share(text)) for text in SPARSITIES]
            for name in AUTOMATIC
        }
        runs = by_name(engine_handle.shared_engine(), recipes)
        if not runs:
            return
        ratios = {name: records[SPARSITIES.index(chosen)].allocation for name, records in runs.items()}
        uniform = ratios.pop(ALLOCATIONS["uniform"].title)
        draw_chart(charts.shares(uniform, ratios, _share(chosen), whose="uniform"), "allocation.opinions")
        if answered:
            draw_chart(recorded_perplexities(runs, _share(chosen)), "allocation.recorded")


def _draw_race() -> None:
    engine = engine_handle.shared_engine()
    left, right = panes()
    with left:
        st.markdown(
            "Now prune with your guess. Wanda takes the weights, you say how many of each block, and the text is the judge. "
            "Everybody removes the same share. Copying the slope of NeuroAL's block step is allowed; its row step, which shares out over the rows of "
            "each linear, you do not have."
        )
        target = _share(_draw_sparsity())
        record = finished(engine, lesson.recorded_recipe(NEUROAL, target))
        if record is None:
            draw_missing()
        else:
            mine = _draw_handles(record, target)
            _draw_start(engine, lesson.own_recipe(mine, target))
    with right:
        if record is not None:
            _draw_outcome(engine, record, mine, target)
    remember(
        [
            "Blocks do not suffer alike; at high sparsity it matters much who gives how much, at 50 % hardly.",
            "What is lost early goes through everything behind it, so sparing the early blocks is a good first guess.",
            "Rules made on one kind of model can fail on another. NeuroAL tries, and pays for it with thirty short runs.",
        ],
        "NeuroAL",
        {"pruner": "wanda", "sparsity": "0.7", "allocation": NEUROAL},
        "Prune the bundled model with NeuroAL",
    )


def _draw_start(engine: BackgroundEngine, recipe: Recipe) -> None:
    """The question first, then the button."""
    answered = ask(
        "allocation.race",
        "With its row step NeuroAL reaches a lower objective than any slope. Will it also have a lower perplexity than your best slope?",
        [
            "Yes, that is what the objective is for.",
            "No, the row step always harms.",
            "That has to be measured.",
        ],
        2,
        "The objective says whether neurons fire in the same proportions; nobody promises that the text becomes more probable. "
        "Try 15 points at 70 %.",
    )
    found = view(engine, recipe)
    done = found is not None and (found.active or found.state == "finished")
    st.button(
        "Race",
        icon=":material/flag:",
        key="allocation.start",
        type="primary",
        disabled=not answered or done or locked(),
        help="Prunes the bundled model with your ratios; a few seconds.",
        on_click=submit,
        args=(engine, recipe, COMPLAINT),
    )
    if COMPLAINT in st.session_state:
        st.error(st.session_state[COMPLAINT], icon=":material/error:")


def _draw_outcome(
    engine: BackgroundEngine, neuroal: RunRecord, mine: tuple[float, ...], target: float
) -> None:
    """How one's own run stands, and once it is there the ranking."""
    recipe = lesson.own_recipe(mine, target)
    found = view(engine, recipe)
    if found is not None and found.active:
        st.fragment(_draw_progress, run_every=POLL)(engine, recipe)
    elif found is not None and found.state == "finished":
        others = {name: finished(engine, lesson.recorded_recipe(name, target)) for name in AUTOMATIC}
        records = {
            name: record for name, record in {**others, MINE: found.record}.items() if record is not None
        }
        draw_chart(charts.ranking(lesson.race(records, mine), target), "allocation.ranking")
    elif found is not None:
        st.error(found.record.error or found.message or "This run was cancelled.", icon=":material/error:")
    draw_chart(charts.shares(mine, {"NeuroAL": neuroal.allocation}, target), "allocation.lanes")


def _draw_progress(engine: BackgroundEngine, recipe: Recipe) -> None:
    """The bar of one's own run; when it ends the whole page is drawn again."""
    found = view(engine, recipe)
    if found is None or not found.active:
        redraw_page("allocation.computing")
    else:
        st.progress(share(found), text=progress_words(found))


STEPS = (
    Step("guess", "Your guess", _draw_guess),
    Step("search", "A search", _draw_search),
    Step("opinions", "Three opinions", _draw_opinions),
    Step("race", "The race", _draw_race),
)

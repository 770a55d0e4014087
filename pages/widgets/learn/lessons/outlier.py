"""Lesson 2: one input that is louder than all others, what it does to magnitude and Wanda, and where the
bundled model has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import streamlit as st

from engine.charts.lessons import outlier as charts
from engine.errors import PrunescopeError
from engine.lessons import outlier as lesson
from engine.lessons.outlier import STRENGTHS, Inputs
from engine.numbers import percent
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, select, slider
from pages.widgets.learn.frame import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, remember
from pages.widgets.live import redraw_page

POLL = 0.4
TITLES = {title: name for name, title in charts.NAMES.items()}


@st.cache_resource(show_spinner=False)
def inputs_of_model() -> Future[tuple[Inputs, ...]]:
    """The bundled model's inputs, for all sessions of this server; begun as soon as somebody opens the
    lesson, for it takes seconds.
    """
    pool = ThreadPoolExecutor(1, "lesson")
    future = pool.submit(lesson.inputs_of_model)
    pool.shutdown(wait=False)
    return future


def _draw_strength() -> None:
    inputs_of_model()
    left, right = panes()
    with left:
        st.markdown(
            f"Eight inputs, about equally strong. The weights of **{charts.LOUD}** all happen to be small. Now turn {charts.LOUD} up: in trained "
            "language models a few features are many times as loud as the rest."
        )
        strength = _strength()
        answered = ask(
            "outlier.mask",
            f"Half of the weights go. {charts.LOUD} gets louder and louder. Whose choice of weights changes?",
            ["Magnitude's.", "Wanda's.", "Both.", "Neither's."],
            1,
            "Magnitude never looks at the inputs. Wanda's score is |w| · a, so all weights of the loud input rise together, until none of them goes.",
        )
        score = TITLES[choice("Score", list(TITLES), "outlier.score", default="Wanda")] if answered else None
    with right:
        draw_chart(charts.loud_matrix(lesson.pruned(strength, score or "wanda"), score), "outlier.matrix")


def _draw_error() -> None:
    inputs_of_model()
    left, right = panes()
    curves = lesson.curves()
    quiet, loud = ({score: errors[at] for score, errors in curves.items()} for at in (0, -1))
    with left:
        st.markdown(
            f"With {charts.LOUD} as strong as the others, magnitude and Wanda lose about the same: {percent(quiet['magnitude'])} and "
            f"{percent(quiet['wanda'])} of the output. Both remove half of the weights."
        )
        strength = _strength()
        answered = ask(
            "outlier.error",
            f"{charts.LOUD} becomes {STRENGTHS[-1]} times as loud. How large is magnitude's error then?",
            ["About as before: the mask is the same.", "About half of the output.", "Most of the output."],
            2,
            f"It is {percent(loud['magnitude'])}, Wanda's {percent(loud['wanda'])}. Nearly all of the output now comes from {charts.LOUD}, "
            f"and magnitude has removed {lesson.pruned(STRENGTHS[-1], 'magnitude').removed_there} of its 8 weights because they are small.",
        )
        if answered:
            grid = st.grid(2, min_column_width=140, border=True)
            for score, name in charts.NAMES.items():
                grid.metric(f"{name}, output error", percent(lesson.pruned(strength, score).error))
    with right:
        if answered:
            draw_chart(charts.loud_curves(curves, strength), "outlier.curves")
        else:
            draw_chart(
                charts.loud_matrix(lesson.pruned(strength, "magnitude"), "magnitude"), "outlier.before"
            )


def _strength() -> float:
    return slider(
        f"How many times as loud {charts.LOUD} is",
        STRENGTHS[0],
        STRENGTHS[-1],
        STRENGTHS[0],
        1,
        "outlier.strength",
    )


def _draw_model() -> None:
    future = inputs_of_model()
    st.fragment(_draw_measured, run_every=None if future.done() else POLL)(future, not future.done())


def _draw_measured(future: Future[tuple[Inputs, ...]], was_pending: bool) -> None:
    if not future.done():
        st.caption("The bundled model is reading 8 windows of its stories. This takes some seconds, once.")
        st.skeleton(height=420)
    elif isinstance(error := future.exception(), PrunescopeError):
        st.error(str(error), icon=":material/error:")
        st.button("Try again", key="outlier.again", icon=":material/refresh:", on_click=inputs_of_model.clear)
    else:
        _draw_inputs(future.result())
    if (
        was_pending and future.done()
    ) or inputs_of_model() is not future:  # it is there, or is to be tried again
        redraw_page("outlier")


def _draw_inputs(inputs: Sequence[Inputs]) -> None:
    left, right = panes()
    loudest, times = lesson.shared_loudest(inputs)
    with left:
        st.markdown(
            "And in a real model? This is what the linears of the bundled model read, a Llama of 3 million parameters that tells stories."
        )
        answered = ask(
            "outlier.model",
            "Does such a small model have an outlier feature?",
            [
                "No: they come with size.",
                "Yes, another one in each layer.",
                "Yes, and in many layers it is the same one.",
            ],
            2,
            f"Feature {loudest} is the loudest input of {times} of the {len(inputs)} linears. It lives in the residual stream that runs through "
            "all blocks, so whatever reads that stream sees it. In models of billions of parameters such features are louder still "
            "([Dettmers et al., 2022](https://arxiv.org/abs/2208.07339)).",
        )
        if answered:
            block = int(slider("Block", 0, max(each.block for each in inputs), 1, 1, "outlier.block"))
            here = {each.linear: each for each in inputs if each.block == block}
            chosen = here[select("Linear", list(here), "outlier.linear")]
            grid = st.grid(2, min_column_width=140, border=True)
            for score, name in charts.NAMES.items():
                grid.metric(
                    f"{name}, output error",
                    percent(chosen.errors[score]),
                    help="This linear alone at 50 %, in the dense model.",
                )
    with right:
        if answered:
            draw_chart(charts.input_strengths(chosen), "outlier.inputs")
            draw_chart(charts.gains(inputs, chosen), "outlier.gains")
    if answered:
        remember(
            [
                "A few input features are much louder than the rest, often the same ones through the whole model.",
                "A small weight on a loud feature matters. Magnitude cannot know; one pass over a little text can tell.",
                "Where no feature stands out, magnitude and Wanda do about equally well.",
            ],
            "Wanda",
            {"pruner": "magnitude", "sparsity": "0.5"},
            "Prune the bundled model by magnitude",
        )


STEPS = (
    Step("strength", "Turn one input up", _draw_strength),
    Step("error", "What it costs", _draw_error),
    Step("model", "A real model", _draw_model),
)

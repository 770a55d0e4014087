"""Lesson 2: one input that is much stronger than the others, its effect on magnitude and Wanda, and the
outlier feature of the bundled model.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import streamlit as st

from engine.charts.lessons import outlier_feature as charts
from engine.errors import PrunescopeError
from engine.jobs.questions import Answer
from engine.lessons import outlier_feature as lesson
from engine.lessons.outlier_feature import STRENGTHS, Inputs
from engine.numbers import percent
from pages.widgets.chart import draw_chart
from pages.widgets.learn.controls import choice, select, slider
from pages.widgets.learn.layout import panes
from pages.widgets.learn.lesson import Step
from pages.widgets.learn.question import ask, draw_summary
from pages.widgets.live import live_answer, show_error

TITLES = {title: name for name, title in charts.NAMES.items()}


@st.cache_resource(show_spinner=False)
def inputs_of_model() -> Future[tuple[Inputs, ...]]:
    """Start measuring the inputs of the bundled model, once for all sessions of this server.

    The first step already calls this, because the measurement takes seconds.
    """
    pool = ThreadPoolExecutor(1, "lesson")
    future = pool.submit(lesson.inputs_of_model)
    pool.shutdown(wait=False)  # the thread ends after this one task
    return future


def _draw_strength() -> None:
    inputs_of_model()  # starts measuring for the last step while the user reads this one
    left, right = panes()
    with left:
        st.markdown(
            f"The eight inputs have about the same strength. The weights of **{charts.OUTLIER}** happen to "
            "be small. "
            f"Now raise the strength of {charts.OUTLIER}: in trained language models, "
            "a few features are many times as strong as the rest."
        )
        strength = _draw_strength_slider()
        answered = ask(
            "outlier.mask",
            f"Half of the weights are removed. As {charts.OUTLIER} gets stronger, whose mask changes?",
            ["Magnitude's.", "Wanda's.", "Both.", "Neither's."],
            1,
            "Magnitude never looks at the inputs. Wanda's score is |w| · a, so the scores of all weights of "
            "the "
            "strong input rise together, until none of these weights is removed.",
        )
        score = TITLES[choice("Score", list(TITLES), "outlier.score", default="Wanda")] if answered else None
    with right:
        draw_chart(charts.outlier_matrix(lesson.pruned(strength, score or "wanda"), score), "outlier.matrix")


def _draw_error() -> None:
    inputs_of_model()
    left, right = panes()
    curves = lesson.curves()
    # errors at the first and the last strength
    weakest, strongest = ({score: errors[at] for score, errors in curves.items()} for at in (0, -1))
    with left:
        st.markdown(
            f"While {charts.OUTLIER} is as strong as the other inputs, magnitude and Wanda have about the "
            "same error: "
            f"{percent(weakest['magnitude'])} and {percent(weakest['wanda'])} of the output. "
            "Both remove half of the weights."
        )
        strength = _draw_strength_slider()
        answered = ask(
            "outlier.error",
            f"{charts.OUTLIER} becomes {STRENGTHS[-1]} times as strong. How large is magnitude's error then?",
            ["About as before: the mask is the same.", "About half of the output.", "Most of the output."],
            2,
            f"It is {percent(strongest['magnitude'])}; Wanda's is {percent(strongest['wanda'])}. "
            f"Nearly all of the output now comes from {charts.OUTLIER}, and magnitude has removed "
            f"{lesson.pruned(STRENGTHS[-1], 'magnitude').removed_from_outlier} of its 8 weights because "
            "they are small.",
        )
        if answered:
            grid = st.grid(2, min_column_width=140, border=True)
            for score, name in charts.NAMES.items():
                grid.metric(f"{name}, output error", percent(lesson.pruned(strength, score).error))
    with right:
        if answered:
            draw_chart(charts.error_curves(curves, strength), "outlier.curves")
        else:
            draw_chart(
                charts.outlier_matrix(lesson.pruned(strength, "magnitude"), "magnitude"), "outlier.before"
            )


def _draw_strength_slider() -> float:
    return slider(
        f"Strength of {charts.OUTLIER}, as a multiple of the original",
        STRENGTHS[0],
        STRENGTHS[-1],
        STRENGTHS[0],
        1,
        "outlier.strength",
    )


def _draw_model() -> None:
    live_answer(
        "outlier", _measured_inputs, _draw_inputs, waiting=_draw_placeholder, failed=_draw_error_and_retry
    )


def _measured_inputs() -> Answer[tuple[Inputs, ...]]:
    """Return the inputs of the bundled model, as far as they are measured."""
    future = inputs_of_model()
    if not future.done():
        return Answer(pending=True)
    if isinstance(error := future.exception(), PrunescopeError):  # does not wait: the future is done
        return Answer(message=str(error))
    return Answer(future.result())  # raises an error that is not ours, for Streamlit to show


def _draw_placeholder() -> None:
    st.caption("The bundled model is reading 8 windows of text. This takes a few seconds, once.")
    st.skeleton(height=420)


def _draw_error_and_retry(message: str) -> None:
    show_error(message)
    # the cache would keep the failed future
    st.button("Try again", key="outlier.again", icon=":material/refresh:", on_click=inputs_of_model.clear)


def _draw_inputs(inputs: Sequence[Inputs]) -> None:
    left, right = panes()
    strongest, linears = lesson.shared_strongest(inputs)
    with left:
        st.markdown(
            "What about a real model? These are the inputs of the linears in the bundled model, "
            "a Llama with 3 million parameters that tells stories."
        )
        answered = ask(
            "outlier.model",
            "Does such a small model have an outlier feature?",
            [
                "No: only large models have them.",
                "Yes, a different one in each layer.",
                "Yes, and in many layers it is the same one.",
            ],
            2,
            f"Feature {strongest} is the strongest input of {linears} of the {len(inputs)} linears. "
            "It is part of the residual stream that runs through all blocks, so every linear that reads the "
            "stream gets it. "
            "In models with billions of parameters such features are even stronger "
            "([Dettmers et al., 2022](https://arxiv.org/abs/2208.07339)).",
        )
        if answered:
            block = int(slider("Block", 0, max(each.block for each in inputs), 1, 1, "outlier.block"))
            linears_of_block = {each.linear: each for each in inputs if each.block == block}
            chosen = linears_of_block[select("Linear", list(linears_of_block), "outlier.linear")]
            grid = st.grid(2, min_column_width=140, border=True)
            for score, name in charts.NAMES.items():
                grid.metric(
                    f"{name}, output error",
                    percent(chosen.errors[score]),
                    help="Only this linear is pruned, to 50 %, in the dense model.",
                )
    with right:
        if answered:
            draw_chart(charts.input_strengths(chosen), "outlier.inputs")
            draw_chart(charts.gains(inputs, chosen), "outlier.gains")
    if answered:
        draw_summary(
            [
                "A few input features are much stronger than the rest, often the same ones throughout the "
                "model.",
                "A small weight on a strong feature matters. Magnitude cannot know this; "
                "one pass over a little text reveals it.",
                "If no feature stands out, magnitude and Wanda perform about equally well.",
            ],
            "Wanda",
            {"pruner": "magnitude", "sparsity": "0.5"},
            "Prune the bundled model by magnitude",
        )


STEPS = (
    Step("strength", "Strengthen one input", _draw_strength),
    Step("error", "The cost", _draw_error),
    Step("model", "A real model", _draw_model),
)

"""What all runs of a sweep have in common: the model, the texts, the windows. It stands in the address with the rest of the sweep."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.corpora.named import NAMED
from engine.errors import RecipeError
from engine.jobs.store import RunSummary
from engine.models.names import DEMO
from engine.recipe import Recipe

TEXTS = ("stories", *(name for name in NAMED if name != "stories"))
MODEL_HELP = "A model that a run was made of, or type another: an id of the hub, or a directory on this machine."
TEXT_HELP = "A named text, or the path of a `.txt`, `.jsonl` or `.npy` file."


def choose_base(runs: Sequence[RunSummary]) -> Recipe | None:
    """The recipe that a sweep varies; None where it is refused (sentences say why)."""
    usual = Recipe.build()
    models = dict.fromkeys([DEMO, *(run.recipe.model for run in runs if run.recipe)])
    with st.expander("Model, texts and windows", icon=":material/tune:", key="sweep.base", on_change="rerun"):
        first, second, third = st.columns(3)
        model = first.selectbox("Model", list(models), key="model", bind="query-params", accept_new_options=True, help=MODEL_HELP)
        evaluation = second.selectbox("Measured on", TEXTS, key="evaluation", bind="query-params", accept_new_options=True, help=TEXT_HELP)
        calibration = third.selectbox("Calibrated on", TEXTS, key="calibration", bind="query-params", accept_new_options=True, help=TEXT_HELP)
        samples = first.number_input("Calibration windows", 1, 100_000, usual.samples, key="samples", bind="query-params")
        length = second.number_input("Tokens a window", 2, 1_000_000, None, key="length", bind="query-params", placeholder="as the model takes")
    each = f" of {length} tokens" if length else ""
    st.caption(f"All on **{model}**, measured on {evaluation}, calibrated on {samples} windows{each} of {calibration}.")
    try:
        return Recipe.build(model=model or DEMO, evaluation=evaluation, calibration=calibration, samples=samples, length=length)
    except RecipeError as error:
        for fault in error.faults:
            st.error(f"{fault.message[0].upper()}{fault.message[1:]}", icon=":material/error:")
        return None

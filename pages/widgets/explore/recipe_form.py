"""The recipe form, drawn from the registries: model, pruner, sparsity, pattern and allocation on top, the
Prune button, and everything else in expanders.

Errors appear below their field. The widgets, and where they keep their values, are in `controls`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import streamlit as st

from engine.models.shape import ModelSummary
from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import PATTERNS
from engine.pruning.recommendations import RECOMMENDATIONS, Recommendation, all_pruners, reasons, resolve
from pages.widgets.explore import session
from pages.widgets.explore.controls import (
    explained,
    from_widgets,
    key,
    options_of,
    select,
    set_fields,
    show_faults,
    start_manual,
)
from pages.widgets.explore.fields import (
    Checked,
    Fields,
    implied_sparsity,
    is_unstructured,
)
from pages.widgets.explore.method_fields import HELP, count_errors, draw_axis, draw_method
from pages.widgets.explore.model_picker import draw_model_picker
from pages.widgets.explore.shown_run import Action, Shown, act, action
from pages.widgets.explore.sparsity_marks import draw_marks
from pages.widgets.explore.text_picker import draw_text
from pages.widgets.explore.widget_values import restore_unsent
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine
    from engine.store.series import Series

CUSTOM = "custom"
OFFERED = ("unstructured", "2:4", "4:8", "1:4")
MAIN = ("model", "pruner", "sparsity", "pattern", "allocation")
SECTIONS = {
    "Method": ("score", "update", "refinement", "bias", "group", "permutation"),
    "Calibration and evaluation": (
        "calibration",
        "evaluation",
        "samples",
        "length",
        "seed",
        "order",
        "tasks",
        "task_limit",
    ),
    "Hardware": ("device", "dtype", "residence", "revision"),
}
"""The fields in each expander, by its title."""


def draw_complaints() -> None:
    """Draw what the address sets wrongly, or why a run could not be started."""
    for complaint in session.complaints():
        st.warning(literal(complaint), icon=":material/info:")


def draw_recipe(
    engine: BackgroundEngine, checked: Checked, model: ModelSummary | None, series: Series | None
) -> None:
    """Draw the five main fields.

    Args:
        model: None while it is not known.
        series: the finished runs that the slider can show.
    """
    draw_model_picker(checked, engine)
    offered = all_pruners()
    pruner = select(
        "Pruner",
        "pruner",
        [*offered, CUSTOM],
        checked,
        format_func=lambda name: offered[name].title if name in offered else "Custom",
        help=f"{HELP['pruner']}  \n{explained(offered)}",
        on_change=_on_pruner,
        persist_state="session",  # the methods alone do not say that a recommendation chose them
    )
    st.caption(
        offered[pruner].explanation.replace(" %", "\u00a0%")
        if pruner in offered
        else "Your own choice of score, weight update and mask refinement, under Method."
    )
    if pruner in RECOMMENDATIONS:
        _draw_reasons(RECOMMENDATIONS[pruner], checked.fields)
    _draw_sparsity(checked, series)
    select(
        "Pattern",
        "pattern",
        list(OFFERED),
        checked,
        accept_new_options=True,
        help=f"{HELP['pattern']}  \n{explained(PATTERNS)}",
    )
    sizes = model.sizes if model is not None else ()
    draw_axis("allocation", checked, on_change=lambda: _on_allocation(sizes))


def _draw_reasons(recommendation: Recommendation, fields: Fields) -> None:
    """Draw what a recommendation stands for at the form's sparsity, and what that was decided by."""
    chosen, *evidence = reasons(recommendation, fields)
    st.caption(f"**{chosen}**")
    with st.popover("Evidence", type="tertiary", icon=":material/fact_check:"):
        for sentence in (*evidence, recommendation.helps):
            st.markdown(sentence)


def draw_prune(
    engine: BackgroundEngine,
    checked: Checked,
    model: Answer[ModelSummary],
    shown: Shown,
    *,
    key: str = "prune",
    width: Literal["stretch", "content"] = "stretch",
) -> None:
    """Draw the button that starts the run. A public app starts no run whose cost is unknown."""
    label, icon, help = ACTIONS[action(engine, shown)]
    st.button(
        label,
        key=key,
        type="primary",
        icon=icon,
        width=width,
        help=help,
        disabled=checked.recipe is None or (engine.public is not None and model.pending),
        on_click=act,
        args=(engine, shown),
    )


def draw_details(engine: BackgroundEngine, checked: Checked) -> None:
    """Draw all other fields in expanders, which are open if something in them is wrong."""
    drawn = {*MAIN, *(name for names in SECTIONS.values() for name in names)}
    # A fault without a widget of its own would be invisible, but still disable Prune.
    for name in checked.faults:
        if _owner(name, checked.fields) not in drawn:
            show_faults(name, checked)
    icons = (":material/tune:", ":material/article:", ":material/memory:")
    draws: tuple[Callable[[Checked], None], ...] = (draw_method, partial(draw_text, engine), _draw_hardware)
    for (title, names), icon, draw in zip(SECTIONS.items(), icons, draws, strict=True):
        wrong = [name for name in checked.faults if _owner(name, checked.fields) in names]
        label = f"{title} · {count_errors(len(wrong))}" if wrong else title
        with st.expander(label, expanded=bool(wrong), icon=icon):
            draw(checked)


def _draw_sparsity(checked: Checked, series: Series | None) -> None:
    """Draw a slider; with an N:M pattern it is disabled and shows the sparsity of that pattern."""
    pattern = checked.fields["pattern"]
    if is_unstructured(pattern):
        st.slider("Sparsity", 0.0, 99.0, step=1.0, format="%g %%", key=key("sparsity"), help=HELP["sparsity"])
        draw_marks(series)
    else:
        shown = 100 * (implied_sparsity(pattern) or 0.0)
        fixed = f"Fixed by the pattern {pattern}."
        # without a key: the user's own sparsity is kept for later
        st.slider("Sparsity", 0.0, 99.0, shown, step=1.0, format="%g %%", disabled=True, help=fixed)
    show_faults("sparsity", checked)


def _draw_hardware(checked: Checked) -> None:
    select("Device", "device", options_of("device"), checked, help="auto: CUDA, then MPS, then the CPU.")
    select(
        "Dtype",
        "dtype",
        options_of("dtype"),
        checked,
        help="auto: float32 on the CPU, the dtype of the model's file on a GPU.",
    )
    select(
        "Model in memory",
        "residence",
        options_of("residence"),
        checked,
        format_func=RESIDENCES.__getitem__,
        help=RESIDENCE_HELP,
    )
    if checked.fields["model"] != "demo":
        st.text_input(
            "Revision",
            key=key("revision"),
            help="A branch, tag or commit of a model on the Hugging Face hub.",
            placeholder="newest",
        )
        show_faults("revision", checked)


def _owner(name: str, fields: Fields) -> str:
    """Return the field below whose widget a field is drawn: the axis of the method for a parameter."""
    method = name.partition(".")[0]
    return next((axis for axis in AXES if "." in name and fields[axis] == method), name)


def _on_pruner() -> None:
    """Set the fields to the preset's choices, and the pattern that it was made for unless one is chosen."""
    restore_unsent()
    pruner = st.session_state[key("pruner")]
    if pruner == CUSTOM:
        return
    preset = resolve(pruner, from_widgets(st.session_state["fields"]))
    set_fields({"bias": "keep"} | preset.choices)
    if preset.pattern and is_unstructured(st.session_state[key("pattern")]):
        set_fields({"pattern": preset.pattern})


def _on_allocation(sizes: Sequence[int]) -> None:
    restore_unsent()
    start_manual(from_widgets(st.session_state["fields"]), sizes)


ACTIONS: dict[Action, tuple[str, str, str | None]] = {
    "prune": ("Prune", ":material/play_arrow:", None),
    "live": (
        "Run it live",
        ":material/play_arrow:",
        "The result of this recipe is here already. This computes it again on this machine, while you watch; "
        "a result that was computed here is replaced by the new one, which is the same.",
    ),
    "replay": (
        "Replay",
        ":material/replay:",
        "This recipe was computed here already, and is not computed again: this plays its events back.",
    ),
}
"""Label, icon and help of the button by what it does."""
RESIDENCES = {
    "auto": "automatic",
    "resident": "whole model",
    "streamed": "block by block from disk",
}
RESIDENCE_HELP = (
    "The whole model in memory is faster. Block by block needs memory for one block, the embeddings and the "
    "hidden states of the text. The result is the same."
)

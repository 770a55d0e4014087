"""The recipe as widgets, drawn from the registry: a sentence of five (model, pruner, sparsity, pattern,
top-up), and all else folded away.

What is wrong with a field is said beneath that field; a method's parameters are behind a button beneath the
method, and what is wrong with them is said beneath that button too. The controls and where they keep their
values are in `controls`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine.pruning.allocations.manual import flat
from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import GROUPS, PATTERNS, PERMUTATIONS
from engine.pruning.presets import PRESETS
from engine.registry import Method, Parameter
from engine.validation import DEFAULT_METHODS, default_group
from pages.widgets.explore.controls import (
    OWN,
    choice,
    explained,
    from_widgets,
    key,
    options_of,
    put,
    say_faults,
    title_in,
)
from pages.widgets.explore.fields import PRUNER, Checked, Fields, implied_sparsity, is_unstructured, pruner_of
from pages.widgets.explore.model_picker import draw_model_picker
from pages.widgets.explore.text_picker import draw_text

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

CUSTOM = "custom"
OFFERED = ("unstructured", "2:4", "4:8", "1:4")
RATIOS = "manual.ratios"
SENTENCE = ("model", "pruner", "sparsity", "pattern", "allocation")
SECTIONS = {
    "Method": ("score", "update", "refinement", "group", "permutation"),
    "Text": ("calibration", "evaluation", "samples", "length", "seed", "tasks", "task_limit"),
    "Machine": ("device", "dtype", "residence", "revision"),
}
"""What is folded away, by the title that it is folded under."""
LABELS = {"score": "Score", "update": "Weights that stay", "refinement": "Mask refinement"}


def draw_sentence(engine: BackgroundEngine, checked: Checked, sizes: Sequence[int] = ()) -> None:
    """Prune this, with that, until so much is zero, in this pattern, shared out in that way. `sizes`: weights
    of each block, where known.
    """
    draw_model_picker(checked, engine)
    pruner = choice(
        "with",
        "pruner",
        [*PRESETS, CUSTOM],
        checked,
        format_func=_pruner_title,
        help=explained(PRESETS),
        on_change=_pruner_chosen,
    )
    st.caption(
        PRESETS[pruner].explanation.replace(" %", "\u00a0%")
        if pruner in PRESETS
        else "Your own choice of score, update and refinement, under Method."
    )
    _sparsity(checked)
    choice(
        "in the pattern",
        "pattern",
        list(OFFERED),
        checked,
        accept_new_options=True,
        help=explained(PATTERNS) + PATTERN_HELP,
    )
    _axis("shared out", "allocation", checked, on_change=lambda: _allocation_chosen(sizes))


def draw_more(engine: BackgroundEngine, checked: Checked) -> None:
    """Everything else, folded away unless something in it is wrong."""
    drawn = {*SENTENCE, *(name for names in SECTIONS.values() for name in names)}
    for name in checked.faults:
        if _place(name, checked.fields) not in drawn:
            say_faults(name, checked)
    icons = (":material/tune:", ":material/article:", ":material/memory:")
    draws = (_draw_method, lambda checked: draw_text(engine, checked), _draw_machine)
    for (title, names), icon, draw in zip(SECTIONS.items(), icons, draws, strict=True):
        wrong = [name for name in checked.faults if _place(name, checked.fields) in names]
        with st.expander(
            f"{title} · {len(wrong)} to mend" if wrong else title, expanded=bool(wrong), icon=icon
        ):
            draw(checked)


def _draw_method(checked: Checked) -> None:
    for axis in PRUNER:
        _axis(LABELS[axis], axis, checked, on_change=_axis_chosen)
    if is_unstructured(checked.fields["pattern"]):
        titles = {
            OWN: f"{GROUPS[default_group(checked.fields)].title} (by itself)",
            **{name: group.title for name, group in GROUPS.items()},
        }
        choice(
            "Weights compete within",
            "group",
            list(titles),
            checked,
            format_func=titles.__getitem__,
            help=explained(GROUPS),
        )
    else:
        choice(
            "Columns dealt over the groups",
            "permutation",
            list(PERMUTATIONS),
            checked,
            format_func=title_in(PERMUTATIONS),
            help=explained(PERMUTATIONS),
        )


def _draw_machine(checked: Checked) -> None:
    choice("Device", "device", options_of("device"), checked, help="auto: CUDA, then MPS, then the CPU.")
    choice(
        "Number format",
        "dtype",
        options_of("dtype"),
        checked,
        help="auto: float32 on a CPU, what the model's file holds on a GPU.",
    )
    choice(
        "The model is held",
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
            help="A branch, tag or commit, for a model from the hub.",
            placeholder="newest",
        )
        say_faults("revision", checked)


def _axis(label: str, axis: str, checked: Checked, on_change: Callable[[], None]) -> None:
    """The choice on an axis, its own default first, and the chosen method's parameters behind a button."""
    registry = AXES[axis]
    options = sorted(registry, key=lambda name: name != DEFAULT_METHODS[axis])
    chosen = choice(
        label,
        axis,
        options,
        checked,
        format_func=title_in(registry),
        help=explained(registry),
        on_change=on_change,
    )
    method: Method = registry[chosen]
    if method.parameters:
        _settings(method, checked)


def _settings(method: Method, checked: Checked) -> None:
    """The parameters in a popover, whose label says what is unusual or wrong in it."""
    names = {f"{method.name}.{parameter.name}": parameter for parameter in method.parameters}
    wrong = [name for name in names if name in checked.faults]
    changed = [name for name, parameter in names.items() if checked.fields[name] != parameter.default]
    notes = [f"{len(some)} {words}" for some, words in ((wrong, "to mend"), (changed, "changed")) if some]
    with st.popover(
        " · ".join([f"Settings of {method.title}", *notes[:1]]), type="tertiary", icon=":material/settings:"
    ):
        for name, parameter in names.items():
            _parameter(name, parameter, checked)
    for name in wrong:
        say_faults(name, checked)


def _parameter(name: str, parameter: Parameter, checked: Checked) -> None:
    label = parameter.explanation[:1].upper() + parameter.explanation[1:]
    if parameter.kind == "choice":
        st.segmented_control(label, parameter.choices, key=key(name), required=True)
    elif parameter.kind == "ratios":
        st.text_input(label, key=key(name), placeholder="0.4, 0.5, 0.6 …")
    else:
        whole = parameter.kind == "int"
        low, high = (
            None if bound is None else (int(bound) if whole else float(bound))
            for bound in (parameter.minimum, parameter.maximum)
        )
        st.number_input(
            label,
            low,
            high,
            key=key(name),
            step=1 if whole else None,
            help=f"{parameter.range[:1].upper()}{parameter.range[1:]}.",
        )


def _sparsity(checked: Checked) -> None:
    """A slider, or what the pattern says."""
    pattern = checked.fields["pattern"]
    if is_unstructured(pattern):
        st.slider(
            "until so much is zero",
            0.0,
            99.0,
            step=1.0,
            format="%g %%",
            key=key("sparsity"),
            help=SPARSITY_HELP,
        )
    else:
        implied = implied_sparsity(pattern)
        shown = 0.0 if implied is None else 100 * implied
        st.slider(
            "until so much is zero",
            0.0,
            99.0,
            shown,
            step=1.0,
            format="%g %%",
            disabled=True,
            help=f"The pattern {pattern} says so.",
        )
    say_faults("sparsity", checked)


def _place(name: str, fields: Fields) -> str:
    """The field that a field's widget stands under: a parameter stands under its method's axis."""
    method = name.partition(".")[0]
    return next((axis for axis in AXES if "." in name and fields[axis] == method), name)


def _pruner_chosen() -> None:
    """A preset sets the axes, and the pattern that it was made for where there is no N:M pattern yet."""
    preset = PRESETS.get(st.session_state[key("pruner")])
    for axis, method in preset.choices.items() if preset else ():
        st.session_state[key(axis)] = method
    if preset and preset.pattern and is_unstructured(st.session_state[key("pattern")]):
        st.session_state[key("pattern")] = preset.pattern


def _axis_chosen() -> None:
    """The axes say which preset it is, if any."""
    st.session_state[key("pruner")] = pruner_of({axis: st.session_state[key(axis)] for axis in PRUNER})


def begin_manual(fields: Fields, sizes: Sequence[int]) -> None:
    """Ratios of one's own begin at the target, so that there is something to edit; `fields` is changed with
    the widgets.
    """
    if fields["allocation"] == "manual" and not fields[RATIOS]:
        fields[RATIOS] = flat(sizes, fields["sparsity"])
        put({RATIOS: fields[RATIOS]})


def _allocation_chosen(sizes: Sequence[int]) -> None:
    begin_manual(from_widgets(st.session_state["fields"]), sizes)


def _pruner_title(name: str) -> str:
    return PRESETS[name].title if name in PRESETS else "My own mix"


PATTERN_HELP = "  \nType any n:m."
SPARSITY_HELP = "Share of the prunable weights, those of the linears inside the blocks, that is set to zero."
RESIDENCES = {
    "auto": "as fits best",
    "resident": "whole in memory",
    "streamed": "block by block from the disk",
}
RESIDENCE_HELP = "Whole in memory is faster. Block by block needs the memory of one block, the embeddings and the text's hidden states. The result is the same."

"""The fields of the expander Method, and what the choices on all axes share: options with their help, and a
popover with the parameters of the chosen method.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import BIASES, GROUPS, PERMUTATIONS
from engine.pruning.presets import PRUNER_FIELDS
from engine.recipe.validation import DEFAULT_METHODS, default_group
from engine.registry import Method, Parameter
from pages.widgets.explore.controls import (
    SCORE_DEFAULT,
    explained,
    key,
    select,
    set_fields,
    show_faults,
    title_in,
)
from pages.widgets.explore.fields import PRUNER_AXES, Checked, is_unstructured, pruner_of
from pages.widgets.explore.widget_values import restore_unsent

AXIS_LABELS = {
    "allocation": "Allocation",
    "score": "Score",
    "update": "Weight update",
    "refinement": "Mask refinement",
}
HELP = {
    "pruner": "A named combination of score, weight update and mask refinement.",
    "sparsity": "Share of the prunable weights that is set to zero. Prunable weights are those of the linear "
    "layers inside the blocks.",
    "pattern": "Which positions of the zeros are allowed. Type any n:m for another pattern.",
    "allocation": "How the sparsity is distributed over blocks and rows.",
    "score": "How important each weight is; those with the lowest scores are removed.",
    "update": "How the remaining weights are adjusted to make up for the removed ones.",
    "refinement": "How the mask is improved afterwards by swapping kept and removed weights.",
    "bias": "Whether biases replace what the removed weights contributed on average.",
    "group": "The weights that a weight's score is compared with.",
    "permutation": "How input channels are reordered before they are divided into groups.",
}
"""What each choice means, above the explanations of its options."""


def draw_method(checked: Checked) -> None:
    """Draw score, update, refinement and biases, and the comparison group or the channel permutation."""
    for axis in PRUNER_AXES:
        draw_axis(axis, checked, on_change=_on_axis)
    select(
        "Biases",
        "bias",
        list(BIASES),
        checked,
        format_func=title_in(BIASES),
        help=f"{HELP['bias']}  \n{explained(BIASES)}",
        on_change=_on_axis,
    )
    if is_unstructured(checked.fields["pattern"]):
        titles = {
            SCORE_DEFAULT: f"{GROUPS[default_group(checked.fields)].title} (default)",
            **{name: group.title for name, group in GROUPS.items()},
        }
        select(
            "Comparison group",
            "group",
            list(titles),
            checked,
            format_func=titles.__getitem__,
            help=f"{HELP['group']}  \n{explained(GROUPS)}",
        )
    else:
        select(
            "Channel permutation",
            "permutation",
            list(PERMUTATIONS),
            checked,
            format_func=title_in(PERMUTATIONS),
            help=f"{HELP['permutation']}  \n{explained(PERMUTATIONS)}",
        )


def draw_axis(axis: str, checked: Checked, on_change: Callable[[], None]) -> None:
    """Draw the choice on an axis, its default first, and a popover with the chosen method's parameters."""
    registry = AXES[axis]
    chosen = select(
        AXIS_LABELS[axis],
        axis,
        sorted(registry, key=lambda name: name != DEFAULT_METHODS[axis]),  # False sorts first: the default
        checked,
        format_func=title_in(registry),
        help=f"{HELP[axis]}  \n{explained(registry)}",
        on_change=on_change,
    )
    method = registry.named(chosen)
    if method.parameters:
        _draw_parameters(method, checked)


def _draw_parameters(method: Method, checked: Checked) -> None:
    """Draw the parameters in a popover, whose label counts errors or changed values."""
    names = {f"{method.name}.{parameter.name}": parameter for parameter in method.parameters}
    wrong = [name for name in names if name in checked.faults]
    changed = [name for name, parameter in names.items() if checked.fields[name] != parameter.default]
    label = f"{method.title} settings"
    if wrong:
        label += f" · {count_errors(len(wrong))}"
    elif changed:
        label += f" · {len(changed)} changed"
    with st.popover(label, type="tertiary", icon=":material/settings:"):
        for name, parameter in names.items():
            if parameter.kind != "text":  # a text has an editor in the main area
                _draw_parameter(name, parameter, checked)
    # Outside the popover, which hides its contents while it is closed.
    for name in wrong:
        show_faults(name, checked)


def _draw_parameter(name: str, parameter: Parameter, checked: Checked) -> None:
    label = parameter.explanation[:1].upper() + parameter.explanation[1:]
    if parameter.kind == "choice":
        st.segmented_control(label, parameter.choices, key=key(name), required=True)
    elif parameter.kind == "ratios":
        st.text_input(label, key=key(name), placeholder="0.4, 0.5, 0.6 …")
    else:
        # Streamlit wants bounds and step of the value's own type.
        whole = parameter.kind == "int"
        low, high = (
            None if bound is None else (int(bound) if whole else float(bound))
            for bound in (parameter.minimum, parameter.maximum)
        )
        help = f"{parameter.range[:1].upper()}{parameter.range[1:]}."
        st.number_input(label, low, high, key=key(name), step=1 if whole else None, help=help)


def count_errors(count: int) -> str:
    """Return `1 error` or `3 errors`."""
    return f"{count} error{'' if count == 1 else 's'}"


def _on_axis() -> None:
    """Name the preset that the axes now make up, if any."""
    restore_unsent()
    set_fields({"pruner": pruner_of({name: st.session_state[key(name)] for name in PRUNER_FIELDS})})

"""The recipe as widgets, drawn from the registry: a sentence of five (model, pruner, sparsity, pattern, top-up), and all else folded away.

What is wrong with a field is said beneath that field; a method's parameters are behind a button beneath the method, and what is wrong with them is
said beneath that button too. Widget values live in the session under `form.<field>`; a widget that is not on the page loses its value there, so the
fields themselves are the memory and widgets are seeded from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.pruning.allocations.manual import flat
from engine.pruning.layouts import GROUPS, PATTERNS, PERMUTATIONS
from engine.pruning.methods import AXES
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Method, Parameter
from engine.validation import DEFAULT_METHODS, default_group
from pages.widgets.fields import PRUNER, Checked, Fields, implied_sparsity, is_unstructured, parameters, pruner_of

CUSTOM = "custom"
OWN, NOTHING = "auto", "none"
"""What stands in a selectbox for a field that is None: the score's own group, no evaluation."""
STANDS_FOR_NONE = {"group": OWN, "evaluation": NOTHING}
OFFERED = ("unstructured", "2:4", "4:8", "1:4")
RATIOS = "manual.ratios"
SENTENCE = ("model", "pruner", "sparsity", "pattern", "allocation")
SECTIONS = {
    "Method": ("score", "update", "refinement", "group", "permutation"),
    "Text": ("calibration", "evaluation", "samples", "length", "seed"),
    "Machine": ("device", "dtype", "revision"),
}
"""What is folded away, by the title that it is folded under."""
LABELS = {"score": "Score", "update": "Weights that stay", "refinement": "Mask refinement"}


def to_widgets(fields: Fields) -> None:
    """Make all widgets show these fields."""
    put(fields)
    st.session_state[_key("pruner")] = pruner_of(fields)


def from_widgets(fields: Fields) -> Fields:
    """The fields as the widgets have them; a field whose widget is not there keeps its value, and its widget finds it again."""
    current = {name: _held(name, st.session_state[_key(name)]) if _key(name) in st.session_state else value for name, value in fields.items()}
    for name, value in current.items():
        st.session_state.setdefault(_key(name), _shown(name, value))
    st.session_state.setdefault(_key("pruner"), pruner_of(current))
    return current


def put(fields: Fields) -> None:
    """Have the widgets of some fields show other values when the page runs again; for callbacks."""
    for name, value in fields.items():
        st.session_state[_key(name)] = _shown(name, value)


def draw_sentence(checked: Checked, sizes: Sequence[int] = ()) -> None:
    """Prune this, with that, until so much is zero, in this pattern, shared out in that way. `sizes`: weights of each block, where known."""
    _choice(
        "Prune", "model", ["demo"], checked, format_func=_model_title, accept_new_options=True, help=MODEL_HELP, placeholder="A directory or hub id"
    )
    pruner = _choice("with", "pruner", [*PRESETS, CUSTOM], checked, format_func=_pruner_title, help=_explained(PRESETS), on_change=_pruner_chosen)
    st.caption(
        PRESETS[pruner].explanation.replace(" %", "\u00a0%")
        if pruner in PRESETS
        else "Your own choice of score, update and refinement, under Method."
    )
    _sparsity(checked)
    _choice("in the pattern", "pattern", list(OFFERED), checked, accept_new_options=True, help=_explained(PATTERNS) + PATTERN_HELP)
    _axis("shared out", "allocation", checked, on_change=lambda: _allocation_chosen(sizes))


def draw_more(checked: Checked) -> None:
    """Everything else, folded away unless something in it is wrong."""
    drawn = {*SENTENCE, *(name for names in SECTIONS.values() for name in names)}
    for name in checked.faults:
        if _place(name, checked.fields) not in drawn:
            _say_faults(name, checked)
    icons = (":material/tune:", ":material/article:", ":material/memory:")
    for (title, names), icon, draw in zip(SECTIONS.items(), icons, (_draw_method, _draw_text, _draw_machine), strict=True):
        wrong = [name for name in checked.faults if _place(name, checked.fields) in names]
        with st.expander(f"{title} · {len(wrong)} to mend" if wrong else title, expanded=bool(wrong), icon=icon):
            draw(checked)


def _draw_method(checked: Checked) -> None:
    for axis in PRUNER:
        _axis(LABELS[axis], axis, checked, on_change=_axis_chosen)
    if is_unstructured(checked.fields["pattern"]):
        titles = {OWN: f"{GROUPS[default_group(checked.fields)].title} (by itself)", **{name: group.title for name, group in GROUPS.items()}}
        _choice("Weights compete within", "group", list(titles), checked, format_func=titles.__getitem__, help=_explained(GROUPS))
    else:
        _choice(
            "Columns dealt over the groups",
            "permutation",
            list(PERMUTATIONS),
            checked,
            format_func=_title_in(PERMUTATIONS),
            help=_explained(PERMUTATIONS),
        )


def _draw_text(checked: Checked) -> None:
    corpus = {"stories": "Bundled stories", NOTHING: "Nothing (no perplexity)"}
    naming = {"format_func": lambda name: corpus.get(name, name), "accept_new_options": True, "help": CORPUS_HELP}
    _choice("Calibrate on", "calibration", ["stories"], checked, **naming)
    _choice("Measure on", "evaluation", ["stories", NOTHING], checked, **naming)
    _number("Calibration windows", "samples", checked)
    _number("Tokens a window", "length", checked)
    _number("Seed", "seed", checked, help="Chooses the calibration windows. The same seed gives the same run.")


def _draw_machine(checked: Checked) -> None:
    _choice("Device", "device", _options("device"), checked, help="auto: CUDA, then MPS, then the CPU.")
    _choice("Number format", "dtype", _options("dtype"), checked, help="auto: float32 on a CPU, what the model's file holds on a GPU.")
    if checked.fields["model"] != "demo":
        st.text_input("Revision", key=_key("revision"), help="A branch, tag or commit, for a model from the hub.", placeholder="newest")
        _say_faults("revision", checked)


def _axis(label: str, axis: str, checked: Checked, on_change: Callable[[], None]) -> None:
    """The choice on an axis, its own default first, and the chosen method's parameters behind a button."""
    registry = AXES[axis]
    options = sorted(registry, key=lambda name: name != DEFAULT_METHODS[axis])
    chosen = _choice(label, axis, options, checked, format_func=_title_in(registry), help=_explained(registry), on_change=on_change)
    method: Method = registry[chosen]
    if method.parameters:
        _settings(method, checked)


def _settings(method: Method, checked: Checked) -> None:
    """The parameters in a popover, whose label says what is unusual or wrong in it."""
    names = {f"{method.name}.{parameter.name}": parameter for parameter in method.parameters}
    wrong = [name for name in names if name in checked.faults]
    changed = [name for name, parameter in names.items() if checked.fields[name] != parameter.default]
    notes = [f"{len(some)} {words}" for some, words in ((wrong, "to mend"), (changed, "changed")) if some]
    with st.popover(" · ".join([f"Settings of {method.title}", *notes[:1]]), type="tertiary", icon=":material/settings:"):
        for name, parameter in names.items():
            _parameter(name, parameter, checked)
    for name in wrong:
        _say_faults(name, checked)


def _parameter(name: str, parameter: Parameter, checked: Checked) -> None:
    label = parameter.explanation[:1].upper() + parameter.explanation[1:]
    if parameter.kind == "choice":
        st.segmented_control(label, parameter.choices, key=_key(name), required=True)
    elif parameter.kind == "ratios":
        st.text_input(label, key=_key(name), placeholder="0.4, 0.5, 0.6 …")
    else:
        whole = parameter.kind == "int"
        low, high = (None if bound is None else (int(bound) if whole else float(bound)) for bound in (parameter.minimum, parameter.maximum))
        st.number_input(label, low, high, key=_key(name), step=1 if whole else None, help=f"{parameter.range[:1].upper()}{parameter.range[1:]}.")


def _sparsity(checked: Checked) -> None:
    """A slider, or what the pattern says."""
    pattern = checked.fields["pattern"]
    if is_unstructured(pattern):
        st.slider("until so much is zero", 0.0, 99.0, step=1.0, format="%g %%", key=_key("sparsity"), help=SPARSITY_HELP)
    else:
        implied = implied_sparsity(pattern)
        shown = 0.0 if implied is None else 100 * implied
        st.slider("until so much is zero", 0.0, 99.0, shown, step=1.0, format="%g %%", disabled=True, help=f"The pattern {pattern} says so.")
    _say_faults("sparsity", checked)


def _choice(label: str, name: str, options: list[Any], checked: Checked, **more: Any) -> Any:
    value = st.session_state[_key(name)]
    if value not in options:
        options = [*options, value]  # one that a person typed
    chosen = st.selectbox(label, options, key=_key(name), **more)
    _say_faults(name, checked)
    return chosen


def _number(label: str, name: str, checked: Checked, help: str | None = None) -> None:
    bounds = {
        key: int(limit) for item in Recipe.model_fields[name].metadata for key in ("ge", "le") if (limit := getattr(item, key, None)) is not None
    }
    st.number_input(label, bounds["ge"], min(bounds["le"], 2**53 - 1), key=_key(name), step=1, help=help)
    _say_faults(name, checked)


def _say_faults(name: str, checked: Checked) -> None:
    for sentence in checked.faults.get(name, []):
        st.error(sentence, icon=":material/error:")


def _place(name: str, fields: Fields) -> str:
    """The field that a field's widget stands under: a parameter stands under its method's axis."""
    method = name.partition(".")[0]
    return next((axis for axis in AXES if "." in name and fields[axis] == method), name)


def _pruner_chosen() -> None:
    """A preset sets the axes, and the pattern that it was made for where there is no N:M pattern yet."""
    preset = PRESETS.get(st.session_state[_key("pruner")])
    for axis, choice in preset.choices.items() if preset else ():
        st.session_state[_key(axis)] = choice
    if preset and preset.pattern and is_unstructured(st.session_state[_key("pattern")]):
        st.session_state[_key("pattern")] = preset.pattern


def _axis_chosen() -> None:
    """The axes say which preset it is, if any."""
    st.session_state[_key("pruner")] = pruner_of({axis: st.session_state[_key(axis)] for axis in PRUNER})


def begin_manual(fields: Fields, sizes: Sequence[int]) -> None:
    """Ratios of one's own begin at the target, so that there is something to edit; `fields` is changed with the widgets."""
    if fields["allocation"] == "manual" and not fields[RATIOS]:
        fields[RATIOS] = flat(sizes, fields["sparsity"])
        put({RATIOS: fields[RATIOS]})


def _allocation_chosen(sizes: Sequence[int]) -> None:
    begin_manual(from_widgets(st.session_state["fields"]), sizes)


def _key(name: str) -> str:
    return f"form.{name}"


def _shown(name: str, value: Any) -> Any:
    """A field's value as its widget shows it."""
    if name == "sparsity":
        return round(100 * value, 6)
    if name == "revision":
        return value or ""
    if name in parameters() and parameters()[name].kind == "ratios":
        return ", ".join(f"{item:g}" for item in value) if isinstance(value, (list, tuple)) else str(value)
    if value is None and name in STANDS_FOR_NONE:
        return STANDS_FOR_NONE[name]
    return str(value) if name == "group" else value


def _held(name: str, value: Any) -> Any:
    """The field's value that a widget shows."""
    if name == "sparsity":
        return round(value / 100, 8)
    if name == "revision":
        return value.strip() or None
    if name in parameters() and parameters()[name].kind == "ratios":
        return parameters()[name].parse(value) if value.strip() else ()
    if STANDS_FOR_NONE.get(name) == value:
        return None
    return value.strip() if isinstance(value, str) else value


def _options(name: str) -> list[str]:
    return list(Recipe.model_fields[name].annotation.__args__)  # type: ignore[union-attr]


def _title_in(registry: Mapping[str, Method]) -> Callable[[str], str]:
    return lambda name: registry[name].title


def _model_title(model: str) -> str:
    return "the demo model (bundled)" if model == "demo" else model


def _pruner_title(name: str) -> str:
    return PRESETS[name].title if name in PRESETS else "My own mix"


def _explained(registry: Mapping[str, Method]) -> str:
    """All that can be chosen, a line each; the rest is on the page of the methods."""
    return "  \n".join(f"**{method.title}**: {method.explanation}" for method in registry.values())


MODEL_HELP = (
    "The bundled model runs at once and offline. Type a directory on this machine or a hub id (for instance `facebook/opt-125m`) for any other."
)
PATTERN_HELP = "  \nType any n:m."
SPARSITY_HELP = "Share of the prunable weights, those of the linears inside the blocks, that is set to zero."
CORPUS_HELP = "Bundled stories, or a `.txt`, `.jsonl` or `.npy` file on this machine: type its path."

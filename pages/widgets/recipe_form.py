"""The recipe as widgets, drawn from the registry: a sentence of four (model, pruner, sparsity, pattern), and all else folded away.

What is wrong with a field is said beneath that field. Widget values live in the session under `form.<field>`; a widget that is not on the
page loses its value there, so the fields themselves are the memory and widgets are seeded from them.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.pruning.methods import AXES, SCORES
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe
from engine.registry import Method, Parameter
from pages.widgets.fields import PRUNER, Checked, Fields, implied_sparsity, is_unstructured, parameters, pruner_of

CUSTOM = "custom"
OWN, NOTHING = "auto", "none"
"""What stands in a selectbox for a field that is None: the score's own group, no evaluation."""
STANDS_FOR_NONE = {"group": OWN, "evaluation": NOTHING}
PATTERNS = ("unstructured", "2:4", "4:8", "1:4")
GROUPS = {"layer": "the whole linear", "row": "each row", "block": "128 columns at a time"}
SENTENCE = ("model", "pruner", "sparsity", "pattern")
AXIS_LABELS = {"score": "Score", "update": "Weights that stay", "refinement": "Mask refinement", "allocation": "Sparsity over the blocks"}


def to_widgets(fields: Fields) -> None:
    """Make all widgets show these fields."""
    for name, value in fields.items():
        st.session_state[_key(name)] = _shown(name, value)
    st.session_state[_key("pruner")] = pruner_of(fields)


def from_widgets(fields: Fields) -> Fields:
    """The fields as the widgets have them; a field whose widget is not there keeps its value, and its widget finds it again."""
    current = {name: _held(name, st.session_state[_key(name)]) if _key(name) in st.session_state else value for name, value in fields.items()}
    for name, value in current.items():
        st.session_state.setdefault(_key(name), _shown(name, value))
    st.session_state.setdefault(_key("pruner"), pruner_of(current))
    return current


def draw_sentence(checked: Checked) -> None:
    """Prune this, with that, until so much is zero, in this pattern."""
    _choice(
        "Prune", "model", ["demo"], checked, format_func=_model_title, accept_new_options=True, help=MODEL_HELP, placeholder="A directory or hub id"
    )
    pruner = _choice("with", "pruner", [*PRESETS, CUSTOM], checked, format_func=_pruner_title, help=_pruner_help(), on_change=_pruner_chosen)
    st.caption(
        PRESETS[pruner].explanation.replace(" %", "\u00a0%")
        if pruner in PRESETS
        else "Your own choice of score, update and refinement, under More choices."
    )
    _sparsity(checked)
    _choice("in the pattern", "pattern", list(PATTERNS), checked, accept_new_options=True, help=PATTERN_HELP)


def draw_more(checked: Checked) -> None:
    """Everything else, folded away unless something in it is wrong."""
    wrong = [name for name in checked.faults if name not in SENTENCE]
    label = f"More choices · {len(wrong)} to mend" if wrong else "More choices"
    with st.expander(label, expanded=bool(wrong), icon=":material/tune:"):
        _draw_method(checked)
        _draw_text(checked)
        _draw_machine(checked)


def _draw_method(checked: Checked) -> None:
    fields = checked.fields
    st.markdown("**Method**")
    for axis in PRUNER:
        _axis(axis, checked, on_change=_axis_chosen)
    own = GROUPS[SCORES[fields["score"]].default_group]
    if is_unstructured(fields["pattern"]):
        names = {OWN: f"{own} (this score's own)", **GROUPS}
        _choice("Weights compete within", "group", list(names), checked, format_func=names.__getitem__, help=GROUP_HELP)
    _axis("allocation", checked)


def _draw_text(checked: Checked) -> None:
    st.markdown("**Text**")
    corpus = {"stories": "Bundled stories", NOTHING: "Nothing (no perplexity)"}
    naming = {"format_func": lambda name: corpus.get(name, name), "accept_new_options": True, "help": CORPUS_HELP}
    _choice("Calibrate on", "calibration", ["stories"], checked, **naming)
    _choice("Measure on", "evaluation", ["stories", NOTHING], checked, **naming)
    _number("Calibration windows", "samples", checked)
    _number("Tokens a window", "length", checked)
    _number("Seed", "seed", checked, help="Chooses the calibration windows. The same seed gives the same run.")


def _draw_machine(checked: Checked) -> None:
    st.markdown("**Machine**")
    _choice("Device", "device", _options("device"), checked, help="auto: CUDA, then MPS, then the CPU.")
    _choice("Number format", "dtype", _options("dtype"), checked, help="auto: float32 on a CPU, what the model's file holds on a GPU.")
    if checked.fields["model"] != "demo":
        st.text_input("Revision", key=_key("revision"), help="A branch, tag or commit, for a model from the hub.", placeholder="newest")
        _say_faults("revision", checked)


def _axis(axis: str, checked: Checked, **more: Any) -> None:
    """The choice on an axis and the chosen method's parameters."""
    registry = AXES[axis]
    method: Method = registry[_choice(
        AXIS_LABELS.get(axis, axis.capitalize()), axis, list(registry), checked,
        format_func=lambda name: registry[name].title, help="  \n".join(map(_explained, registry.values())), **more,
    )]  # fmt: skip
    for parameter in method.parameters:
        _parameter(f"{method.name}.{parameter.name}", parameter, checked)


def _parameter(name: str, parameter: Parameter, checked: Checked) -> None:
    label = parameter.explanation[:1].upper() + parameter.explanation[1:]
    if parameter.kind == "choice":
        st.segmented_control(label, parameter.choices, key=_key(name), required=True)
    elif parameter.kind == "ratios":
        st.text_input(label, key=_key(name), placeholder="0.4, 0.5, 0.6 …")
    else:
        whole = parameter.kind == "int"
        low, high = (None if bound is None else (int(bound) if whole else float(bound)) for bound in (parameter.minimum, parameter.maximum))
        st.number_input(label, low, high, key=_key(name), step=1 if whole else None)
    _say_faults(name, checked)


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


def _pruner_chosen() -> None:
    """A preset sets the axes."""
    preset = PRESETS.get(st.session_state[_key("pruner")])
    for axis, choice in preset.choices.items() if preset else ():
        st.session_state[_key(axis)] = choice


def _axis_chosen() -> None:
    """The axes say which preset it is, if any."""
    st.session_state[_key("pruner")] = pruner_of({axis: st.session_state[_key(axis)] for axis in PRUNER})


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


def _model_title(model: str) -> str:
    return "the demo model (bundled)" if model == "demo" else model


def _pruner_title(name: str) -> str:
    return PRESETS[name].title if name in PRESETS else "My own mix"


def _pruner_help() -> str:
    return "  \n".join(map(_explained, PRESETS.values()))


def _explained(method: Method) -> str:
    """A method in a line or two of Markdown."""
    formula = f" ${method.formula}$" if method.formula else ""
    paper = f" [{method.paper.title}, {method.paper.year}]({method.paper.url})" if method.paper and method.paper.url else ""
    return f"**{method.title}**: {method.explanation}{formula}{paper}"


MODEL_HELP = (
    "The bundled model runs at once and offline. Type a directory on this machine or a hub id (for instance `facebook/opt-125m`) for any other."
)
PATTERN_HELP = (
    "**unstructured**: zeros wherever the score is lowest.  \n**n:m** (type any): of each m weights in a row, n stay. 2:4 is what GPUs can speed up."
)
SPARSITY_HELP = "Share of the prunable weights, those of the linears inside the blocks, that is set to zero."
GROUP_HELP = "The lowest scores go within each group, so every group loses the same share."
CORPUS_HELP = "Bundled stories, or a `.txt`, `.jsonl` or `.npy` file on this machine: type its path."

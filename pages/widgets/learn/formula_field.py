"""The field in which a lesson lets the user write a score. The address holds it: `?formula=abs(W)*a`."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from engine.errors import RecipeError
from engine.lessons.own_score_runs import SPARSITIES, expression, read
from engine.pruning.formulas.reading import parse
from pages.widgets.formula_reference import draw_examples, draw_reference
from pages.widgets.learn.controls import controls_locked
from pages.widgets.live import show_error

FORMULA = "formula"
"""The key of the field, and its name in the address."""
FIRST = "abs(W) * a ** 0.5"
"""The formula to begin with: not yet a published score."""
FACTORS = {
    "a": "the strength of the input",
    "a ** 0.5": "the strength of the input, weakened",
    "b": "the strength of the output: within a row it is a constant",
    "var ** 0.5": "the standard deviation of the input",
    "(1 / u)": "how badly the inputs after this one can replace it",
    "(0.9 + 0.2 * rand)": "a little chance",
}
"""What a click multiplies a formula by, and what it is."""


def draw_formula_field(*, helped: bool) -> str | None:
    """Draw the field and what its formula looks like or what is wrong with it.

    Args:
        helped: whether to draw examples, factors and the list of names, too.

    Returns:
        The formula in canonical form; None if it is not accepted.
    """
    # Not as the widget's default, because buttons set the value, too. An address takes precedence.
    st.session_state.setdefault(FORMULA, FIRST)
    # Without `max_chars`, which cuts the formula of a link and says nothing; a longer one is refused below.
    text = st.text_input(
        "Your formula: weights with the lowest values are removed",
        key=FORMULA,
        live=True,
        icon=":material/function:",
        placeholder=FIRST,
        disabled=controls_locked(),
        bind="query-params",
    )
    accepted = _accepted(text or "")
    if accepted is not None:
        st.latex(rf"s_{{ij}} = {parse(accepted).latex}")
    if helped:
        draw_examples("invent.from", set_formula, disabled=controls_locked())
        _draw_factors(accepted)
        draw_reference()
    return accepted


def set_formula(text: str) -> None:
    """Write a formula into the field; for callbacks."""
    st.session_state[FORMULA] = text


def _accepted(text: str) -> str | None:
    try:
        # As a recipe, so that a lesson refuses what a run refuses, in the same words.
        return expression(read(text, SPARSITIES[0]))
    except RecipeError as error:
        for fault in error.faults:
            show_error(fault.message[:1].upper() + fault.message[1:])
        return None


def _draw_factors(formula: str | None) -> None:
    """Draw a button per factor, which multiplies the formula by it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Multiply by", width="content")
        for factor, meaning in FACTORS.items():
            st.button(
                f"× `{factor}`",
                key=f"invent.times.{factor}",
                disabled=formula is None or controls_locked(),
                help=meaning,
                on_click=_multiply,
                args=(formula, factor),
            )


def _multiply(formula: str, factor: str) -> None:
    product = f"({formula}) * {factor}"
    with suppress(ValueError):  # too long by now, which the field will say
        product = parse(product).text  # without superfluous parentheses
    set_formula(product)

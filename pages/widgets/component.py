"""Components of a page whose script goes on, with timers or listeners, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

NOTHING = "<span hidden></span>"
RESTART = """
const stops = new WeakMap(); // by the element of a component
export default function (given) {
  stops.get(given.parentElement)?.();
  const stop = start(given);
  stops.set(given.parentElement, stop);
  return stop;
}
"""
"""Stops what an earlier run of the script started for the same element, and starts it for the new data."""


def component(name: str, script: str, *, html: str = NOTHING, css: str | None = None) -> ComponentRenderer:
    """Register a component.

    Streamlit runs a component's script again whenever its data changes, but calls the function that the
    script has returned only when the element is removed. Without this, the timers and listeners of each run
    would stay.

    Args:
        script: JavaScript with a function `start`, which gets what Streamlit gives to a component (`data`,
            `parentElement`, `setTriggerValue`) and returns a function that stops what it has started; to call
            that twice must do no harm.
    """
    return st.components.v2.component(name, html=html, css=css, js=script + RESTART)

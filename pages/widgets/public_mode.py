"""What visitors of a public app are told: that it is one, and why something is off."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine import numbers
from engine.jobs.messages import refusal
from engine.jobs.policy import RUNNING, WAITING, Policy

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

Value = TypeVar("Value")

_VISITOR: ContextVar[str] = ContextVar("visitor", default="")
"""For whom `for_visitor` acts."""
NOT_YOURS = "Only who started a run can cancel or name it, in the tab where it was started."


def policy() -> Policy | None:
    """Return what visitors may do; None if the app is its user's own.

    An app that other machines reach, or that answers to the name of a proxy, is public, unless its
    environment says otherwise.
    """
    names = [st.get_option("server.address"), *(st.get_option("server.allowedHosts") or ())]
    return Policy.from_environment(exposed=not all(map(_is_loopback, names)))


def visitor() -> str:
    """Return the server's identity of the session that is being served; empty outside of sessions."""
    context = get_script_run_ctx(suppress_warning=True)
    return (context.session_id if context is not None else "") or _VISITOR.get()


def for_visitor(make: Callable[[], Value]) -> Callable[[], Value]:
    """Return `make` as a function that acts for the session that is being served now, whenever and in
    whichever thread it is called: Streamlit makes a file for download outside of the script run.
    """
    who = visitor()

    def made() -> Value:
        token = _VISITOR.set(who)
        try:
            return make()
        finally:
            _VISITOR.reset(token)

    return made


def draw_notice() -> None:
    """Draw a line that says that the app is public, and what that means."""
    found = policy()
    if found is not None:
        st.caption(
            f":material/public: **Public app.** Per visitor {RUNNING} run at a time and {WAITING} waiting, "
            f"of {numbers.about(found.seconds)} at most. Everyone sees the results. For more, run Prunescope "
            "on your own machine."
        )


def draw_refusal(engine: BackgroundEngine, send: Callable[..., object]) -> bool:
    """Draw why visitors cannot send a message to the engine; return whether that is so."""
    sentence = refusal(send) if engine.public is not None else ""
    if sentence:
        st.caption(f":material/lock: {sentence}")
    return bool(sentence)


def _is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:  # a name, or nothing, which stands for every address
        return False

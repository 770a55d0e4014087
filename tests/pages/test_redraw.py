"""A switch or an address that is lost on its way is made up for; the user's own way is kept."""

from __future__ import annotations

import pytest
import streamlit as st

from pages.widgets.redraw import ASKED, LEFT, LOST, MOST_SWITCHES, REQUESTED, SHOWN, SWITCH, Address, Switch
from tests.pages.conftest import healthy, hold

TARGET = Address("pages/learn.py", {"lesson": ["explosion"], "step": ["real"]})


@pytest.fixture
def switched(monkeypatch):
    """The pages and parameters that were switched to."""
    made = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: made.append((page, query_params)))
    return made


def test_a_switch_that_a_request_has_cut_short_is_made_again(engine, open_app, switched):
    app = open_app()
    app.session_state[SWITCH] = Switch(app.session_state[SHOWN], TARGET, None, 1)
    healthy(app.run())
    assert switched == [tuple(TARGET)] and app.session_state[SWITCH].made == 2
    for _ in range(MOST_SWITCHES):
        healthy(app.run())
    assert len(switched) == MOST_SWITCHES - 1 and SWITCH not in app.session_state, "but not for ever"


def test_a_user_who_has_gone_elsewhere_is_not_switched_back(engine, open_app, switched):
    app = open_app()
    app.session_state[SWITCH] = Switch(Address("pages/compare.py", {}), TARGET, None, 1)
    healthy(app.run())
    assert not switched and SWITCH not in app.session_state


def test_a_lost_drawing_is_made_up_for_where_it_was(engine, open_app, switched):
    app = open_app()
    app.session_state[SHOWN] = TARGET
    healthy(app.run())
    assert not switched, "the user has come here"
    app.session_state[SHOWN] = TARGET
    app.session_state[REQUESTED] = LOST
    healthy(app.run())
    assert switched == [tuple(TARGET)]


def test_a_request_from_where_a_switch_began_is_answered_where_it_led(engine, open_app):
    app = open_app(pruner="ria")
    shown, left = app.session_state[SHOWN], Address("pages/explore.py", {})
    for requested in (True, False):
        hold(app)
        app.session_state[SHOWN], app.session_state[LEFT] = shown, left
        if requested:
            app.session_state[REQUESTED] = ASKED
        healthy(app.run())
        assert (app.session_state[SHOWN] == shown) is requested
    assert LEFT not in app.session_state, "the user has gone there"


def test_a_lost_drawing_is_made_up_for_with_its_parameters(engine, open_app):
    app = open_app(pruner="ria")
    shown = app.session_state[SHOWN]
    for why in (ASKED, LOST):
        hold(app)  # the address of another drawing
        app.session_state[SHOWN], app.session_state[REQUESTED] = shown, why
        healthy(app.run())
        assert (app.session_state[SHOWN] == shown) is (why == LOST)

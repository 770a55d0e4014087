"""The icon of the browser's tab: a file of our own, so that a page loads nothing from the internet."""

import streamlit as st
from streamlit.commands.page_config import _get_favicon_string

from engine.models.identity import ROOT


def test_the_icon_is_sent_with_the_page(open_app, monkeypatch):
    given = {}
    monkeypatch.setattr(st, "set_page_config", lambda **options: given.update(options))
    open_app()
    assert given["page_icon"] == str(ROOT / "assets" / "icon.svg")
    assert _get_favicon_string(given["page_icon"]).startswith("data:image/svg+xml;base64,")

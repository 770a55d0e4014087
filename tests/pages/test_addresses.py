"""Addresses that the pages give to the browser, which completes them by its own: also below a path prefix,
whether the proxy in front of the app removes it or not.
"""

from __future__ import annotations

import json
from threading import Event
from types import SimpleNamespace
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.recipe import Recipe
from pages.widgets import server
from tests.pages.conftest import healthy
from tests.pages.fakes import run_view

RUN = Recipe.build()


@pytest.fixture
def runs(engine, open_app):
    """The Runs page with a chosen run."""
    engine.views[RUN.key] = run_view(RUN, "finished")
    return healthy(open_app("runs").selectbox(key="runs.one").set_value(RUN.key).run())


@pytest.mark.parametrize("home", ["https://host/", "https://host/tool/"])
def test_a_link_leads_to_its_page_in_another_tab_too(runs, home):
    found = {}
    for link in (item.proto for item in runs.get("page_link")):
        parts = urlsplit(urljoin(f"{home}runs?find=x", f"{link.page}?{link.query_string}"))
        found[link.label] = (parts.path, dict(parse_qsl(parts.query)).get("run"))
    path = urlsplit(home).path
    assert found["Explore"] == (path, RUN.key) and found["Microscope"] == (f"{path}microscope", RUN.key)


@pytest.mark.parametrize(
    ("home", "prefix", "removed"),
    [("/", "", ""), ("/tool/", "/tool", ""), ("/tool/", "", "/tool")],
    ids=["no prefix", "prefix", "prefix that the proxy removes"],
)
def test_a_drawn_page_reaches_the_server(open_app, monkeypatch, home, prefix, removed):
    engine = SimpleNamespace(begun=Event())
    monkeypatch.setattr(server.health_check, "engine", engine)
    monkeypatch.setattr(server, "PREFIX", prefix)
    parts = open_app("runs").get("bidi_component")
    (told,) = (json.loads(part.proto.json) for part in parts if part.proto.component_name == "page_drawn")
    app = TestClient(Starlette(routes=server.routes()))
    for page in (home, f"{home}runs?find=x"):
        engine.begun.clear()
        asked = urljoin(page, told)
        assert asked.startswith(home), "a proxy passes on nothing else"
        assert app.post(asked.removeprefix(removed)).status_code == 204
        assert engine.begun.is_set()

"""The app under Streamlit's test driver, with an engine that computes nothing in place of the real one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import RerunData
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, app_test, local_script_runner

from pages.widgets import engine_handle
from pages.widgets.explore import run_charts, run_numbers, run_view
from tests.pages.fakes import FakeEngine

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(scope="session", autouse=True)
def no_packaged_components() -> Iterator[None]:
    """Skip Streamlit's search for components in the metadata of every installed package. The app uses none
    from packages, and each `AppTest` repeats the search, which takes longer than most pages.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", list)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_scripts() -> Iterator[None]:
    """Compile each page once, as a server does. The driver would do it in each run of the script, and take
    apart the server's class for a substitute.
    """
    scripts, server = ScriptCache(), MagicMock(spec=Runtime)
    with pytest.MonkeyPatch.context() as patch:
        for driver in (app_test, local_script_runner):
            patch.setattr(driver, "ScriptCache", lambda: scripts)
        patch.setattr(app_test, "MagicMock", lambda **_: server)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_head_start() -> Iterator[None]:
    """Draw everything at once, and nothing that is hidden: no browser has to show numbers first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_numbers, "load_ahead", lambda: None)
        patch.setattr(run_view, "HEAD_STARTS", (0.0, 0.0))
        yield


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(engine_handle, "shared_engine", lambda: fake)
    return fake


@pytest.fixture
def new_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have charts built again that an earlier test has built, because the test replaces a part of that."""
    monkeypatch.setattr(run_charts, "FINISHED", deque(maxlen=12))


@pytest.fixture
def open_app(engine: FakeEngine) -> Callable[..., AppTest]:
    """`visit`, with an engine that computes nothing."""
    return visit


def visit(page: str = "explore", /, **parameters: str) -> AppTest:
    """Open a page in a new session, as a link with these query parameters does: no other page is drawn."""
    app = AppTest.from_file(APP, default_timeout=120)
    for name, value in parameters.items():
        app.query_params[name] = value
    if page != "explore":
        app.switch_page(f"pages/{page}.py")
    return healthy(app.run())


def healthy(app: AppTest) -> AppTest:
    """The page itself, after making sure that it shows no traceback, and that its links lead to a page in
    another tab, too: one without a path would lead to the page that holds it.
    """
    assert not app.exception, [item.message for item in app.exception]
    assert all(link.proto.page for link in app.get("page_link"))
    return app


def words(app: AppTest) -> str:
    """Roughly all text that the user sees on the page."""
    headings, notices = ("title", "header", "subheader"), ("error", "warning", "info")
    kinds = (*headings, "markdown", "caption", *notices, "text", "code")
    return "\n".join(str(item.value) for kind in kinds for item in getattr(app, kind))


def go_in_history(app: AppTest, **parameters: str) -> AppTest:
    """Press Back or Forward, to this address."""
    hold(app, **parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", partial(RerunData, is_history_navigation=True))
        return healthy(app.run())


def hold(app: AppTest, **parameters: str) -> None:
    """Have the browser hold this address in its next request."""
    app.query_params.clear()
    for name, value in parameters.items():
        app.query_params[name] = value


def explanations(app: AppTest) -> int:
    """The number of charts that offer an explanation."""
    labels = [node.proto.popover.label for node in app.main if node.type == "popover"]
    return labels.count("What am I looking at?")


def address(app: AppTest) -> dict[str, str]:
    """The address's parameters (the driver gives those that a script wrote as strings, those that it was
    opened with as lists).
    """
    return {name: value if isinstance(value, str) else value[0] for name, value in app.query_params.items()}


def type_in(app: AppTest, **fields: str) -> AppTest:
    """Type something that a selectbox does not offer, which the driver's own selectbox only takes from its
    list.
    """
    for name, text in fields.items():
        box = app.selectbox(key=f"form.{name}")
        box.options.append(text)
        box.set_value(text)
    return app

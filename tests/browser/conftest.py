"""A real browser and a real server. Without Chromium the tests are skipped, in CI they fail."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import served
from tests.hub import models
from tests.hub.conftest import environment
from tests.hub.server import HubServer

PATIENCE = 60_000  # milliseconds: allow a cold start on a busy machine
expect.set_options(timeout=PATIENCE)

ONE_PROCESS = "--process-per-site"
"""Has all tabs of a context share a process, and so the scripts that one of them has compiled: compiling the
app's scripts again takes a third of the processor time of a page.
"""
MISSING = (
    "No Chromium was found. Install one (Debian: apt-get install chromium-headless-shell) "
    "to run the browser tests."
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a journey that fails try once more, counted as a rerun: with all cores busy, a click or a key is
    now and then lost on a page that is being drawn. What fails twice is a fault.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = served.chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*served.ARGUMENTS, ONE_PROCESS])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A local hub with three tiny models."""
    folder = tmp_path_factory.mktemp("hub")
    with HubServer() as server:
        server.add_model("tiny/large", models.large(folder / "large"), licence="mit")
        server.add_model("tiny/gated", models.llama(folder / "gated"), gated="auto")
        server.add_model("tiny/damaged", models.damaged(folder / "damaged"))
        yield server


@pytest.fixture(scope="package")
def address(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running app with an empty store and empty caches, which knows the local hub only."""
    caches = environment(hub.url, tmp_path_factory.mktemp("cache"))
    with served.app(tmp_path_factory.mktemp("home"), caches) as address:
        yield address


@pytest.fixture(scope="package")
def short(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The query of a recipe that evaluates three windows only: evaluating is most of a small run's work."""
    file = tmp_path_factory.mktemp("evaluation") / "tale.txt"
    file.write_text(corpus.read_text() * 5)
    return urlencode({"evaluation": str(file)})


@pytest.fixture(scope="package")
def context(browser: Browser, address: str) -> BrowserContext:
    """The context of all tabs, so that the app's scripts are loaded and compiled once. It has one small tab
    from the beginning, because their process ends with its last tab.
    """
    context = browser.new_context(reduced_motion="reduce")
    context.new_page().goto(f"{address}/healthz")
    return context


@pytest.fixture(scope="package")
def requests(context: BrowserContext) -> list[str]:
    """The addresses of all requests of all tabs."""
    made: list[str] = []
    context.on("request", lambda request: made.append(request.url))
    return made


@pytest.fixture
def new_tab(context: BrowserContext, requests: list[str], address: str) -> Iterator[Callable[..., Page]]:
    """Opens empty tabs, each a separate session of the app, and closes them at the end of the test, which
    fails if a page has loaded something from elsewhere.
    """
    tabs = []
    requests.clear()

    def open_tab(width: int = 1440, height: int = 1000, scheme: Literal["light", "dark"] = "light") -> Page:
        tab = context.new_page()
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": height})
        tab.set_default_timeout(PATIENCE)
        tabs.append(tab)
        return tab

    yield open_tab
    for tab in tabs:
        tab.close()
    assert not [url for url in requests if not url.startswith((address, "data:", "blob:", "about:"))]


@pytest.fixture
def page(new_tab: Callable[..., Page]) -> Page:
    return new_tab()

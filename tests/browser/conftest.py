"""A real browser and a real server. Without Chromium the tests are skipped, in CI they fail."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import served

expect.set_options(timeout=60_000)  # allow a cold start on a busy machine

MISSING = "No Chromium was found. Install one (Debian: apt-get install chromium) to run the browser tests."


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = served.chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=served.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running app with an empty store."""
    with served.app(tmp_path_factory.mktemp("home")) as address:
        yield address

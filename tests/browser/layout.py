"""Wait for a page, check its layout, and find what starts a run."""

import re

from playwright.sync_api import Page, expect

START = re.compile("^(Prune|Run it live)$")
"""The name of the button that starts a run; a run that exists can be run live."""
NARROW = {"width": 900, "height": 900, "scheme": "dark"}
"""A tab in which a layout breaks first; for some journeys instead of the usual tab."""


def expect_to_fit(page: Page) -> None:
    """Wait until the page needs no horizontal scrolling."""
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")


def expect_drawn(page: Page) -> None:
    """Wait until the app and the browser draw nothing any more. A key, a drag, a click on a chart or in a
    menu can be lost while what the user aims at is replaced; before this, wait for something that is drawn
    on the page.
    """
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.evaluate("new Promise((done) => requestIdleCallback(done, { timeout: 10_000 }))")  # charts come last

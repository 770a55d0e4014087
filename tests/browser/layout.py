"""Check a page's layout, and find what starts a run."""

import re

from playwright.sync_api import Page

START = re.compile("^(Prune|Run it live)$")
"""The name of the button that starts a run; a run that exists can be run live."""
NARROW = {"width": 900, "height": 900, "scheme": "dark"}
"""A tab in which a layout breaks first; for some journeys instead of the usual tab."""


def expect_to_fit(page: Page) -> None:
    """Wait until the page needs no horizontal scrolling."""
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")

"""Check a page's layout."""

from playwright.sync_api import Page

NARROW = {"width": 900, "height": 900, "scheme": "dark"}
"""A tab in which a layout breaks first; for some journeys instead of the usual tab."""


def expect_to_fit(page: Page) -> None:
    """Wait until the page needs no horizontal scrolling."""
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")

"""The page Methods, which no journey of another page opens."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_to_fit

SCROLLS = "table => table.scrollWidth > table.parentElement.clientWidth"


def test_what_is_found_is_accessible(page: Page, address: str) -> None:
    page.goto(f"{address}/methods?methods.find=formula")
    expect(page.get_by_test_id("stTable").first).to_be_visible()
    expect_accessible(page)


def test_the_evidence_of_a_recommendation_fits_a_narrow_window(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/methods?methods.find=fast")
    tables = page.locator("[class*='st-key-evidence'] table")
    expect(tables).to_have_count(2)
    assert not [table.inner_text() for table in tables.all() if table.evaluate(SCROLLS)]
    expect_to_fit(page)

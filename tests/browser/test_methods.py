"""The page Methods, which no journey of another page opens."""

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible


def test_what_is_found_is_accessible(page: Page, address: str) -> None:
    page.goto(f"{address}/methods?methods.find=formula")
    expect(page.get_by_test_id("stTable").first).to_be_visible()
    expect_accessible(page)

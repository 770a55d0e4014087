"""Comparing as a person does it: curves at once, a sweep that fills, two runs and their masks."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

MINUTE = 60_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    yield page
    context.close()


def test_curves_a_sweep_and_two_runs(page: Page, address: str) -> None:
    page.goto(f"{address}/compare")
    expect(page.get_by_text("Perplexity against sparsity, logarithmic")).to_be_visible()
    expect(page.locator(".js-plotly-plot .legendtext", has_text="SparseGPT").first).to_be_visible()

    page.get_by_text("Leaderboard", exact=True).click()
    expect(page.get_by_text("At 60 %, the best first")).to_be_visible()
    expect(page).to_have_url(re.compile("section=Leaderboard"))

    page.goto(f"{address}/compare?section=Sweep&shapes=0.55&seeds=1")
    expect(page.get_by_text("3 runs", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Nothing is left to compute")).to_be_visible(timeout=3 * MINUTE)

    page.goto(f"{address}/compare?section=Two+runs")
    expect(page.get_by_text("In what they differ, and what came of it")).to_be_visible()
    expect(page.get_by_text("What the two masks share, %")).to_be_visible()
    assert not page.get_by_text("encountered an error").count()


@pytest.mark.parametrize("section", ["Curves", "Sweep", "Two runs", "Leaderboard", "Table"])
def test_nothing_is_wider_than_the_screen(browser: Browser, address: str, section: str) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{address}/compare?section={section.replace(' ', '+')}")
    expect(page.get_by_role("heading", name="Compare")).to_be_visible(timeout=MINUTE)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()

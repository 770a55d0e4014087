"""Comparing as a person does it: curves at once, a sweep that is cancelled and goes on, a cell that leads on, two runs and their masks."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

MINUTE = 60_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    yield page
    context.close()


def section(page: Page, name: str) -> None:
    page.get_by_test_id("stButtonGroup").first.get_by_text(name, exact=True).click()


def test_curves_a_sweep_and_two_runs(page: Page, address: str) -> None:
    page.goto(f"{address}/compare")
    expect(page.get_by_text("Perplexity against sparsity, logarithmic")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first.get_by_text("Wanda with NeuroAL")).to_be_visible()
    page.get_by_text("3 × dense", exact=True).click()
    expect(page.locator(".js-plotly-plot .legendtext", has_text="SparseGPT").first).to_be_visible()
    expect(page).to_have_url(re.compile("upto=3"))

    section(page, "Leaderboard")
    expect(page.get_by_text("At 60 %, the best first")).to_be_visible()
    expect(page).to_have_url(re.compile("section=Leaderboard"))

    page.goto(f"{address}/compare?section=Sweep&pruners=Wanda&pruners=RIA&shapes=0.55&shapes=0.65&seeds=1")
    expect(page.get_by_text("4 runs", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("1 of 4 runs finished", exact=False)).to_be_visible(timeout=2 * MINUTE)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text(re.compile("[1-3] of them there already. The other"))).to_be_visible()
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Start what is missing").click()
    expect(page.get_by_text("Nothing is left to compute")).to_be_visible(timeout=3 * MINUTE)
    expect(page.locator(".js-plotly-plot").get_by_text("your own run")).to_be_visible()

    page.wait_for_timeout(3000)  # the grid is drawn anew once more when the last run has ended
    page.get_by_test_id("stDataFrame").first.click(position={"x": 250, "y": 52})
    page.get_by_role("button", name="Set right of two").click()
    expect(page).to_have_url(re.compile("section=Two.runs"))
    expect(page.get_by_text("In what they differ, and what came of it")).to_be_visible()
    expect(page.get_by_role("columnheader", name=re.compile("Wanda (55|65)% on demo"))).to_be_visible()
    assert not page.get_by_test_id("stException").count()


def test_masks_of_recorded_runs_lie_over_one_another_at_once(page: Page, address: str) -> None:
    page.goto(f"{address}/compare?section=Two+runs")
    expect(page.get_by_text("% of the kept weights")).to_be_visible()
    page.get_by_text("Removed weights", exact=True).click()
    expect(page.get_by_text("% of the removed weights")).to_be_visible()
    page.get_by_test_id("stPageLink").filter(has_text="Wanda 60% on demo").get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/microscope\?.*block=\d+&linear="))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["Curves", "Sweep", "Two runs", "Leaderboard", "Table"])
def test_nothing_is_wider_than_the_screen(browser: Browser, address: str, name: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{address}/compare?section={name.replace(' ', '+')}")
    expect(page.get_by_role("heading", name="Compare")).to_be_visible(timeout=MINUTE)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not page.get_by_test_id("stException").count()
    context.close()

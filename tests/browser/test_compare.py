"""Compare as a user does: curves, a chart in words and its lesson, a cancelled and resumed sweep, a cell's
links, two runs and their masks.
"""

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit

MINUTE = 60_000


def expect_visible(locator: Locator) -> None:
    expect(locator).to_be_visible(timeout=3 * MINUTE)


def open_section(page: Page, name: str) -> None:
    expect_drawn(page)
    page.get_by_test_id("stButtonGroup").first.get_by_text(name, exact=True).click()
    expect(page).to_have_url(re.compile(f"section={name}"))


def select_a_cell(page: Page) -> None:
    """Click finished cells until one is selected: a grid that has just been redrawn may ignore a click."""
    for place in (250, 600, 250, 600):
        page.get_by_test_id("stDataFrame").first.click(position={"x": place, "y": 52})
        with suppress(PlaywrightTimeout):
            page.get_by_role("button", name="Compare as right run").wait_for(timeout=2000)
            return
    pytest.fail("no click on the grid selected a cell")


def test_curves_table_and_leaderboard_which_explains_itself_and_leads_to_its_lesson(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/compare")
    expect_visible(page.get_by_text("Perplexity against sparsity, logarithmic"))
    expect_visible(page.locator(".js-plotly-plot").first.get_by_text("Wanda with NeuroAL"))
    expect_accessible(page)
    page.emulate_media(color_scheme="dark")
    page.get_by_text("3 × dense", exact=True).click()
    expect_visible(page.locator(".js-plotly-plot .legendtext", has_text="SparseGPT").first)
    expect(page).to_have_url(re.compile("upto=3"))
    expect_to_fit(page)

    open_section(page, "Table")
    expect_visible(page.get_by_test_id("stDataFrame").first)
    expect_to_fit(page)

    open_section(page, "Leaderboard")
    expect_visible(page.get_by_text("Leaderboard at 60 %"))
    expect_to_fit(page)
    assert not page.get_by_test_id("stException").count()

    label = page.get_by_role("button", name="What am I looking at?")
    expect(label).to_be_visible()
    expect_drawn(page)
    closed = label.evaluate("element => getComputedStyle(element).color")
    label.click()
    expect(page.get_by_text("has the lowest perplexity")).to_be_visible()
    expect(label).to_have_css("color", closed)  # it was nearly black on black
    expect_to_fit(page)
    page.get_by_role("link", name="Lesson: Prune a matrix by hand · Leaderboard").click()
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    assert "step=leaderboard" in page.url


def test_a_cancelled_and_resumed_sweep_and_one_of_its_runs(
    new_tab: Callable[..., Page], address: str, short: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(
        f"{address}/compare?section=Sweep&pruners=Wanda&pruners=RIA&shapes=0.55&shapes=0.65&seeds=1"
        f"&samples=32&{short}"
    )
    expect_visible(page.get_by_text("4 runs", exact=False).first)
    expect_drawn(page)
    page.get_by_role("button", name="Start", exact=True).click()
    expect_visible(page.get_by_text(re.compile("[1-3] of 4 runs finished")))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect_visible(page.get_by_text(re.compile("[1-3] already finished. The other")))
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Start missing runs").click()
    expect_visible(page.get_by_text("Nothing is left to compute"))
    expect_visible(page.locator(".js-plotly-plot").get_by_text("your own run"))
    expect_to_fit(page)

    select_a_cell(page)
    page.get_by_role("button", name="Compare as right run").click()
    expect(page).to_have_url(re.compile("section=Two.runs"))
    expect_visible(page.get_by_text("Differences and results"))
    expect_visible(page.get_by_role("columnheader", name=re.compile("Wanda (55|65)% on demo")))
    expect_to_fit(page)
    assert not page.get_by_test_id("stException").count()

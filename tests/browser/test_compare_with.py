"""A second run on Explore: chosen by hand, kept by a reload and by Back, at a width where a layout breaks."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from engine.recipe import Recipe, pin
from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit

FIRST, OTHER = (pin(Recipe.build(pruner=pruner, sparsity=0.6)).key for pruner in ("wanda", "sparsegpt"))


def test_a_second_run_joins_all_charts_and_survives_reload_and_back(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/?run={FIRST}")
    expect(page.get_by_text("Sparsity per linear, %")).to_be_visible()
    expect_accessible(page)
    expect_drawn(page)
    box = page.get_by_role("combobox", name="Compare with")
    box.click()
    box.fill("SparseGPT 60%")
    expect(page.get_by_role("option").first).to_have_text(re.compile("^SparseGPT 60% on demo"))
    box.press("Enter")  # a click is lost if the list is drawn again between its press and its release
    difference = page.get_by_text("Output error per linear, ± % points")
    expect(difference).to_be_visible()
    expect(page).to_have_url(re.compile(f"with={OTHER}"))
    legends = page.locator(".legendtext", has_text="SparseGPT 60%")
    expect(legends).to_have_count(2)  # alignment and error over depth; the maps show differences
    expect_to_fit(page)
    page.reload()
    expect(difference).to_be_visible()
    expect_drawn(page)  # going back while the page is drawn may be lost
    page.go_back()
    expect(difference).to_have_count(0)
    expect(page).not_to_have_url(re.compile("with="))

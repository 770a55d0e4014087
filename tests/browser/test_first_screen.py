"""Explore before the first click: a real run is on the screen, and the slider goes through the others."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.layout import START, expect_drawn, expect_to_fit


def click_point(chart: Locator, index: int) -> None:
    """Click on a point of a line, which Plotly notices by the pointer's position over its drawing area."""
    point, area = chart.locator(".point").nth(index).bounding_box(), chart.locator(".nsewdrag")
    frame = area.bounding_box()
    assert point is not None and frame is not None
    x, y = point["x"] + point["width"] / 2 - frame["x"], point["y"] + point["height"] / 2 - frame["y"]
    area.hover(position={"x": x, "y": y}, force=True)
    expect(chart.locator(".hovertext")).to_be_visible()
    area.click(position={"x": x, "y": y}, force=True)


def test_the_first_screen_shows_a_run_and_follows_the_slider(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address)
    number = page.get_by_test_id("stMetric").filter(has_text="Pruned perplexity")
    expect(number).to_contain_text("45.31")
    expect(number).to_be_in_viewport()
    expect(page.get_by_text("computed earlier").first).to_be_visible()
    expect(page.get_by_role("button", name=START)).to_have_text(re.compile("Run it live"))
    expect(page.get_by_text("Output error per linear")).to_be_in_viewport()
    expect_to_fit(page)

    marks = page.get_by_role("group", name="Computed sparsities").get_by_role("button")
    expect(marks).to_have_count(9)
    expect_drawn(page)
    marks.nth(6).click()
    expect(page.get_by_role("heading", name="Wanda 70% on demo")).to_be_visible()
    expect(page).to_have_url(re.compile("sparsity=0.7$"))

    expect_drawn(page)  # a key press on a slider that is replaced would be lost
    page.get_by_role("slider").first.press("ArrowRight")
    expect(page.get_by_text("the nearest computed sparsity")).to_be_visible()
    expect(page.get_by_role("button", name=START)).to_have_text(re.compile("Prune"))
    expect(page).to_have_url(re.compile("sparsity=0.71$"))
    faded = page.locator(".st-key-nearest .js-plotly-plot").first
    expect(faded).to_have_css("opacity", "0.45")

    curve = page.locator("[class*='st-key-chart-series'] .js-plotly-plot")
    click_point(curve, 2)
    expect(page.get_by_role("heading", name="Wanda 30% on demo")).to_be_visible()
    expect(page).to_have_url(re.compile("sparsity=0.3$"))
    page.go_back()  # while the page is still drawn
    expect(page.get_by_text("the nearest computed sparsity")).to_be_visible()
    expect(page).to_have_url(re.compile("sparsity=0.71$"))
    page.go_back()
    expect(page.get_by_role("heading", name="Wanda 70% on demo")).to_be_visible()
    expect(page).to_have_url(re.compile("sparsity=0.7$"))

"""What axe-core finds on the pages in both colour schemes, and from where they load what they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from engine.recipe import Recipe, pin

WANDA = pin(Recipe.build(pruner="wanda", sparsity=0.6)).key
CHART, BUTTON = ".js-plotly-plot", "[data-testid=stButton]"
PAGES = {
    f"/?run={WANDA}": CHART,
    "/?run=0123456789abcdef0123": "[data-testid=stAlert]",
    "/?samples=63": CHART,
    "/compare": CHART,
    f"/microscope?run={WANDA}": CHART,
    "/generate": "[data-testid=stHtml]",
    "/learn": BUTTON,
    "/learn?lesson=by_hand": "[data-testid=stButtonGroup]",
    "/runs": "[data-testid=stExpander]",
    "/methods?methods.find=formula": "[data-testid=stTable]",
    "/present": BUTTON,
    "/present?present=4": CHART,
}
"""Addresses of the pages, with what is drawn there after everything above it."""
RULES = {
    # Streamlit draws a table on a canvas and describes it with a hidden one; its check boxes have no header.
    "empty-table-header": {"enabled": False},
}


PALE_TEXTS = """() => {
  const luminance = (rgb) => rgb.match(/\\d+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const page = document.querySelector("[data-testid=stApp]");
  const ground = luminance(getComputedStyle(page).backgroundColor) + 0.05;
  const contrast = (text) => {
    const ratio = (luminance(getComputedStyle(text).fill) + 0.05) / ground;
    return Math.max(ratio, 1 / ratio);
  };
  return [...document.querySelectorAll(".js-plotly-plot :is(.xtick, .ytick, .g-xtitle, .g-ytitle) text")]
    .filter((text) => contrast(text) < 4.5).map((text) => text.textContent);
}"""
"""Returns ticks and axis titles of charts whose contrast is too low: axe-core does not look into charts."""


def violations(page: Page, **options: Any) -> Iterator[str]:
    """Yield a line for each element of the page that breaks a rule."""
    for rule in Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]:
        for node in rule["nodes"]:
            reasons = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
            yield f"{page.url} {rule['id']}: {node['html'][:200]}: {reasons}"


def test_pages_are_accessible_and_load_nothing_from_elsewhere(page: Page, address: str) -> None:
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    found: list[str] = []
    for path, content in PAGES.items():
        page.emulate_media(color_scheme="light")
        page.goto(address + path)
        expect(page.locator(content).first).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
        found += violations(page, rules=RULES)
        found += [f"{path}: pale in a chart: {text}" for text in page.evaluate(PALE_TEXTS)]
        page.emulate_media(color_scheme="dark")  # only colours differ
        found += violations(page, runOnly=["color-contrast"])
    assert not found, "\n".join(found)
    assert not [url for url in loaded if not url.startswith((address, "data:", "blob:"))]

"""What axe-core finds on a page in both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.layout import expect_drawn

RULES = {
    # Streamlit draws a table on a canvas and describes it with a hidden one; its check boxes have no header.
    "empty-table-header": {"enabled": False},
}
BACKGROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
REDRAWN = 10_000  # milliseconds
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
    page.evaluate("script => { if (!window.axe) (0, eval)(script); }", Axe().axe_script)
    options = {"resultTypes": ["violations"], **options}
    found = page.evaluate("async options => (await axe.run(options)).violations", options)
    for rule in found:
        for node in rule["nodes"]:
            reasons = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
            yield f"{page.url} {rule['id']}: {node['html'][:200]}: {reasons}"


def expect_accessible(page: Page) -> None:
    """Check the page as it is, and its colours in the other scheme too, in which it stays from then on.

    Journeys call this where they have a page open: loading pages takes longer than checking them.
    """
    expect_drawn(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    found = [*violations(page, rules=RULES), *pale_texts(page)]
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    before = page.evaluate(BACKGROUND)
    page.emulate_media(color_scheme="light" if dark else "dark")
    page.wait_for_function(f"before => {BACKGROUND} !== before", arg=before)
    found += pale_texts(page)
    found += violations(page, runOnly=["color-contrast"])  # only colours differ
    assert not found, "\n".join(found)


def pale_texts(page: Page) -> list[str]:
    """Return a line for each pale text in a chart, once charts had time to follow a change of the scheme."""
    with suppress(PlaywrightTimeout):
        page.wait_for_function(f"() => ({PALE_TEXTS})().length === 0", timeout=REDRAWN)
    return [f"{page.url} pale in a chart: {text}" for text in page.evaluate(PALE_TEXTS)]

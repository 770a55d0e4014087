"""The bars of the allocation editor, with a real mouse and keyboard."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

MINUTE = 60_000
WIDTHS = {"narrow": 900, "wide": 1440}


@pytest.fixture(params=WIDTHS.values(), ids=WIDTHS.keys())
def page(new_tab: Callable[..., Page], address: str, request: pytest.FixtureRequest) -> Page:
    """Open the editor with all blocks at 50 %."""
    page = new_tab(request.param)
    page.goto(f"{address}/?allocation=manual&manual.ratios={','.join(['0.5'] * 8)}")
    expect(page.get_by_role("slider", name="Block 7")).to_be_visible(timeout=MINUTE)
    return page


def ratios(address: str) -> list[float]:
    """Return the ratios in a URL."""
    return [float(item) for item in parse_qs(urlparse(address).query)["manual.ratios"][0].split(",")]


def handle(page: Page, block: int) -> Locator:
    return page.get_by_role("slider", name=f"Block {block}", exact=True)


def move(page: Page, block: int, sparsity: float, steps: int = 1) -> None:
    """Move the mouse to a bar's height for the given sparsity."""
    box = handle(page, block).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * (1 - sparsity), steps=steps)


def test_dragging_across_the_blocks_sets_them_and_updates_the_overall_sparsity(page: Page) -> None:
    move(page, 0, 0.2)
    page.mouse.down()
    expect(page.get_by_text(re.compile(r"3\.[78] points below the target"))).to_be_visible()
    assert ratios(page.url) == [0.5] * 8, "the ratios must not be sent before the drag ends"
    move(page, 3, 0.5)
    page.mouse.up()
    page.wait_for_url(lambda url: ratios(url) != [0.5] * 8)
    assert ratios(page.url) == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5], abs=0.011)
    page.get_by_role("button", name=re.compile("Rescale to")).click()
    expect(page.get_by_text("on target")).to_be_visible()
    assert sum(ratios(page.url)) == pytest.approx(4, abs=2e-3)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
        "no horizontal scrolling"
    )


def test_the_keyboard_selects_and_changes_a_block(page: Page) -> None:
    handle(page, 0).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "PageDown", "ArrowRight", "ArrowRight", "End"):
        page.keyboard.press(key)
    expect(handle(page, 2)).to_have_attribute("aria-valuenow", "41.0")
    page.wait_for_url(lambda url: ratios(url)[4] == 0.99)
    assert ratios(page.url) == [0.5, 0.5, 0.41, 0.5, 0.99, 0.5, 0.5, 0.5]
    expect(handle(page, 4)).to_be_focused()


def test_a_shape_moves_the_handles(page: Page) -> None:
    page.get_by_role("button", name="Ramp down").click()
    expect(handle(page, 0)).to_have_attribute("aria-valuenow", "60.0")
    expect(handle(page, 7)).to_have_attribute("aria-valuenow", "40.0")

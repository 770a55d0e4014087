"""The bars of the allocation editor, with a real mouse and keyboard, in a wide and in a narrow window."""

import re
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.layout import expect_drawn, expect_to_fit

EVEN = [0.5] * 8


def ratios(address: str) -> list[float]:
    """Return the ratios in a URL."""
    return [float(item) for item in parse_qs(urlparse(address).query)["manual.ratios"][0].split(",")]


def handle(page: Page, block: int) -> Locator:
    return page.get_by_role("slider", name=f"Block {block}", exact=True)


def move(page: Page, block: int, sparsity: float) -> None:
    """Move the mouse to a bar's height for the given sparsity."""
    box = handle(page, block).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * (1 - sparsity))


def choose_shape(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def flatten(page: Page) -> None:
    choose_shape(page, "Flat")
    page.wait_for_url(lambda url: ratios(url) == EVEN)
    expect(handle(page, 7)).to_have_attribute("aria-valuenow", "50.0")


def drag_across_the_blocks(page: Page) -> None:
    """Drag from 20 % at block 0 to 50 % at block 3, which sets the blocks between, and rescale the result."""
    expect_drawn(page)  # otherwise the bars may still move
    move(page, 0, 0.2)
    page.mouse.down()
    expect(page.get_by_text(re.compile(r"3\.[78] points below the target"))).to_be_visible()
    assert ratios(page.url) == EVEN, "the ratios must not be sent before the drag ends"
    move(page, 3, 0.5)
    page.mouse.up()
    page.wait_for_url(lambda url: ratios(url) != EVEN)
    assert ratios(page.url) == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5], abs=0.011)
    choose_shape(page, "Rescale to")
    expect(page.get_by_text("on target")).to_be_visible()
    page.wait_for_url(lambda url: sum(ratios(url)) == pytest.approx(4, abs=2e-3))


def use_the_keyboard(page: Page) -> None:
    expect_drawn(page)
    handle(page, 0).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "PageDown", "ArrowRight", "ArrowRight", "End"):
        page.keyboard.press(key)
    expect(handle(page, 2)).to_have_attribute("aria-valuenow", "41.0")
    page.wait_for_url(lambda url: ratios(url)[4] == 0.99)
    assert ratios(page.url) == [0.5, 0.5, 0.41, 0.5, 0.99, 0.5, 0.5, 0.5]
    expect(handle(page, 4)).to_be_focused()


def test_mouse_keyboard_and_shapes_set_the_ratios_in_any_window(page: Page, address: str) -> None:
    page.goto(f"{address}/?allocation=manual&manual.ratios={','.join(map(str, EVEN))}")
    expect(handle(page, 7)).to_be_visible()
    drag_across_the_blocks(page)
    choose_shape(page, "Ramp down")
    expect(handle(page, 0)).to_have_attribute("aria-valuenow", "60.0")
    expect(handle(page, 7)).to_have_attribute("aria-valuenow", "40.0")

    page.set_viewport_size({"width": 900, "height": 1000})
    expect_to_fit(page)
    flatten(page)
    drag_across_the_blocks(page)
    flatten(page)
    use_the_keyboard(page)

"""The Microscope on a recorded run: the weight map, zooming by dragging, and opening a linear by a click."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from engine.store.runs import RECORDED

MINUTE = 60_000


def drag(page: Page, plot: object, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag a box over a chart; the coordinates are pixels from its upper left corner."""
    box = plot.bounding_box()
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=8)
    page.mouse.up()


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded runs are made by `python -m engine record`")
def test_zoom_in_and_out_and_open_another_linear(page: Page, address: str) -> None:
    page.goto(f"{address}/microscope?block=3&linear=mlp.up_proj")
    expect(page.get_by_text("all 384 × 128")).to_be_visible(timeout=MINUTE)
    expect(page.get_by_text("Rows with the largest output error")).to_be_visible(timeout=MINUTE)
    expect(page.get_by_text("Distribution of the Wanda scores")).to_be_visible(timeout=MINUTE)
    expect(page.get_by_text("Singular values, dense and pruned")).to_be_visible(timeout=MINUTE)

    weights = page.locator(".js-plotly-plot").first
    drag(page, weights, (300, 200), (500, 300))
    expect(page.get_by_text(re.compile(r"rows \d+–\d+, columns \d+–\d+ of 384 × 128"))).to_be_visible(
        timeout=MINUTE
    )
    expect(page).to_have_url(re.compile("rows=.*columns="), timeout=MINUTE)
    page.get_by_role("button", name="Whole weight").click()
    expect(page.get_by_text("all 384 × 128")).to_be_visible(timeout=MINUTE)

    blocks = page.locator(".js-plotly-plot").last
    blocks.scroll_into_view_if_needed()
    expect(blocks.locator(".scatterlayer .trace")).to_have_count(1)
    frame = blocks.locator(".nsewdrag").bounding_box()
    # The center of block 5 (of 8), first linear (of 7).
    middle = (frame["x"] + frame["width"] * 5.5 / 8, frame["y"] + frame["height"] * 0.5 / 7)
    page.mouse.move(*middle)
    expect(page.get_by_text("click to open the microscope")).to_be_visible(timeout=MINUTE)
    page.mouse.click(*middle)
    expect(page.get_by_text("Block 5, self_attn.q_proj")).to_be_visible(timeout=MINUTE)
    expect(page).to_have_url(re.compile("block=5&linear=self_attn.q_proj"), timeout=MINUTE)
    assert not page.get_by_text("Traceback").count()


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded runs are made by `python -m engine record`")
def test_no_horizontal_scrolling_on_a_narrow_screen(new_tab: Callable[..., Page], address: str) -> None:
    page = new_tab(900, 900, "dark")
    page.goto(f"{address}/microscope")
    expect(page.get_by_text("Rows with the largest output error")).to_be_visible(timeout=MINUTE)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

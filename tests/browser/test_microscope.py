"""From the masks of two recorded runs to the Microscope: zooming by dragging, and opening another linear."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, Position, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit


def drag(page: Page, plot: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag a box over a chart; the coordinates are pixels from its upper left corner."""
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=8)
    page.mouse.up()


def test_masks_are_compared_and_a_linear_is_zoomed_and_exchanged(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/compare?section=Two+runs")
    expect(page.get_by_text("% of the kept weights")).to_be_visible()
    page.get_by_text("Removed weights", exact=True).click()
    expect(page.get_by_text("% of the removed weights")).to_be_visible()
    expect_to_fit(page)
    page.get_by_test_id("stPageLink").filter(has_text="Wanda 60% on demo").get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/microscope\?.*block=\d+&linear="))

    whole = page.get_by_text(re.compile(r"all \d+ × \d+"))
    expect(whole).to_be_visible()
    expect(page.get_by_text("Rows with the largest output error")).to_be_visible()
    expect(page.get_by_text("Distribution of the Wanda scores")).to_be_visible()
    expect(page.get_by_text("Singular values, dense and pruned")).to_be_visible()
    expect_to_fit(page)

    expect_drawn(page)
    drag(page, page.locator(".js-plotly-plot").first, (200, 150), (350, 250))
    expect(page.get_by_text(re.compile(r"rows \d+–\d+, columns \d+–\d+ of \d+ × \d+"))).to_be_visible()
    expect(page).to_have_url(re.compile("rows=.*columns="))
    page.get_by_role("button", name="Whole weight").click()
    expect(whole).to_be_visible()

    blocks = page.locator(".js-plotly-plot").last
    blocks.scroll_into_view_if_needed()
    expect(blocks.locator(".scatterlayer .trace")).to_have_count(1)
    expect_drawn(page)
    area = blocks.locator(".nsewdrag")
    frame = area.bounding_box()
    assert frame is not None
    # The center of block 5 (of 8), first linear (of 7). Relative to the chart, which may still move down.
    middle: Position = {"x": frame["width"] * 5.5 / 8, "y": frame["height"] * 0.5 / 7}
    area.hover(position=middle, force=True)
    expect(page.get_by_text("click to open the microscope")).to_be_visible()
    area.click(position=middle, force=True)
    expect(page.get_by_text("Block 5, self_attn.q_proj")).to_be_visible()
    expect(page).to_have_url(re.compile("block=5&linear=self_attn.q_proj"))
    assert not page.get_by_text("Traceback").count()
    expect_accessible(page)  # last: charts are drawn again in the other scheme, and a drag would be lost

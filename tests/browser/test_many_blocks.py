"""Heat maps of a model with many blocks, whose numbers a narrow page cannot show."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from plotly.offline import get_plotlyjs

from pages.widgets.chart import SMALL_NUMBERS

CHART = '<div class="st-key-chart-map"><span class="heatmap-label">50</span></div>'


def test_numbers_in_cells_are_drawn_only_if_they_can_be_read(new_tab: Callable[..., Page]) -> None:
    page = new_tab()
    page.set_content(SMALL_NUMBERS.format(name="chart-map", width=680) + CHART)
    number = page.locator(".heatmap-label")
    expect(number).to_be_visible()
    page.set_viewport_size({"width": 600, "height": 1000})
    expect(number).to_be_hidden()


def test_plotly_names_the_numbers_in_cells_as_the_style_does() -> None:
    assert "heatmap-label" in get_plotlyjs()

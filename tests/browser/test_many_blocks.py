"""A run of a real language model: 30 blocks of 7 linears."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from engine.store.runs import Store

REAL = next(run for run in Store().recorded if run.record is not None and len(run.record.blocks) == 30)


def test_numbers_in_cells_are_drawn_only_if_they_can_be_read(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab()
    page.goto(f"{address}/?run={REAL.key}")
    numbers = page.locator(".st-key-chart-output_error .heatmap-label")
    expect(numbers).to_have_count(30 * 7)
    expect(numbers.last).to_be_visible()
    page.set_viewport_size({"width": 900, "height": 1000})
    expect(numbers.last).to_be_hidden()
    expect(page.locator(".st-key-chart-output_error .colorbar")).to_be_visible()

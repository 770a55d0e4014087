"""Lesson 5 from start to end: a guess by keyboard, the search's replay, the race, and its link."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import Page, expect

from tests.browser.layout import NARROW, expect_drawn, expect_to_fit


def parameters(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def test_guess_replay_and_race(new_tab: Callable[..., Page], address: str) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/learn?lesson=allocation")
    slope = page.get_by_role("slider", name="Slope")
    expect(slope).to_be_visible()
    expect_drawn(page)
    slope.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"allocation\.slope=15"))
    assert not page.get_by_text("Distance to NeuroAL").count()
    page.get_by_text("The first blocks.").click()
    expect(page.get_by_text("Distance to NeuroAL")).to_be_visible()

    page.get_by_role("button", name="Next: A search").click()
    page.get_by_text("It falls and then rises.").click()
    expect(page.get_by_role("slider", name="Moments of the search")).to_be_visible()
    assert "allocation.moment" not in parameters(page)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("Number(new URLSearchParams(location.search).get('allocation.moment')) >= 3")
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()  # the header may have one, too
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert 1 < int(parameters(page)["allocation.moment"]) < 30

    page.get_by_role("button", name="Next: Three methods").click()
    page.get_by_role("button", name="Next: A real model").click()
    page.get_by_role("button", name="Next: The race").click()
    expect(page.get_by_role("button", name="Race", exact=True)).to_be_disabled()
    assert parameters(page)["allocation.slope"] == "15"
    page.get_by_text("Only a measurement can tell.").click()
    page.get_by_role("button", name="Race", exact=True).click()
    expect(page.get_by_text("The race at 70 %")).to_be_visible()
    expect_to_fit(page)
    assert not page.get_by_text("Traceback").count()

    other = new_tab()
    other.goto(page.url)
    expect(other.get_by_text("The race at 70 %")).to_be_visible()

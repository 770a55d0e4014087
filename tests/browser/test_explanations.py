"""What a chart shows, in words, and the way from there to the lesson."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.layout import NARROW, expect_to_fit


def test_open_what_a_chart_shows_and_follow_it_to_the_lesson(
    new_tab: Callable[..., Page], address: str
) -> None:
    page = new_tab(**NARROW)
    page.goto(f"{address}/compare?section=Leaderboard")
    label = page.get_by_role("button", name="What am I looking at?")
    expect(label).to_be_visible()
    closed = label.evaluate("element => getComputedStyle(element).color")
    label.click()
    expect(page.get_by_text("has the lowest perplexity")).to_be_visible()
    expect(label).to_have_css("color", closed)  # it was nearly black on black
    expect_to_fit(page)
    page.get_by_role("link", name="Lesson: Prune a matrix by hand · Leaderboard").click()
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    assert "step=leaderboard" in page.url

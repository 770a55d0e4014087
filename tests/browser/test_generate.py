"""A text falls apart under one's eyes, and each of its tokens can be asked why."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

MINUTE = 60_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(MINUTE)
    yield page
    context.close()


def test_from_nothing_to_ninety_percent_and_token_by_token(page: Page, address: str) -> None:
    page.goto(f"{address}/generate")
    expect(page.get_by_text("Dense · perplexity")).to_be_visible()
    expect(page.get_by_text("Always the likeliest token.", exact=True)).to_be_visible(timeout=2 * MINUTE)
    text = page.get_by_test_id("stMarkdown").filter(has_text="Once upon a time")
    dense = text.first.inner_text()
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(9):
        slider.press("ArrowRight")
    expect(page.get_by_text("Wanda 90% on demo · perplexity")).to_be_visible()
    expect(text.first).not_to_have_text(dense)

    page.get_by_text("Token by token", exact=True).click()
    expect(page.get_by_text("over", exact=False).filter(has_text="predicted tokens")).to_be_visible()
    expect(page.locator(".marked .token").first).to_be_visible()
    area = page.get_by_role("textbox", name="Text")
    area.fill("The little cat <b> & the dog sat.")
    area.press("Control+Enter")
    expect(page.locator(".marked .token", has_text="cat")).to_be_visible()
    assert page.locator(".marked b").count() == 0, "a text is no markup"

    page.get_by_text("Side by side", exact=True).click()
    expect(page.get_by_text("Parts from the dense text at", exact=False).first).to_be_visible(timeout=2 * MINUTE)
    assert not page.get_by_text("encountered an error").count()

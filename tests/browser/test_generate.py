"""Generate as a user does: text that degrades with sparsity, and the predictions for each of its tokens."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import expect_drawn, expect_to_fit

MINUTE = 60_000


def test_sparsity_slider_and_token_by_token(page: Page, address: str) -> None:
    page.goto(f"{address}/generate?tokens=20")
    expect(page.get_by_text("Dense · perplexity")).to_be_visible()
    expect(page.get_by_text("Always the most likely token.", exact=True).first).to_be_visible(
        timeout=2 * MINUTE
    )
    text = page.locator(".marked.large")
    dense = text.inner_text()
    assert dense.startswith("Once upon a time")
    expect_accessible(page)
    slider = page.get_by_role("slider").first
    expect_drawn(page)
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text(re.compile(r"Wanda \d+% on demo · perplexity"))).to_be_visible()
    slider.press("End")
    expect(page.get_by_text("Wanda 90% on demo · perplexity")).to_be_visible()
    expect(text.locator(".parting")).to_have_count(1)
    assert text.inner_text() != dense
    assert parse_qs(urlparse(page.url).query)["at"] == ["90 %"]

    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_text("Wanda 20% on demo · perplexity")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    page.get_by_text("Side by side", exact=True).click()
    expect(page.get_by_text("Differs from the dense text at", exact=False).first).to_be_visible(
        timeout=2 * MINUTE
    )
    page.get_by_text("Colours and numbers", exact=True).click()
    expect(page.locator(".marked small").first).to_be_visible()

    page.get_by_text("Token by token", exact=True).click()
    expect(page.get_by_text(re.compile(r"over \d+ predicted tokens"))).to_be_visible(timeout=2 * MINUTE)
    expect(page.get_by_text("Predictions for", exact=False)).to_be_visible()
    expect_to_fit(page)
    assert not page.get_by_text("encountered an error").count()


def test_user_text_is_escaped_and_the_selected_token_is_in_the_address(
    page: Page, new_tab: Callable[..., Page], address: str
) -> None:
    page.goto(f"{address}/generate?part=Your+own+text&tokens=20")
    area = page.get_by_role("textbox", name="Text")
    expect(area).to_be_visible()
    expect_drawn(page)
    area.fill("The <b>cat</b> & the dog sat.")
    area.press("Control+Enter")
    expect(page.locator(".marked .token", has_text="<")).not_to_have_count(0, timeout=2 * MINUTE)
    assert page.locator(".marked b").count() == 0, "the text must not be interpreted as markup"
    chosen = page.locator(".marked .chosen")
    slider = page.get_by_role("slider").first
    expect_drawn(page)
    slider.focus()
    slider.press("End")
    expect(chosen).to_contain_text(".")
    expect(page).to_have_url(re.compile("token="))

    other = new_tab()
    other.goto(page.url)
    expect(other.locator(".marked .chosen")).to_contain_text(".", timeout=2 * MINUTE)
    expect(other.get_by_role("textbox", name="Text")).to_have_value("The <b>cat</b> & the dog sat.")

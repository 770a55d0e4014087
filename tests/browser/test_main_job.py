"""The main job as a user does it: open, prune, watch the progress, read the result, open its link."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.layout import NARROW, expect_drawn, expect_to_fit

MINUTE = 60_000
SHARE = re.compile(r"Block (\d+) of 8")
NOTE_PROGRESS = """
window.progress = [];
window.animated = 0;
new MutationObserver(() => {
  for (const bar of document.querySelectorAll("[data-testid=stProgress]")) {
    progress.push(bar.textContent);
    animated += bar.getAnimations({ subtree: true }).length;
  }
}).observe(document.body, { subtree: true, childList: true, characterData: true });
"""
"""Has the page collect the texts of its progress bar (asking for them takes processor time from the run)
and count the bar's animations.
"""


def open_recipe(page: Page, address: str) -> Locator:
    """Open the address and return the button Prune once it is enabled."""
    page.goto(address)
    button = page.get_by_role("button", name="Prune", exact=True)
    expect(button).to_be_enabled()
    return button


def expect_finished(page: Page) -> None:
    expect(page.get_by_text("All 8 blocks done")).to_be_visible(timeout=2 * MINUTE)
    assert not page.get_by_text("Traceback").count()


def run_key(page: Page) -> str:
    """Return the key of the run on display."""
    return parse_qs(urlparse(page.url).query)["run"][0]


def metric_value(page: Page, name: str) -> float:
    """Return the value of a metric."""
    metric = page.get_by_test_id("stMetric").filter(has_text=name)
    expect(metric).to_be_visible()
    value = metric.get_by_test_id("stMetricValue").inner_text()
    return float(re.sub(r"[^0-9.]", "", value))


def expect_command(page: Page, option: str) -> None:
    """Open the command that repeats the run and find an option in it."""
    expect_drawn(page)
    page.get_by_text("On the command line").click()
    expect(page.get_by_text(option)).to_be_visible()


def test_prune_watch_read_open_the_link_and_continue_a_prompt(
    page: Page, new_tab: Callable[..., Page], address: str, short: str
) -> None:
    prune = open_recipe(page, f"{address}/?samples=40&{short}")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect_accessible(page)
    page.evaluate(NOTE_PROGRESS)
    prune.click()
    expect_finished(page)
    blocks = set(SHARE.findall(" ".join(page.evaluate("progress"))))
    assert len(blocks) >= 2, "the progress bar had fewer than two different values"
    assert page.evaluate("animated") == 0, "the browser paints with the processor that the run needs"

    dense, pruned = metric_value(page, "Dense perplexity"), metric_value(page, "Pruned perplexity")
    assert dense < pruned < 2 * dense
    assert metric_value(page, "Ratio") == pytest.approx(pruned / dense, abs=0.02)
    assert metric_value(page, "Sparsity achieved") == 50
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect_command(page, "--samples 40")
    expect_to_fit(page)

    other = new_tab(**NARROW)
    other.goto(f"{address}/?run={run_key(page)}")
    expect_finished(other)
    assert (metric_value(other, "Dense perplexity"), metric_value(other, "Pruned perplexity")) == (
        dense,
        pruned,
    )
    prompt = other.get_by_role("textbox", name="Prompt")
    expect_drawn(other)
    prompt.fill("The old dog looked at the moon")
    prompt.press("Enter")
    texts = other.get_by_test_id("stText").filter(has_text="The old dog looked at the moon")
    expect(texts).to_have_count(2)
    assert all(len(text) > len("The old dog looked at the moon") for text in texts.all_inner_texts())
    expect_to_fit(other)


def test_a_formula_is_corrected_while_it_is_typed_and_previewed(page: Page, address: str) -> None:
    open_recipe(page, f"{address}/?pruner=formula")
    expect_drawn(page)
    text = page.get_by_role("textbox", name=re.compile("^Formula"))
    text.fill("abs(W) * A")
    expect(page.get_by_text("The formula contains A").first).to_be_visible()
    text.fill("abs(W) * a ** 2")
    expect(page.get_by_text("Distribution of the Formula scores")).to_be_visible()
    expect(page.get_by_text("Kept weights of both masks")).to_be_visible()
    expect(page).to_have_url(re.compile(r"formula\.expression=abs"))
    expect_to_fit(page)
    assert not page.get_by_text("Traceback").count()


def test_two_tabs_are_independent_and_a_cancelled_run_can_be_resumed(
    new_tab: Callable[..., Page], address: str, short: str
) -> None:
    first, second = new_tab(), new_tab()
    prune_second = open_recipe(second, f"{address}/?seed=12&samples=2&length=16&{short}")
    open_recipe(first, f"{address}/?seed=11&{short}").click()
    prune_second.click()
    first.get_by_role("button", name="Cancel").click()
    expect(first.get_by_text("This run was cancelled")).to_be_visible()
    expect_finished(second)
    first.get_by_role("button", name="Try again").click()
    expect_finished(first)
    assert run_key(first) != run_key(second)
    expect_command(first, "--seed 11")
    expect_command(second, "--seed 12")


def test_a_failed_run_and_an_unknown_link_show_a_message_and_no_traceback(page: Page, address: str) -> None:
    open_recipe(page, f"{address}/?samples=5000").click()
    expect(
        page.get_by_text("5,000 calibration windows of 256 tokens were requested from stories", exact=False)
    ).to_be_visible()
    assert not page.get_by_text("Traceback").count()
    page.goto(f"{address}/?run=0123456789abcdef0123")
    expect(page.get_by_test_id("stAlert").first).to_be_visible()
    expect_accessible(page)
    assert not page.get_by_text("Traceback").count()

"""The main job as a user does it: open, prune, watch the progress, read the result, open its link."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

MINUTE = 60_000
SHARE = re.compile(r"Block (\d+) of 8")


def start_run(page: Page, address: str) -> None:
    """Open the address and click Prune as soon as it is enabled."""
    page.goto(address)
    button = page.get_by_role("button", name="Prune", exact=True)
    expect(button).to_be_enabled(timeout=MINUTE)
    button.click()


def expect_finished(page: Page) -> None:
    expect(page.get_by_text("All 8 blocks done")).to_be_visible(timeout=2 * MINUTE)
    assert not page.get_by_text("Traceback").count()


def metric_value(page: Page, name: str) -> float:
    """Return the value of a metric."""
    metric = page.get_by_test_id("stMetric").filter(has_text=name)
    expect(metric).to_be_visible()
    value = metric.get_by_test_id("stMetricValue").inner_text()
    return float(re.sub(r"[^0-9.]", "", value))


def test_prune_watch_read_and_open_the_link(page: Page, new_tab: Callable[..., Page], address: str) -> None:
    start_run(page, f"{address}/?samples=48")
    percentages: set[int] = set()
    deadline = time.monotonic() + 120
    while not page.get_by_text("All 8 blocks done").count() and time.monotonic() < deadline:
        percentages |= {
            int(percentage)
            for percentage in SHARE.findall(" ".join(page.get_by_test_id("stProgress").all_inner_texts()))
        }
        page.wait_for_timeout(200)  # asking more often takes a core from the run
    expect_finished(page)
    assert len(percentages) >= 2, "the progress bar had fewer than two different values"

    dense, pruned = metric_value(page, "Dense perplexity"), metric_value(page, "Pruned perplexity")
    assert dense < pruned < 2 * dense
    assert metric_value(page, "Ratio") == pytest.approx(pruned / dense, abs=0.02)
    assert metric_value(page, "Sparsity achieved") == 50
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.get_by_text("--samples 48")).to_be_visible()

    key = parse_qs(urlparse(page.url).query)["run"][0]
    other = new_tab()
    other.goto(f"{address}/?run={key}")
    expect_finished(other)
    assert (metric_value(other, "Dense perplexity"), metric_value(other, "Pruned perplexity")) == (
        dense,
        pruned,
    )


def test_both_models_continue_the_prompt(page: Page, address: str) -> None:
    start_run(page, address)
    expect_finished(page)
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill("The old dog looked at the moon")
    prompt.press("Enter")
    texts = page.get_by_test_id("stText").filter(has_text="The old dog looked at the moon")
    expect(texts).to_have_count(2, timeout=MINUTE)
    assert all(len(text) > len("The old dog looked at the moon") for text in texts.all_inner_texts())


def test_a_cancelled_run_can_be_resumed(page: Page, address: str) -> None:
    start_run(page, f"{address}/?samples=110&length=255")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This run was cancelled")).to_be_visible(timeout=MINUTE)
    page.get_by_role("button", name="Try again").click()
    expect_finished(page)


def test_two_tabs_are_independent(new_tab: Callable[..., Page], address: str) -> None:
    first, second = new_tab(), new_tab()
    start_run(first, f"{address}/?seed=11&samples=8&length=64")
    start_run(second, f"{address}/?seed=12&samples=8&length=64")
    expect_finished(first)
    expect_finished(second)
    keys = [parse_qs(urlparse(tab.url).query)["run"][0] for tab in (first, second)]
    assert keys[0] != keys[1]
    expect(first.get_by_text("--seed 11")).to_be_visible()
    expect(second.get_by_text("--seed 12")).to_be_visible()


def test_a_failed_run_shows_its_message_and_no_traceback(page: Page, address: str) -> None:
    start_run(page, f"{address}/?samples=5000")
    expect(
        page.get_by_text("5,000 calibration windows of 256 tokens were requested from stories", exact=False)
    ).to_be_visible()
    assert not page.get_by_text("Traceback").count()


def test_an_unknown_link_shows_a_message(page: Page, address: str) -> None:
    page.goto(f"{address}/?run=0123456789abcdef0123")
    expect(page.get_by_test_id("stAlert").first).to_be_visible()
    assert not page.get_by_text("Traceback").count()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (900, "dark")])
def test_no_horizontal_scrolling(
    new_tab: Callable[..., Page], address: str, scheme: str, width: int, tmp_path: Path
) -> None:
    page = new_tab(width, 900, scheme)
    start_run(page, address)
    expect_finished(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

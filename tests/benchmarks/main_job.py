"""Time the main job in a real browser: `python -m tests.benchmarks.main_job`.

Prints the times from server start to a usable page, from the click to the final numbers (with a warm worker),
for opening the link of a finished run, and for a widget to respond while another run is active. Each is the
time that a user waits: the clock stops when the page shows the result.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import served
from tests.browser.layout import START

TIMEOUT = 120_000  # milliseconds


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 1050}).new_page()
        start = time.perf_counter()
        with served.app(Path(home)) as address:
            page.goto(address)
            expect(page.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
            print(f"server start to usable page   {time.perf_counter() - start:5.2f} s")
            page.wait_for_timeout(12_000)  # the worker warms up meanwhile
            print(f"click to final numbers        {timed(lambda: prune(page)):5.2f} s")
            expect(page.get_by_test_id("stText")).to_have_count(2, timeout=TIMEOUT)
            other = browser.new_context(viewport={"width": 1440, "height": 1050}).new_page()
            other.goto(address)
            expect(other.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
            print(f"opening a finished run's link {timed(lambda: open_link(other, page.url)):5.2f} s")
            slowest = max(response_times(other, page, address))
            print(f"a widget during another run   {slowest:5.2f} s (slowest of five)")
        browser.close()


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def prune(page: Page) -> None:
    page.get_by_role("button", name=START).click()
    expect(page.get_by_text("finished").first).to_be_visible(timeout=TIMEOUT)  # not "computed earlier"


def open_link(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text("All 8 blocks done")).to_be_visible(timeout=TIMEOUT)


def response_times(page: Page, other: Page, address: str) -> list[float]:
    """Return the seconds from a change in the form to the page's response, while `other` runs a recipe."""
    page.goto(address)
    expect(page.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
    other.goto(f"{address}/?samples=110&seed=1")
    button = other.get_by_role("button", name=START)
    expect(button).to_be_enabled(timeout=TIMEOUT)
    button.click()
    expect(other.get_by_role("button", name="Cancel")).to_be_visible(timeout=TIMEOUT)
    slider = page.get_by_role("slider").first
    times = []
    for _ in range(5):
        before = page.url
        slider.press("ArrowRight")
        times.append(
            timed(lambda before=before: page.wait_for_url(lambda url: url != before, timeout=TIMEOUT))
        )  # type: ignore[misc]
    return times


if __name__ == "__main__":
    main()

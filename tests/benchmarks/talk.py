"""Time the waits in a ten-minute talk, offline: `python -m tests.benchmarks.talk [--speech 8]`.

The speaker changes the default talk (a page shown in the tab becomes its third view), opens the notes in a
second window, steps through all views by keys, runs the live one, jumps back, ends, and makes the handout,
which a listener opens from a file without a network. A wait ends when the page shows what the speaker needs
to continue. Before each key the speaker talks for `--speech` seconds, much less than in a real talk.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from engine.store.default_talk import default_talk
from engine.store.talk import DEFAULT
from tests.browser import served

TIMEOUT = 120_000  # milliseconds
PROJECTOR = {"width": 1920, "height": 1080}
IDLE = """() => document.querySelector("[data-test-script-state=notRunning]")
  && !document.querySelector("[data-testid=stSkeleton]")
  && [...document.querySelectorAll("[data-testid=stPlotlyChart]")].every(
    (chart) => chart.querySelector(".main-svg"))"""
"""Whether the page is drawn, with all charts."""
FINISHED = """() => [...document.querySelectorAll("[data-testid=stMain] span")].some(
  (badge) => badge.innerText.trim().endsWith("finished"))"""
LIVE, ADDED = 2, 3
"""The view with a live run, and the position of the added one, from 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=float, default=8.0, help="seconds between two views")
    speech = parser.parse_args().speech
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        context = browser.new_context(viewport=PROJECTOR, accept_downloads=True)  # type: ignore[arg-type]
        context.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        with served_app(Path(home)) as address:
            page = context.new_page()
            prepare(page, address)
            give(page, context, speech)
            file = Path(home) / "handout.html"
            hand_out(page, address, file)
            listen(browser, file)
        browser.close()


@contextmanager
def served_app(home: Path) -> Iterator[str]:
    start = time.perf_counter()
    with served.app(home) as address:
        report("the server responds", start)
        yield address


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    report(what, start)


def report(what: str, start: float) -> None:
    print(f"{what:<58}{time.perf_counter() - start:6.2f} s", flush=True)


def prepare(page: Page, address: str) -> None:
    """Add a page of this tab to the default talk."""
    with timed("Explore opens: numbers"):
        page.goto(address)
        expect(page.get_by_text("computed earlier").first).to_be_visible()
    with timed("Explore opens: all charts"):
        page.wait_for_function(IDLE)
    with timed("60 % instead of 50 %"):
        page.get_by_role("button", name="Show the computed run at 60\u00a0%").click()
        page.wait_for_url("**sparsity=0.6**")
        page.wait_for_function(IDLE)
    with timed("Present opens"):
        page.get_by_test_id("stTopNavLink").filter(has_text="Present").click()
        expect(page.get_by_role("button", name="Start")).to_be_visible()
    choice = page.get_by_role("combobox", name="Page shown in this tab")
    choice.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list that is open while the page scrolls closes again
    choice.click()
    page.get_by_role("option").first.click()
    page.get_by_label("Title that the audience sees", exact=True).fill("60 %")
    page.get_by_label("Position", exact=True).fill(str(ADDED))
    page.get_by_role("textbox", name="Notes for the speaker").fill("- One of my own.")
    with timed("the view is added"):
        page.get_by_role("button", name="Add this view").click()
        expect(page.get_by_text(f"{ADDED} · 60 %")).to_be_visible()


def give(page: Page, context: BrowserContext, speech: float) -> None:
    """Step through the talk with the notes in a second window."""
    with timed("the notes open in a second window"), context.expect_page() as opened:
        page.get_by_text("Open the notes in another window").click()
    notes = opened.value
    expect(notes.get_by_text("not started")).to_be_visible()
    page.bring_to_front()
    with timed("view 1"):
        page.get_by_role("button", name="Start").click()
        expect_view(page, 1)
    last = len(default_talk().views) + 1
    for place in range(2, last + 1):
        page.wait_for_timeout(1000 * speech)
        page.keyboard.press("ArrowRight")
        start = time.perf_counter()
        expect_view(page, place)
        report(f"view {place}", start)
        bar(notes, place)
        report(f"view {place}: its notes, at most", start)
        if place == LIVE:
            run_live(page)
    with timed("two views back"):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect_view(page, last - 2)
    with timed("the end"):
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("stTopNavLink").first).to_be_visible()
    print("page errors:", page.get_by_text("encountered an error").count())


def expect_view(page: Page, place: int) -> None:
    bar(page, place)
    page.wait_for_function(IDLE)


def bar(page: Page, place: int) -> None:
    expect(page.get_by_test_id("stBottomBlockContainer").get_by_text(f"{place} of ")).to_be_visible()


def run_live(page: Page) -> None:
    start = time.perf_counter()
    page.get_by_test_id("stMain").get_by_role("button", name="Run it live").first.click()
    expect(page.get_by_role("progressbar").first).to_be_visible()
    report("(the live run: progress)", start)
    page.wait_for_function(FINISHED)
    report("(the live run: result)", start)


def hand_out(page: Page, address: str, file: Path) -> None:
    """Make the handout of the talk."""
    page.goto(f"{address}/present?talk={DEFAULT}")
    page.get_by_role("button", name="Handout").click()
    with timed("the handout is made"), page.expect_download() as download:
        page.get_by_role("button", name="Make it").click()
    download.value.save_as(file)
    print(f"the handout has {file.stat().st_size / 1e6:.1f} MB")


def listen(browser: Browser, file: Path) -> None:
    """Open the handout without a network, as a listener does."""
    page = browser.new_context(offline=True).new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    with timed("the handout opens: first chart"):
        page.goto(file.as_uri())
        expect(page.locator(".main-svg").first).to_be_visible()
    outside = [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
    print("requests to the network:", len(outside))


if __name__ == "__main__":
    main()

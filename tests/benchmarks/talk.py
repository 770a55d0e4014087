"""Time the waits in a ten-minute talk from a cold start, offline: `python -m tests.benchmarks.talk`.

The talk: lesson 1 in Learn, a live run in Explore, recorded curves in Compare, a linear in the Microscope, a
degrading text in Generate. A wait ends when the page shows what the speaker needs to continue. Between the
waits the speaker talks for `SPEECH` seconds, much less than in a real talk.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import served
from tests.browser.layout import START

TIMEOUT = 120_000  # milliseconds
SPEECH = 8.0  # seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        start = time.perf_counter()
        with served.app(Path(home)) as address:
            print(f"{'the server responds':<58}{time.perf_counter() - start:6.2f} s")
            give_talk(page, address)
        browser.close()


def give_talk(page: Page, address: str) -> None:
    """Run the talk step by step."""
    time_wait(
        "cold start: the list of lessons",
        lambda: open_page(page, f"{address}/learn", "Prune a matrix by hand"),
    )
    speak(page)
    card = page.get_by_role("button", name="Prune a matrix by hand")
    time_wait("lesson 1 opens", lambda: expect_visible_after(page, card.click, "Output error"))
    speak(page)
    time_wait(
        "Explore opens",
        lambda: expect_visible_after(page, lambda: open_page_from_menu(page, "Explore"), "computed earlier"),
    )
    speak(page)
    time_wait(
        "(a live run, from the click to the result)",
        lambda: expect_visible_after(page, lambda: prune(page), "finished"),
    )
    time_wait(
        "continuations of the prompt by both models",
        lambda: expect(page.get_by_test_id("stText")).to_have_count(2, timeout=TIMEOUT),
    )
    speak(page)
    time_wait(
        "Compare: curves of recorded runs",
        lambda: expect_plot_after(page, lambda: open_page_from_menu(page, "Compare")),
    )
    speak(page)
    time_wait(
        "Compare: two runs",
        lambda: expect_visible_after(
            page, lambda: page.get_by_text("Two runs", exact=True).click(), "Differences and results"
        ),
    )
    time_wait("Compare: mask overlap", lambda: expect_visible(page, "Mask overlap, %"))
    speak(page)
    time_wait(
        "Microscope: one linear",
        lambda: expect_plot_after(page, lambda: open_page_from_menu(page, "Microscope")),
    )
    speak(page)
    time_wait(
        "Generate: the dense text",
        lambda: expect_visible_after(
            page, lambda: open_page_from_menu(page, "Generate"), "texts are written", "She "
        ),
    )
    speak(page)
    slider = page.get_by_role("slider").first
    slider.focus()
    for step in (50, 70, 90):
        time_wait(f"Generate: {step} %", lambda step=step: move_slider(page, slider, step))  # type: ignore[misc]
    print("page errors:", page.get_by_text("encountered an error").count())


def time_wait(what: str, work: Callable[[], None]) -> None:
    start = time.perf_counter()
    work()
    print(f"{what:<58}{time.perf_counter() - start:6.2f} s", flush=True)


def speak(page: Page) -> None:
    page.wait_for_timeout(1000 * SPEECH)


def open_page_from_menu(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()


def prune(page: Page) -> None:
    page.get_by_role("button", name=START).click()


def expect_visible(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.get_by_text(text, exact=False).first).to_be_visible(timeout=TIMEOUT)


def open_page(page: Page, address: str, text: str) -> None:
    page.goto(address)
    expect_visible(page, text)


def expect_visible_after(page: Page, work: Callable[[], None], *texts: str) -> None:
    work()
    expect_visible(page, *texts)


def expect_plot_after(page: Page, work: Callable[[], None]) -> None:
    work()
    page.wait_for_url(lambda url: "run=" not in url or "microscope" in url, timeout=TIMEOUT)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=TIMEOUT)


def move_slider(page: Page, slider: object, step: int) -> None:
    """Move the slider right to the given sparsity."""
    while f"Wanda {step}%" not in page.inner_text("body"):
        slider.press("ArrowRight")  # type: ignore[attr-defined]
        page.wait_for_timeout(60)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=TIMEOUT)


if __name__ == "__main__":
    main()

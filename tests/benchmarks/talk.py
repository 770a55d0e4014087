"""The waits of a ten-minute talk from a cold start, without a network: `python -m tests.benchmarks.talk`.

The talk: lesson 1 in Learn, a live run in Explore, recorded curves in Compare, a linear in the microscope, a
text that degrades in Generate. A wait ends when the page shows what the speaker needs to continue. Between
the waits the speaker talks for `SPEECH` seconds, much less than in a real talk.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import served

LONG = 120_000  # milliseconds
SPEECH = 8.0


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        start = time.perf_counter()
        with served.app(Path(home)) as address:
            print(f"{'the server answers':<58}{time.perf_counter() - start:6.2f} s")
            give(page, address)
        browser.close()


def give(page: Page, address: str) -> None:
    """Give the talk step by step."""
    wait("cold: the lessons' list", lambda: open_page(page, f"{address}/learn", "Prune a matrix by hand"))
    speak(page)
    card = page.get_by_role("button", name="Prune a matrix by hand")
    wait("lesson 1 opens", lambda: visible_after(page, card.click, "Output error"))
    speak(page)
    wait("Explore opens", lambda: visible_after(page, lambda: menu(page, "Explore"), "Choose"))
    speak(page)
    wait(
        "(a live run, from the click to its numbers)",
        lambda: visible_after(page, lambda: prune(page), "All 8 blocks done"),
    )
    wait(
        "the same prompt, continued by both",
        lambda: expect(page.get_by_test_id("stText")).to_have_count(2, timeout=LONG),
    )
    speak(page)
    wait("Compare: curves of recorded runs", lambda: plot_after(page, lambda: menu(page, "Compare")))
    speak(page)
    wait(
        "Compare: two runs",
        lambda: visible_after(
            page, lambda: page.get_by_text("Two runs", exact=True).click(), "Differences and results"
        ),
    )
    wait("Compare: what their masks share", lambda: visible(page, "Mask overlap, %"))
    speak(page)
    wait("Microscope: a linear", lambda: plot_after(page, lambda: menu(page, "Microscope")))
    speak(page)
    wait(
        "Generate: the dense text",
        lambda: visible_after(page, lambda: menu(page, "Generate"), "texts are written", "She "),
    )
    speak(page)
    slider = page.get_by_role("slider").first
    slider.focus()
    for step in (50, 70, 90):
        wait(f"Generate: {step} %", lambda step=step: walk(page, slider, step))  # type: ignore[misc]
    print("page errors:", page.get_by_text("encountered an error").count())


def wait(what: str, work: Callable[[], None]) -> None:
    start = time.perf_counter()
    work()
    print(f"{what:<58}{time.perf_counter() - start:6.2f} s", flush=True)


def speak(page: Page) -> None:
    page.wait_for_timeout(1000 * SPEECH)


def menu(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()


def prune(page: Page) -> None:
    page.get_by_role("button", name="Prune", exact=True).click()


def visible(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.get_by_text(text, exact=False).first).to_be_visible(timeout=LONG)


def open_page(page: Page, address: str, text: str) -> None:
    page.goto(address)
    visible(page, text)


def visible_after(page: Page, work: Callable[[], None], *texts: str) -> None:
    work()
    visible(page, *texts)


def plot_after(page: Page, work: Callable[[], None]) -> None:
    work()
    page.wait_for_url(lambda url: "run=" not in url or "microscope" in url, timeout=LONG)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=LONG)


def walk(page: Page, slider: object, step: int) -> None:
    while f"Wanda {step}%" not in page.inner_text("body"):
        slider.press("ArrowRight")  # type: ignore[attr-defined]
        page.wait_for_timeout(60)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=LONG)


if __name__ == "__main__":
    main()

"""Time the first minute in a real browser: `python -m tests.benchmarks.first_paint [--times 5]`.

Each repetition starts a server on an empty store and prints, then the median of all: seconds from the start
of the server's process to the numbers of the bundled Wanda run at 50 % and to the last chart; the same from
opening a second tab; from a click on a mark beneath the sparsity slider; and from Prune to the numbers of a
run that was not computed before, the first of its worker and the next ones. The browser is running
beforehand; it shares the cores with the server and draws without a GPU. Other load is part of every figure.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from engine.charts.headline import run_numbers
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from tests.browser import served
from tests.browser.layout import START

TIMEOUT = 120_000  # milliseconds
READY = 15_000
"""Milliseconds after which a worker is warm."""
SETTLED = 3_000
"""Milliseconds without a change of any chart after which all are drawn."""
MARKS = (60, 70, 40)
NEW = (41.5, 52.5, 61.5)
"""Sparsities of which no run is bundled, in percent."""
WATCH_CHARTS = """() => {
  window.drawn = 0;
  new MutationObserver((changes) => {
    if (changes.some(({ target }) => target.closest?.(".js-plotly-plot"))) window.drawn = Date.now();
  }).observe(document, { childList: true, attributes: true, subtree: true });
}"""
SHOWN = """value => [...document.querySelectorAll("[data-testid=stMetricValue]")].some(
  (metric) => metric.textContent.trim() === value
)"""
FINISHED = """title => [...document.querySelectorAll("h2")].some(
  (heading) => heading.textContent.includes(title)
) && [...document.querySelectorAll("[data-testid=stMain] span")].some(
  (badge) => badge.textContent.trim().endsWith("finished")
) && /All \\d+ blocks done/.test(document.body.textContent)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    values = bundled_values()
    found: defaultdict[str, list[float]] = defaultdict(list)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        for number in range(1, times + 1):
            print(f"{number} of {times}, {os.getloadavg()[0]:.1f} processes were busy before", flush=True)
            with tempfile.TemporaryDirectory() as home:
                for what, seconds in first_minute(browser, Path(home), values):
                    print(f"  {what:<50}{seconds:6.2f} s", flush=True)
                    found[what].append(seconds)
        browser.close()
    print("median")
    for what, every in found.items():
        print(f"  {what:<50}{statistics.median(every):6.2f} s   ({min(every):.2f} to {max(every):.2f})")


def bundled_values() -> dict[int, str]:
    """Return the pruned perplexity of Wanda at some sparsities, as a page shows it."""
    recipes = {share: pin(Recipe.build(pruner="wanda", sparsity=share / 100)) for share in (50, *MARKS)}
    with tempfile.TemporaryDirectory() as home:
        records = {share: Store(home).find(recipe.key).record() for share, recipe in recipes.items()}
    return {share: run_numbers(record)[1].value for share, record in records.items()}


def first_minute(browser: Browser, home: Path, values: Mapping[int, str]) -> Iterator[tuple[str, float]]:
    """Yield what is waited for, and the seconds."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(TIMEOUT)
    context.add_init_script(f"({WATCH_CHARTS})()")
    start = time.time()
    with served.app(home) as address:
        page = context.new_page()
        yield from waits(page, "server start", lambda: page.goto(address), values[50], start)
        page.wait_for_timeout(READY)
        page.close()
        tab = context.new_page()
        yield from waits(tab, "second tab", lambda: tab.goto(address), values[50])
        for share in MARKS:
            mark = tab.get_by_role("button", name=re.compile(rf"computed run at {share}\b"))
            yield from waits(tab, "mark's click", mark.click, values[share])
        for number, share in enumerate(NEW):
            yield (
                f"Prune to numbers, {'the first run' if number == 0 else 'a next run'}",
                prune(tab, address, share),
            )
    context.close()


def waits(
    page: Page, what: str, begin: Callable[[], object], value: str, start: float | None = None
) -> Iterator[tuple[str, float]]:
    """Begin something, and yield the seconds until a page shows a number, and until its last chart."""
    start = start or time.time()
    begin()
    page.wait_for_function(SHOWN, arg=value)
    yield f"{what} to numbers", time.time() - start
    page.wait_for_function(f"window.drawn > {1000 * start:.0f} && Date.now() - window.drawn > {SETTLED}")
    yield f"{what} to the last chart", page.evaluate("window.drawn") / 1000 - start


def prune(page: Page, address: str, share: float) -> float:
    """Return the seconds from Prune to the numbers of a run of Wanda."""
    page.goto(f"{address}/?sparsity={share / 100}")
    button = page.get_by_role("button", name=START)
    page.wait_for_function(f"window.drawn && Date.now() - window.drawn > {SETTLED}")
    start = time.time()
    button.click()
    page.wait_for_function(FINISHED, arg=f"{share}%")
    return time.time() - start


if __name__ == "__main__":
    main()

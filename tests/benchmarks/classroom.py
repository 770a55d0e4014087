"""Measure a class on two cores: `python -m tests.benchmarks.classroom [--students 30] [--within 60]`.

A teacher and the students are browser tabs on the same machine as the server, which is harder than in a room:
their rendering takes most of the processor time. The students answer at random moments (`--within 0`: all at
once), change their minds, then the teacher reveals the answer and opens the next step. Prints how long each
side waits, lost answers, and the processor time of the app.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser import served

TIMEOUT = 180_000  # milliseconds
CHOICES = 3
CHART = ".st-key-chart-class-groups-row .bartext"
"""The numbers at the bars of the teacher's chart."""
WATCH_CHART = """selector => {
  window.totals = [];
  setInterval(() => {
    const bars = [...document.querySelectorAll(selector)];
    const counts = bars.map(bar => Number(bar.textContent));
    const key = counts.join(" "), last = window.totals.at(-1);
    if (bars.length && last?.key !== key) window.totals.push({at: Date.now(), key, counts});
  }, 50);
}"""
WATCH_TEXTS = """texts => {
  window.seen = {};
  new MutationObserver(() => {  // `innerText` at intervals would cost more than the pages
    const page = document.body.textContent;
    for (const [name, text] of Object.entries(texts))
      if (!(name in window.seen) && page.includes(text)) window.seen[name] = Date.now();
  }).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""
TEXTS = {
    "counted": "Your answer is counted",
    "revealed": "Find out how low the sparsity must be",
    "opened": "Hardware needs more structure",
}
"""What a student reads when an answer is counted, when it is revealed, and in the next step."""
CHOOSE = """([choice, at]) => setTimeout(() => {
  window.clicked = Date.now();
  document.querySelectorAll('[data-testid=stRadio] input')[choice].click();
}, at - Date.now())"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--within", type=float, default=60.0, help="seconds in which all of them answer")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    environment = {**os.environ, "PRUNESCOPE_PUBLIC": "1"}
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        with served.app(Path(home), environment) as address:
            teach(browser, address, options.students, options.within)
        browser.close()


def teach(browser: Browser, address: str, students: int, within: float) -> None:
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT)
    teacher = context.new_page()
    open_class(teacher, address)
    tabs = [context.new_page() for _ in range(students)]
    with processor_time("joining"):
        for tab in tabs:
            tab.goto(f"{address}/learn?class=measured&lesson=groups&step=row", wait_until="commit")
        for tab in tabs:
            expect(tab.get_by_test_id("stRadio")).to_be_visible(timeout=TIMEOUT)
            tab.evaluate(WATCH_TEXTS, TEXTS)
    teacher.evaluate(WATCH_CHART, CHART)
    with processor_time("waiting"):
        teacher.wait_for_timeout(10_000)

    choices = [random.randrange(CHOICES) for _ in tabs]
    with processor_time("answering"):
        clicked = choose(tabs, choices, within)
    wait_for(teacher, choices)
    counted = [seen(tab, "counted") for tab in tabs]
    report("answer to its confirmation", [at - click for at, click in zip(counted, clicked, strict=True)])
    report("answer to the teacher's chart", delays(teacher, clicked))

    changed = [(choice + 1) % CHOICES for choice in choices]
    choose(tabs, changed, within / 4)
    wait_for(teacher, changed)

    start = time.time()
    teacher.get_by_role("button", name="Reveal the answer").click()
    report("reveal to the students' pages", [seen(tab, "revealed") - start for tab in tabs])
    teacher.get_by_role("button", name="Next: N:M").click()
    expect(teacher.get_by_text(TEXTS["opened"])).to_be_visible(timeout=TIMEOUT)
    for tab in tabs:
        tab.get_by_role("button", name="Next: N:M").click()
    for tab in tabs:
        expect(tab.get_by_text("has not opened this step yet")).to_be_visible(timeout=TIMEOUT)
    start = time.time()
    teacher.get_by_text("Step is open for the class").click()
    report("opening a step to the students' pages", [seen(tab, "opened") - start for tab in tabs])


def open_class(teacher: Page, address: str) -> None:
    """Create the class and open the first step of a lesson in it."""
    teacher.goto(f"{address}/learn?class=measured&teacher=1")
    teacher.get_by_role("button", name="Create the class").click()
    teacher.get_by_role("button", name="I have noted it").click()
    teacher.get_by_role("button", name="Comparison groups").click()
    teacher.get_by_text("Step is open for the class").click()
    expect(teacher.locator(CHART).first).to_be_visible(timeout=TIMEOUT)


def choose(tabs: Sequence[Page], choices: Sequence[int], within: float) -> list[float]:
    """Let each tab choose at a random moment; return the moments."""
    start = time.time() + 2  # until then, all tabs have been told
    for tab, choice in zip(tabs, choices, strict=True):
        tab.evaluate(CHOOSE, [choice, 1000 * (start + random.uniform(0, within))])
    tabs[0].wait_for_timeout(1000 * (start + within + 1 - time.time()))
    return [tab.evaluate("window.clicked") / 1000 for tab in tabs]


def wait_for(teacher: Page, choices: Sequence[int]) -> None:
    """Wait until the chart has these answers, and print how many are lost if it never has."""
    expected = [choices.count(choice) for choice in range(CHOICES)]
    deadline = time.time() + 30
    while (shown := teacher.evaluate("window.totals.at(-1).counts")) != expected and time.time() < deadline:
        teacher.wait_for_timeout(50)
    lost = sum(abs(one - other) for one, other in zip(shown, expected, strict=True))
    print(f"{'answers in the chart':<40}{sum(shown):>5} of {len(choices)}, {lost} wrong or lost", flush=True)


def delays(teacher: Page, clicked: Sequence[float]) -> list[float]:
    """Return the seconds from each answer to the first chart with as many answers."""
    charts = [(each["at"] / 1000, sum(each["counts"])) for each in teacher.evaluate("window.totals")]
    return [
        next(at for at, total in charts if total >= number) - moment
        for number, moment in enumerate(sorted(clicked), start=1)
    ]


def seen(tab: Page, name: str) -> float:
    """Return when a tab showed a text."""
    tab.wait_for_function("name => name in window.seen", arg=name, timeout=TIMEOUT)
    return float(tab.evaluate("name => window.seen[name]", name)) / 1000


def report(what: str, waits: Sequence[float]) -> None:
    print(f"{what:<40}median {statistics.median(waits):5.2f} s, longest {max(waits):5.2f} s", flush=True)


@contextmanager
def processor_time(what: str) -> Iterator[None]:
    """Print the share of one core that the app's process uses meanwhile, and the browser's processes."""
    before, start = used(), time.perf_counter()
    yield
    elapsed = time.perf_counter() - start
    shares = {name: (seconds - before[name]) / elapsed for name, seconds in used().items()}
    print(
        f"{what:<40}{elapsed:5.1f} s, app {shares['app']:.0%} of a core, browser {shares['browser']:.0%}",
        flush=True,
    )


def used() -> dict[str, float]:
    """Return the processor seconds so far of the app's process and of all browser processes."""
    totals = {"app": 0.0, "browser": 0.0}
    for process in psutil.Process().children(recursive=True):
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        role = "app" if "streamlit run" in command else "browser" if "chrom" in command else ""
        if role:
            totals[role] += times.user + times.system
    return totals


if __name__ == "__main__":
    main()

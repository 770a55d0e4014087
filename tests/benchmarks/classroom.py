"""Measure a class on two cores: `python -m tests.benchmarks.classroom [--students 30] [--within 60]`.

A teacher and the students are browser tabs on the same machine as the server, which is harder than in a
room: their rendering takes most of the processor time. With `--connections` the students talk to the server
as tabs do, but nothing is drawn: what then remains of the waiting is the server's share. The students answer
at random moments (`--within 0`: all at once), change their minds, then the teacher reveals the answer and
opens the next step. Prints how long each side waits, lost answers, and the processor time of the app.
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

from tests.benchmarks.class_students import TEXTS, ConnectedStudent, Student, TabStudent
from tests.browser import served

TIMEOUT = 180_000  # milliseconds
CHOICES = 3
CHART = ".st-key-chart-class-groups-row .bartext"
"""The numbers at the bars of the teacher's chart."""
WATCH_CHART = """([selector, choices]) => {
  window.totals = [];
  setInterval(() => {
    const bars = [...document.querySelectorAll(selector)];
    const counts = bars.map(bar => Number(bar.textContent));
    const key = counts.join(" "), last = window.totals.at(-1);
    // while the chart is drawn again, its bars may be missing or there twice
    if (bars.length === choices && last?.key !== key) window.totals.push({at: Date.now(), key, counts});
  }, 50);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--within", type=float, default=60.0, help="seconds in which all of them answer")
    parser.add_argument("--connections", action="store_true", help="students without a browser")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    environment = {**os.environ, "PRUNESCOPE_PUBLIC": "1"}
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        with served.app(Path(home), environment) as address:
            teach(browser, address, options.students, options.within, connections=options.connections)
        browser.close()


def teach(browser: Browser, address: str, number: int, within: float, *, connections: bool) -> None:
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT)
    teacher = context.new_page()
    open_class(teacher, address)
    students: list[Student] = [
        ConnectedStudent(address) if connections else TabStudent(context, address) for _ in range(number)
    ]
    with processor_time("joining"):
        for student in students:
            student.join()
        for student in students:
            student.seen("question")
    teacher.evaluate(WATCH_CHART, [CHART, CHOICES])
    with processor_time("waiting"):
        teacher.wait_for_timeout(10_000)

    choices = [random.randrange(CHOICES) for _ in students]
    with processor_time("answering"):
        choose(teacher, students, choices, within)
    wait_for(teacher, choices)
    clicked = [student.clicked() for student in students]
    counted = [student.seen("counted") for student in students]
    report("answer to its confirmation", [at - click for at, click in zip(counted, clicked, strict=True)])
    report("answer to the teacher's chart", delays(teacher, clicked))

    changed = [(choice + 1) % CHOICES for choice in choices]
    choose(teacher, students, changed, within / 4)
    wait_for(teacher, changed)

    with processor_time("revealing", number):
        start = time.time()
        teacher.get_by_role("button", name="Reveal the answer").click()
        revealed = [student.seen("revealed") for student in students]
        report("reveal to the students' pages", [at - start for at in revealed])
    waits = [
        at - student.requested
        for at, student in zip(revealed, students, strict=True)
        if isinstance(student, ConnectedStudent)
    ]
    if waits:
        report("a page's request to its answer", waits)
    expect(teacher.get_by_role("button", name="Revealed to the class")).to_be_visible(timeout=TIMEOUT)
    teacher.get_by_role("button", name="Next: N:M").click()
    expect(teacher.get_by_text(TEXTS["opened"])).to_be_visible(timeout=TIMEOUT)
    for student in students:
        student.go_on()
    for student in students:
        student.seen("locked")
    with processor_time("opening", number):
        start = time.time()
        teacher.get_by_text("Step is open for the class").click()
        opened = [student.seen("opened") - start for student in students]
        report("opening a step to the students' pages", opened)


def open_class(teacher: Page, address: str) -> None:
    """Create the class and open the first step of a lesson in it."""
    teacher.goto(f"{address}/learn?class=measured&teacher=1")
    teacher.get_by_role("button", name="Create the class").click()
    teacher.get_by_role("button", name="I have noted it").click()
    teacher.get_by_role("button", name="Comparison groups").click()
    teacher.get_by_text("Step is open for the class").click()
    expect(teacher.locator(CHART).first).to_be_visible(timeout=TIMEOUT)


def choose(teacher: Page, students: Sequence[Student], choices: Sequence[int], within: float) -> None:
    """Let each student choose at a random moment."""
    start = time.time() + 2  # until then, all have been told
    for student, choice in zip(students, choices, strict=True):
        student.choose(choice, start + random.uniform(0, within))
    teacher.wait_for_timeout(1000 * (start + within + 1 - time.time()))


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


def report(what: str, waits: Sequence[float]) -> None:
    print(f"{what:<40}median {statistics.median(waits):5.2f} s, longest {max(waits):5.2f} s", flush=True)


@contextmanager
def processor_time(what: str, students: int = 0) -> Iterator[None]:
    """Print the share of one core that the app's process uses meanwhile, and the browser's processes; or the
    app's processor time per student.
    """
    before, start = used(), time.perf_counter()
    yield
    elapsed = time.perf_counter() - start
    taken = {name: seconds - before[name] for name, seconds in used().items()}
    if students:
        words = f"{1000 * taken['app'] / students:.0f} ms of processor time per student"
    else:
        words = f"{taken['app'] / elapsed:.0%} of a core, browser {taken['browser'] / elapsed:.0%}"
    print(f"{what:<40}{elapsed:5.1f} s, app {words}", flush=True)


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

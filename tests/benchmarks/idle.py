"""Measure the CPU time of an idle app: `python -m tests.benchmarks.idle`.

Prints, per role of its processes (the workers together) and in percent of one core, the CPU time used in one
minute: first with no browser connected, then with one open tab. CPU time is counted, not elapsed time, so
other load hardly matters.
"""

import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from playwright.sync_api import expect, sync_playwright

from tests.browser import served
from tests.browser.layout import START

MINUTE = 60.0  # seconds
SETTLE = 60.0  # seconds for the worker's warm-up and the background imports
TIMEOUT = 120_000  # milliseconds


def main() -> None:
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=served.chromium(), args=served.ARGUMENTS)
        with served.app(Path(home)) as address:
            page = browser.new_page()
            page.goto(address)  # the engine starts with the first page
            expect(page.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
            time.sleep(SETTLE)
            page.close()
            report("no tab", usage())
            page = browser.new_page()
            page.goto(address)
            expect(page.get_by_role("button", name=START)).to_be_enabled(timeout=TIMEOUT)
            time.sleep(SETTLE)
            report("one tab", usage())
        browser.close()


def usage() -> dict[str, float]:
    """Return the share of one core that the app's processes of each role use, in percent."""
    processes = [(label(process), process) for process in psutil.Process().children(recursive=True)]
    before = [(role, process, seconds(process)) for role, process in processes if role]
    time.sleep(MINUTE)
    shares: defaultdict[str, float] = defaultdict(float)
    for role, process, used in before:
        shares[role] += 100 * (seconds(process) - used) / MINUTE
    return shares


def label(process: psutil.Process) -> str:
    """Return the role of a process, or an empty string for the browser and idle helpers."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:  # a browser process that has just exited
        return ""
    roles = {
        "streamlit": "app",
        "engine.jobs.serve": "scheduler",
        "spawn_main": "worker",
        "engine.jobs.preloaded": "worker",  # also the process that it is forked from
    }
    return next((role for part, role in roles.items() if part in command), "")


def seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def report(title: str, shares: dict[str, float]) -> None:
    parts = "  ".join(f"{name} {share:4.2f} %" for name, share in sorted(shares.items()))
    print(f"{title:8s} {sum(shares.values()):5.2f} % of a core: {parts}", flush=True)


if __name__ == "__main__":
    main()

"""Measure whether a long-running app grows: `python -m tests.benchmarks.soak [--runs 200]`.

Computes runs that differ in their seed while visitors, each with a session of its own, look at them on one
page after another. Prints the resident memory of the worker and of the app (this process, with the visitors'
sessions in it) every ten runs, and what each gained after the first forty. Both should stay as they are.
"""

import argparse
import gc
import os
import tempfile
import time
import tracemalloc
from itertools import cycle
from pathlib import Path

import psutil
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"
PAGES = ("explore", "compare", "microscope", "generate", "runs")
SETTLED = 40
"""Runs after which the memory should stay as it is."""
EVERY = 10
"""Runs between two lines."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--samples", type=int, default=128, help="calibration windows of each run")
    parser.add_argument("--trace", action="store_true", help="list what the app allocated after the first 40")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PRUNESCOPE_HOME"] = home
        soak(options)


def soak(options: argparse.Namespace) -> None:
    from engine.jobs.service import BackgroundEngine
    from engine.recipe import Recipe
    from pages.widgets import engine_handle

    manifest_scanner.scan_component_manifests = list  # each `AppTest` would search all installed packages
    engine = BackgroundEngine()
    engine.start()
    engine_handle.shared_engine = lambda: engine  # type: ignore[assignment]
    visitors = cycle(AppTest.from_file(APP, default_timeout=120) for _ in range(options.visitors))
    pages, history = cycle(PAGES), {}
    before = None
    print(f"{'runs':>5}{'worker':>10}{'app':>10}  MB")
    for number in range(1, options.runs + 1):
        key = engine.submit(Recipe.build(seed=number, samples=options.samples))
        while engine.view(key).active:
            time.sleep(0.05)
        assert engine.view(key).state == "finished", engine.view(key).message
        visit(next(visitors), next(pages), key)
        if number % EVERY == 0:
            gc.collect()
            history[number] = (resident(worker()), resident(psutil.Process()))
            print(f"{number:>5}{history[number][0]:>10.0f}{history[number][1]:>10.0f}", flush=True)
        if options.trace and number == SETTLED:
            tracemalloc.start(12)
            before = tracemalloc.take_snapshot()
    if SETTLED in history:
        gained = [now - then for now, then in zip(history[max(history)], history[SETTLED], strict=True)]
        print(f"After run {SETTLED} the worker gained {gained[0]:.0f} MB, the app {gained[1]:.0f} MB.")
    if before is not None:
        for line in tracemalloc.take_snapshot().compare_to(before, "lineno")[:25]:
            print(line)
    engine.close()


def visit(visitor: AppTest, page: str, key: str) -> None:
    visitor.query_params.clear()
    visitor.query_params["run"] = key
    visitor.switch_page(f"pages/{page}.py").run()
    assert not visitor.exception, [item.message for item in visitor.exception]


def worker() -> psutil.Process:
    """Return the process that computes: the largest of those that the app has started."""
    return max(psutil.Process().children(recursive=True), key=lambda process: process.memory_info().rss)


def resident(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


if __name__ == "__main__":
    main()

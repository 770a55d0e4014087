"""Measure how much several workers on one machine gain: `python -m tests.benchmarks.cluster`.

Twelve runs of the bundled model (`--runs`), on one worker of one thread and then on `--workers` (3) of them:
elapsed and CPU seconds, and their ratios. The workers are connected before the clock starts; each number of
workers is measured `--repeat` times, in turn. The same runs in as many processes without Dask show what the
machine allows: cores that share caches or arithmetic units slow each other down. The app's own engine
(`PRUNESCOPE_WORKERS`) keeps its threads, and starts its further workers while it is measured. `--only`
chooses one of these ways. Meant for a machine that does nothing else. The results are compared, and must be
identical.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from engine.jobs import worker
from engine.jobs.batch import compute
from engine.jobs.embedded import ROOT
from engine.jobs.execute import execute
from engine.jobs.fleet import VARIABLE
from engine.jobs.service import BackgroundEngine
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.store.runs import Store

Measured = tuple[float, float, list[object]]
"""Elapsed and CPU seconds, and the results in the order of the recipes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1)
    ways = {"workers": with_workers, "processes without Dask": with_processes, "workers of the app": with_app}
    parser.add_argument("--only", choices=ways)
    arguments = parser.parse_args()
    recipes = [
        pin(Recipe.build(pruner=pruner, sparsity=sparsity))
        for sparsity in (0.4, 0.5, 0.6)
        for pruner in ("magnitude", "wanda", "ria", "sparsegpt")
    ][: arguments.runs]
    if arguments.only:
        ways = {arguments.only: ways[arguments.only]}
    measured: dict[tuple[str, int], list[Measured]] = {}
    for _ in range(arguments.repeat):
        for count in (1, arguments.workers):
            for way, measure in ways.items():
                found = measure(count, recipes)
                print(f"{count} {way}: {found[0]:.1f} s elapsed, {found[1]:.1f} s CPU", flush=True)
                measured.setdefault((way, count), []).append(found)
    results = [found[2] for several in measured.values() for found in several]
    assert all(result == results[0] for result in results), "the results differ"
    print("The results are identical.")
    for way in ways:
        one, several = measured[way, 1], measured[way, arguments.workers]
        elapsed, cpu = (median(m[i] for m in several) / median(m[i] for m in one) for i in (0, 1))
        print(
            f"{arguments.workers} {way} take {elapsed:.2f} of the time of one, and {cpu:.2f} of its CPU time"
        )


def with_workers(count: int, recipes: Sequence[Recipe]) -> Measured:
    with tempfile.TemporaryDirectory() as home, cluster(count) as (address, processes):
        before, start = seconds(processes), time.perf_counter()
        records = {record.key: record for record in compute(recipes, address, Store(home), notify=print)}
        elapsed, cpu = time.perf_counter() - start, seconds(processes) - before
    return elapsed, cpu, [result(records[recipe.key]) for recipe in recipes]


def with_processes(count: int, recipes: Sequence[Recipe]) -> Measured:
    with (
        tempfile.TemporaryDirectory() as home,
        multiprocessing.get_context("spawn").Pool(count, initializer=worker.warm_up) as pool,
    ):
        pool.map(time.sleep, [1.0] * count, chunksize=1)  # until all are warm
        processes = psutil.Process().children()
        before, start = seconds(processes), time.perf_counter()
        results = pool.map(partial(compute_here, home), recipes, chunksize=1)
        return time.perf_counter() - start, seconds(processes) - before, results


def with_app(count: int, recipes: Sequence[Recipe]) -> Measured:
    os.environ[VARIABLE] = str(count)
    with tempfile.TemporaryDirectory() as home:
        engine = BackgroundEngine(Store(home))
        engine.start()
        try:
            while engine.health().places == ():  # until the first worker is warm, which says what it is then
                time.sleep(0.1)
            before, start = (
                seconds(processes := psutil.Process().children(recursive=True)),
                time.perf_counter(),
            )
            for recipe in recipes:
                engine.submit(recipe)
            while engine.active():
                time.sleep(0.1)
            elapsed = time.perf_counter() - start
            new = set(psutil.Process().children(recursive=True)) - set(processes)
            used = seconds(processes) - before + seconds(list(new))
            return elapsed, used, [result(engine.view(recipe.key).record) for recipe in recipes]
        finally:
            engine.close()


def compute_here(home: str, recipe: Recipe) -> object:
    return result(execute(recipe, Store(home).folder(recipe.key)))


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Yield the address of a scheduler with workers of one thread, and all of their processes."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        file = Path(directory) / "scheduler.json"
        options = (
            "--port",
            "0",
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",
        )
        command = (python, "-m", "dask", "scheduler", *options, "--scheduler-file", str(file))
        started = [stack.enter_context(process(command, Path(directory)))]
        while not file.exists():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            command = (python, "-m", "engine", "worker", address, "--threads", "1")
            started.append(stack.enter_context(process(command, ROOT)))
        for one in started[1:]:
            assert one.stderr is not None
            assert "connected" in one.stderr.readline()
        parents = [psutil.Process(one.pid) for one in started]
        yield address, [one for parent in parents for one in (parent, *parent.children(recursive=True))]


@contextmanager
def process(command: tuple[str, ...], directory: Path) -> Iterator[subprocess.Popen[str]]:
    errors = subprocess.PIPE if "engine" in command else subprocess.DEVNULL
    with subprocess.Popen(command, cwd=directory, stderr=errors, text=True) as started:
        try:
            yield started
        finally:
            started.terminate()


def seconds(processes: list[psutil.Process]) -> float:
    return sum(one.cpu_times().user + one.cpu_times().system for one in processes)


def result(record: RunRecord) -> object:
    assert record.state == "finished", record.error
    return record.dense, record.pruned, record.sparsity


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started
    main()

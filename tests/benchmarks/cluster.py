"""Measure how much several workers on one machine gain: `python -m tests.benchmarks.cluster`.

Twelve runs of the bundled model (`--runs`), on one worker of one thread and then on `--workers` (3) of them:
elapsed and CPU seconds, and their ratios. The workers are connected and warm before the clock starts; each
number of workers is measured `--repeat` times, in turn. Meant for a machine that does nothing else. The
results are compared, and must be identical.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import psutil

from engine.jobs.batch import compute
from engine.jobs.embedded import ROOT
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.store.runs import Store

SETTLE = 20.0  # seconds for the workers' warm-up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    times: dict[int, list[tuple[float, float]]] = {1: [], arguments.workers: []}
    results = []
    for _ in range(arguments.repeat):
        for workers, measured in times.items():
            elapsed, cpu, result = measure(workers, arguments.runs)
            print(f"{workers} workers: {elapsed:6.1f} s elapsed, {cpu:6.1f} s CPU", flush=True)
            measured.append((elapsed, cpu))
            results.append(result)
    assert all(result == results[0] for result in results), "the results differ"
    one, several = (median(elapsed for elapsed, _ in times[workers]) for workers in times)
    cpu_one, cpu_several = (median(cpu for _, cpu in times[workers]) for workers in times)
    print(f"ratio {several / one:.2f} elapsed, {cpu_several / cpu_one:.2f} CPU; identical results")


def measure(workers: int, runs: int) -> tuple[float, float, list[object]]:
    """Return the elapsed and the CPU seconds of the workers, and the results in order."""
    recipes = [
        pin(Recipe.build(pruner=pruner, sparsity=sparsity))
        for sparsity in (0.4, 0.5, 0.6)
        for pruner in ("magnitude", "wanda", "ria", "sparsegpt")
    ][:runs]
    with tempfile.TemporaryDirectory() as home, cluster(workers) as (address, processes):
        time.sleep(SETTLE)
        before, start = seconds(processes), time.perf_counter()
        records = {record.key: record for record in compute(recipes, address, Store(home), notify=print)}
        elapsed = time.perf_counter() - start
        return (
            elapsed,
            seconds(processes) - before,
            [result(records[recipe.key]) for recipe in recipes],
        )


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
        for worker in started[1:]:
            assert worker.stderr is not None
            print(worker.stderr.readline().strip(), flush=True)
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
    main()

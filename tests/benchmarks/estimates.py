"""Print estimates next to measurements: `python -m tests.benchmarks.estimates [MODEL]`.

Each recipe runs in a process of its own, with the machine's usual number of threads, on the bundled model or
the given one (a directory or a hub id; with 8 windows of 512 tokens). For every recipe it prints the seconds
and the peak memory, estimated and measured, and their ratios; `!` marks a ratio beyond 1.5 or 1.2. Memory is
what the process takes beyond the program itself. Other programs that compute meanwhile slow a run down, so
the machine should be idle; if it is not, the processor time in the last column (of all threads) is the better
measurement, with `OMP_NUM_THREADS=1`.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CASES: Mapping[str, Mapping[str, Any]] = {
    "Magnitude": {"pruner": "magnitude"},
    "Wanda": {"pruner": "wanda"},
    "Wanda 2:4": {"pruner": "wanda", "pattern": "2:4"},
    "SparseGPT": {"pruner": "sparsegpt"},
    "Wanda, NeuroAL": {"pruner": "wanda", "allocation": "neuroal"},
    "Wanda, EvoPress": {"pruner": "wanda", "allocation": "evopress"},
    "Wanda, DSnoT": {"pruner": "wanda-dsnot"},
    "Wanda, SparseSwaps": {"pruner": "wanda-sparseswaps"},
    "SparseSwaps 2:4": {"pruner": "wanda-sparseswaps", "pattern": "2:4"},
    "APT, S M": {"pruner": "apt-sm"},
    "ADMM": {"pruner": "admm"},
    "ALPS": {"pruner": "alps"},
    "Thanos": {"pruner": "thanos"},
}
FIELDS = ("model", "calibration", "evaluation", "residence")
SMALL_WINDOWS = {"samples": 8, "length": 512}
TIME, MEMORY = 1.5, 1.2
"""Ratios within which estimates should be."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="demo", help="`demo`, a directory or a hub id")
    parser.add_argument("--calibration", default="stories")
    parser.add_argument("--evaluation", default="stories")
    parser.add_argument("--residence", default="auto", choices=("auto", "resident", "streamed"))
    parser.add_argument("--case", action="append", choices=CASES, help="only this recipe; may be repeated")
    arguments = parser.parse_args()
    fields = {name: getattr(arguments, name) for name in FIELDS}
    windows = {} if arguments.model == "demo" else SMALL_WINDOWS
    print(
        f"{'':19}{'estimated':>12}{'measured':>10}{'ratio':>7}{'estimated':>13}{'measured':>10}{'ratio':>7}{'CPU':>10}"
    )
    for name in arguments.case or CASES:
        # A process of its own each, since the peak of memory cannot be reset everywhere.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory, processor = pool.apply(measure, ({**fields, **windows, **CASES[name]},))
        print(
            f"{name:19}{_pair(*seconds, 's', TIME)} {_pair(*memory, 'MB', MEMORY)}{processor:>8.1f} s",
            flush=True,
        )


def measure(fields: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Return estimate and measurement of the seconds, and of the megabytes, of a run that is stored as by the
    command line, and its processor time in seconds.
    """
    from engine.cost.estimate import estimate
    from engine.hardware.memory import PROGRAM
    from engine.jobs.execute import execute
    from engine.models.summary import summarise
    from engine.recipe import Recipe, pin
    from engine.run import run
    from engine.store.folder import RunFolder

    recipe = pin(Recipe.build(**fields))
    # One that is not counted: a first run imports what later ones find, as in the app's worker.
    for _ in run(Recipe.build(samples=1, length=8, evaluation=None)):
        pass
    cost = estimate(recipe, summarise(recipe.model, recipe.revision))
    with tempfile.TemporaryDirectory() as directory:
        before = time.process_time()
        # Stored, since a run keeps its masks in memory otherwise; without models for later runs.
        record = execute(recipe, RunFolder(Path(directory) / recipe.key), models=None)
        processor = time.process_time() - before
    if record.state != "finished":
        raise SystemExit(record.error)
    peak = (record.peak_host or 0) - PROGRAM
    return (cost.seconds, record.elapsed), (cost.host_bytes / 1e6, peak / 1e6), processor


def _pair(estimated: float, measured: float, unit: str, limit: float) -> str:
    ratio = estimated / measured
    mark = " " if 1 / limit <= ratio <= limit else "!"
    return f"{estimated:>9.1f} {unit:2}{measured:>7.1f} {unit:2}{ratio:>6.2f}{mark}"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()

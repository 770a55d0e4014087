"""`bench`: the time of each preset and of some formulas relative to a lower bound, their peak memory, and the
app's start-up time.

The lower bound is two plain forward passes of the model's decoder (without the head) over the calibration
windows, at its fastest batch size. Times are the best of several rounds, interleaved so that a slow moment of
the machine affects all of them. Nothing is evaluated, so no ratio can be below 1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from engine.cli.bench.joint_update import bench_joint_update
from engine.cli.bench.memory import bench_memory
from engine.cli.bench.search import compare, windows_of
from engine.cli.bench.sweep import bench_sweep
from engine.cli.bench.table import print_table
from engine.events import Failed, Finished
from engine.hardware.device import pick_device
from engine.inputs import model_directory
from engine.models.identity import ROOT, resolve
from engine.models.loading import load
from engine.progress import drain
from engine.pruning.presets import PRESETS
from engine.recipe import Recipe, pin
from engine.run import run

FLOOR_BATCHES = (512, 1024, 2048, 4096)  # tokens per batch
PHASES_BEFORE = ("load", "windows")  # excluded: the lower bound includes neither
FORMULAS = (
    "abs(W) * sqrt(h)",  # the Hessian's diagonal, which needs no Hessian
    "abs(W) / u",  # the diagonal of its inverse's factor, which needs one
    "row_rank(abs(W)) + rank(abs(W) * a)",  # sorts all weights twice
)
"""Scores that cost more than Wanda's, which is what the preset `formula` computes."""


@dataclass(frozen=True)
class Subject:
    """A model, and the number and length of the windows to measure on."""

    name: str
    model: str
    windows: int
    length: int
    rounds: int
    presets: Sequence[str] = tuple(PRESETS)


def bench(shapes: Sequence[str]) -> int:
    """Print the measurements for each shape; return the exit code."""
    _print_versions()
    with tempfile.TemporaryDirectory() as folder:
        if "demo" in shapes:
            _measure(Subject("bundled model", "demo", 64, 256, 5), Path(folder))
        if "opt-125m" in shapes:
            _measure(
                Subject("random model of OPT-125M's shape", _random_opt(Path(folder)), 16, 512, 2),
                Path(folder),
            )
    if "search" in shapes:
        _compare_searches()
    if "memory" in shapes:
        bench_memory()
    if "sweep" in shapes:
        bench_sweep()
    if "mrp" in shapes:
        bench_joint_update()
    if "table" in shapes:
        print_table()
    if "app" in shapes:
        print(f"app: first page answered {_app_start():.1f} s after the start of the server's process")
    return 0


def bench_model(model: str, presets: Sequence[str]) -> int:
    """Print the measurements of some presets on a model of one's own; return the exit code.

    Raises:
        EngineError: there is no such model.
    """
    directory = str(drain(model_directory(pin(Recipe.build(model=model)))))
    _print_versions()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Subject(Path(model).name, directory, 8, 512, 2, presets), Path(folder))
    return 0


def _print_versions() -> None:
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {pick_device().type}, "
        f"{torch.get_num_threads()} threads\n"
    )


def _compare_searches() -> None:
    print("NeuroAL's search at 60 %, block and row step, 8 windows of 256 tokens:")
    with tempfile.TemporaryDirectory() as folder:
        for name, model, rounds in (
            ("bundled model", "demo", 2),
            ("random model of OPT-125M's shape", _random_opt(Path(folder)), 1),
        ):
            print(f" {name}, best of {rounds}")
            loaded = load(Path(resolve(model)), dtype=torch.float32, device=pick_device())
            compare(loaded, windows_of(loaded, 8, 256), 4, rounds)


def _random_opt(folder: Path) -> str:
    torch.manual_seed(0)
    directory = folder / "opt-125m-shape"
    # The defaults of `OPTConfig` are the shape of OPT-125M.
    model: Any = transformers.OPTForCausalLM(transformers.OPTConfig())
    model.save_pretrained(directory)
    return str(directory)


def _measure(subject: Subject, folder: Path) -> None:
    """Time the lower bound and all pruners in turn, and print the best of each."""
    vocabulary = load(Path(resolve(subject.model)), dtype=torch.float32, device=pick_device()).vocabulary
    ids = np.random.default_rng(0).integers(0, vocabulary, (subject.windows, subject.length))
    np.save(file := folder / "ids.npy", ids)
    recipes = _recipes(subject, file)
    floors: dict[int, float] = {}
    times: dict[str, float] = {}
    peaks: dict[str, int] = {}
    for _ in range(subject.rounds):
        for batch, seconds in _floor(subject, torch.from_numpy(ids)).items():
            floors[batch] = min(floors.get(batch, seconds), seconds)
        for name, recipe in recipes.items():
            seconds, peaks[name] = _run(recipe)
            times[name] = min(times.get(name, seconds), seconds)
    _print(subject, floors, times, peaks)


def _recipes(subject: Subject, calibration: Path) -> dict[str, Recipe]:
    """Return the recipes to time by label: the presets, with `FORMULAS` if `formula` is one of them."""
    # No evaluation: the lower bound has none either.
    build = partial(Recipe.build, model=subject.model, calibration=str(calibration), evaluation=None)
    recipes = {name: build(pruner=name) for name in subject.presets}
    for text in FORMULAS if "formula" in recipes else ():
        recipes[f"formula {text}"] = build(pruner="formula", settings={"formula.expression": text})
    return recipes


def _print(
    subject: Subject, floors: dict[int, float], times: dict[str, float], peaks: dict[str, int]
) -> None:
    batch, width = min(floors, key=lambda size: floors[size]), max(map(len, times))
    print(f"{subject.name}: {subject.windows} windows of {subject.length} tokens, best of {subject.rounds}")
    print(
        f"  {'floor':<{width}} {floors[batch]:7.2f} s           "
        f"(two forward passes, {batch} tokens per batch)"
    )
    for name, seconds in times.items():
        print(
            f"  {name:<{width}} {seconds:7.2f} s  {seconds / floors[batch]:5.2f} x  "
            f"peak {peaks[name] / 1e6:,.0f} MB"
        )
    print(flush=True)


@torch.no_grad()
def _floor(subject: Subject, ids: torch.Tensor) -> dict[int, float]:
    """Return the seconds of two forward passes, by tokens per batch."""
    device = pick_device()
    # The decoder without the head.
    body: Any = load(Path(resolve(subject.model)), dtype=torch.float32, device=device).module.base_model
    windows = ids.to(device)
    return {
        size: _timed(partial(_pass, body, windows, size)) for size in FLOOR_BATCHES if size >= subject.length
    }


def _pass(body: Any, windows: torch.Tensor, tokens: int) -> None:
    for _ in range(2):
        for part in windows.split(max(1, tokens // windows.shape[1])):  # [windows per batch, tokens]
            body(input_ids=part, use_cache=False)


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    # CUDA works asynchronously: without this only the launch would be timed.
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _run(recipe: Recipe) -> tuple[float, int]:
    """Return a run's seconds without loading and tokenising, and the process's peak memory in bytes."""
    *_, last = run(recipe)
    if isinstance(last, Failed):
        raise RuntimeError(last.detail or last.message)
    assert isinstance(last, Finished), "a run that did not fail has finished"
    return last.elapsed - sum(last.timings[phase] for phase in PHASES_BEFORE), last.peak_host or 0


def _app_start() -> float:
    """Return the seconds from starting the server's process until it answers."""
    port = "8599"
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "app.py"),
        "--server.port",
        port,
        "--server.headless",
        "true",
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - start < 60:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                return time.perf_counter() - start
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the app did not answer within 60 s")
    finally:
        server.terminate()
        server.wait()

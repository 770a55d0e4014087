"""`bench --shape sweep`: a sweep of six pruners over five sparsities on the bundled model, compared with the
same thirty runs made one by one.

One by one is measured in both ways a user has: thirty commands, each with its own process, and thirty runs in
one warm process that shares nothing between them. All start with empty stores; the results must be the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.analysis.comparison.sweep import sweep
from engine.models.identity import ROOT
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.outline import Outline
from engine.run import run
from engine.store.runs import Store

PRUNERS = ("magnitude", "wanda", "ria", "symwanda", "sparsegpt", "wanda-dsnot")
SPARSITIES = ("0.5", "0.55", "0.6", "0.65", "0.7")
Perplexities = Mapping[str, float]


def bench_sweep() -> None:
    """Measure all three variants and print their times, ratios, and whether the results are identical."""
    recipes = [cell.recipe for cell in sweep(Recipe.build(), PRUNERS, SPARSITIES) if cell.recipe is not None]
    print(f"{len(recipes)} runs: {len(PRUNERS)} pruners x {len(SPARSITIES)} sparsities")
    together, shared = _timed(_swept)
    print(f"  one sweep                            {together:7.1f} s")
    warm, alone = _timed(lambda: _one_by_one(recipes))
    print(
        f"  one by one in a warm process         {warm:7.1f} s   the sweep takes {together / warm:.2f} of it"
    )
    apart, commands = _timed(lambda: _commands(recipes))
    print(
        f"  one by one, a command each           {apart:7.1f} s   "
        f"the sweep takes {together / apart:.2f} of it"
    )
    print(f"  results identical: {shared == alone == commands}")


def _timed(work: Callable[[], Perplexities]) -> tuple[float, Perplexities]:
    start = time.perf_counter()
    perplexities = work()
    return time.perf_counter() - start, perplexities


def _swept() -> Perplexities:
    with tempfile.TemporaryDirectory() as home:
        _call(home, "sweep", "--pruners", ",".join(PRUNERS), "--sparsities", ",".join(SPARSITIES))
        # Read before the directory is deleted.
        return {summary.key: _perplexity(summary.record) for summary in Store(home).list()}


def _commands(recipes: list[Recipe]) -> Perplexities:
    with tempfile.TemporaryDirectory() as home:
        for recipe in recipes:
            _call(home, "prune", "--pruner", str(recipe.pruner), "--sparsity", f"{recipe.sparsity:g}")
        return {summary.key: _perplexity(summary.record) for summary in Store(home).list()}


def _one_by_one(recipes: list[Recipe]) -> Perplexities:
    with tempfile.TemporaryDirectory() as cache:
        return {recipe.key: _perplexity(RunRecord.fold(run(recipe, None, Path(cache)))) for recipe in recipes}


def _call(home: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "engine", *arguments]
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PRUNESCOPE_HOME": home}, check=True, capture_output=True
    )


def _perplexity(record: RunRecord | Outline | None) -> float:
    # The message of a failed run replaces that of the assertion.
    assert record is not None and record.pruned is not None, record and record.error
    return record.pruned.perplexity

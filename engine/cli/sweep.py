"""`sweep`: compute many runs into the store, one after the other in this process, so that they share cached
work; prints one line per finished run.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext

from engine.analysis.comparison.sweep import Cell, sweep
from engine.cli.report import Bar, print_event
from engine.cost.estimate import require_fit
from engine.errors import Fault, RecipeError
from engine.export.command_line import names_in, recipe_of
from engine.jobs.execute import execute
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.runs import Store

HEAD = (
    f"{'run':<22}{'pruner':<14}{'allocation':<14}{'sparsity':>9}{'seed':>6}"
    f"{'dense':>10}{'pruned':>10}{'ratio':>8}{'seconds':>9}"
)


def run_sweep(arguments: argparse.Namespace) -> int:
    """Run all cells that are not in the store yet; return 0 if all finished, else 1."""
    cells = sweep(
        recipe_of(arguments),
        names_in(arguments.pruners),
        names_in(arguments.sparsities),
        allocations=names_in(arguments.allocations),
        seeds=_seeds(arguments.seeds),
    )
    todo = [cell for cell in cells if cell.recipe is not None]
    for cell in cells:
        if cell.recipe is None:
            print(
                f"{cell.pruner}, {cell.allocation}, {cell.shape} is skipped: {cell.refusal}", file=sys.stderr
            )
    if not todo:
        raise RecipeError([Fault("sweep", "none of these runs is possible; the reasons are listed above.")])
    # One stands for all, which share the model and the length of the windows; a width that m does not divide
    # ends only the runs with that pattern.
    require_fit(_recipe(todo[0]))
    start = time.perf_counter()
    print(HEAD)
    failed = sum(not _run(cell, arguments) for cell in todo)
    print(
        f"{len(todo) - failed} of {len(todo)} runs finished in {time.perf_counter() - start:.1f} s.",
        file=sys.stderr,
    )
    return 1 if failed else 0


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise RecipeError(
            [Fault("seeds", f"expected comma-separated integers, for instance 0,1,2; got {text}.")]
        ) from None


def _recipe(cell: Cell) -> Recipe:
    assert cell.recipe is not None, "cells without a recipe are skipped earlier"
    return cell.recipe


def _run(cell: Cell, arguments: argparse.Namespace) -> bool:
    """Compute one cell unless it is in the store, and print it; return whether it finished."""
    recipe = _recipe(cell)
    with nullcontext(print_event) if arguments.events else Bar() as watch:
        record = execute(recipe, Store().folder(recipe.key), publish=watch)
    print(_line(cell, record), flush=True)
    return record.state == "finished"


def _line(cell: Cell, record: RunRecord) -> str:
    # The widths of `HEAD`; a key has 20 characters.
    start = f"{_recipe(cell).key:<22}{cell.pruner:<14}{cell.allocation:<14}{cell.shape:>9}{cell.seed:>6}"
    if record.state != "finished":
        return f"{start}  {record.state}: {record.error or ''}"
    if record.dense is None or record.pruned is None or record.ratio is None:
        return f"{start}{'-':>10}{'-':>10}{'-':>8}{record.elapsed:>9.1f}"
    perplexities = f"{record.dense.perplexity:>10.3f}{record.pruned.perplexity:>10.3f}{record.ratio:>8.3f}"
    return f"{start}{perplexities}{record.elapsed:>9.1f}"

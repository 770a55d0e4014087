"""`sweep`: compute many runs into the store and print one line per finished run. With a scheduler they run on
all of its workers; without one, on all GPUs, or if there is at most one, one after the other in this process,
so that they share cached work.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing, nullcontext
from importlib.util import find_spec

from engine.analysis.comparison.sweep import Cell, sweep
from engine.cli.report import Bar, add_events_option, print_event
from engine.cli.worker import require_dask
from engine.cost.estimate import require_fit
from engine.errors import Fault, RecipeError
from engine.export.command_line import add_recipe_options, names_in, recipe_of
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.runs import Store

SCHEDULER = "PRUNESCOPE_SCHEDULER"
HEAD = (
    f"{'run':<22}{'pruner':<14}{'allocation':<14}{'sparsity':>9}{'seed':>6}{'order':>6}"
    f"{'dense':>10}{'pruned':>10}{'ratio':>8}{'seconds':>9}"
)


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sweep`."""
    add_recipe_options(parser)
    parser.add_argument("--pruners", required=True, metavar="A,B", help="presets, comma-separated")
    parser.add_argument(
        "--sparsities",
        required=True,
        metavar="A,B",
        help="sparsities or N:M patterns, for instance 0.5,0.6,2:4",
    )
    parser.add_argument(
        "--allocations",
        default="uniform",
        metavar="A,B",
        help="how sparsity is allocated (default: uniform)",
    )
    parser.add_argument(
        "--seeds", default="0", metavar="A,B", help="seeds of the calibration windows (default: 0)"
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=1,
        metavar="N",
        help="repeat each run with its calibration windows in N orders (default: 1)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="compute on all workers of this Dask scheduler (default: PRUNESCOPE_SCHEDULER, if set)",
    )
    add_events_option(parser)


def run_sweep(arguments: argparse.Namespace) -> int:
    """Run all cells that are not in the store yet; return 0 if all finished, else 1."""
    cells = sweep(
        recipe_of(arguments),
        names_in(arguments.pruners),
        names_in(arguments.sparsities),
        allocations=names_in(arguments.allocations),
        seeds=_seeds(arguments.seeds),
        orders=arguments.orders,
    )
    todo = [cell for cell in cells if cell.recipe is not None]
    for cell in cells:
        if cell.recipe is None:
            print(
                f"{cell.pruner}, {cell.allocation}, {cell.shape} is skipped: {cell.refusal}", file=sys.stderr
            )
    if not todo:
        raise RecipeError([Fault("sweep", "none of these runs is possible; the reasons are listed above.")])
    scheduler = arguments.scheduler or os.environ.get(SCHEDULER)
    if not scheduler:
        # One stands for all, which share the model and the length of the windows; a width that m does not
        # divide ends only the runs with that pattern.
        require_fit(_recipe(todo[0]))
    start = time.perf_counter()
    failed = 0
    with closing(
        _run_on(scheduler, todo) if scheduler or _several() else _run_here(todo, arguments)
    ) as ended:
        print(HEAD)
        for cell, record in ended:
            print(_line(cell, record), flush=True)
            failed += record.state != "finished"
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


Ended = Generator[tuple[Cell, RunRecord], None, None]


def _run_here(cells: list[Cell], arguments: argparse.Namespace) -> Ended:
    """Compute the cells that are not in the store, in order."""
    from engine.jobs.execute import execute  # imports the model library

    for cell in cells:
        recipe = _recipe(cell)
        with nullcontext(print_event) if arguments.events else Bar() as watch:
            yield cell, execute(recipe, Store().folder(recipe.key), publish=watch)


def _several() -> bool:
    """Whether several runs are to be computed on this machine at the same time."""
    from engine.hardware.gpus import visible_gpus
    from engine.jobs.fleet import workers_wanted

    return (workers_wanted() or len(visible_gpus())) > 1 and find_spec("distributed") is not None


def _run_on(scheduler: str | None, cells: list[Cell]) -> Ended:
    """Compute the cells that are not in the store on a cluster, by default one that is started here, and
    yield each when it ends.
    """
    require_dask()
    from engine.jobs.batch import compute

    by_key: Mapping[str, Cell] = {_recipe(cell).key: cell for cell in cells}
    ended = compute([_recipe(cell) for cell in cells], scheduler, Store(), notify=_notify)
    with closing(ended):
        for record in ended:
            assert record.key is not None
            yield by_key[record.key], record


def _notify(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _line(cell: Cell, record: RunRecord) -> str:
    # The widths of `HEAD`; a key has 20 characters.
    start = (
        f"{_recipe(cell).key:<22}{cell.pruner:<14}{cell.allocation:<14}{cell.shape:>9}{cell.seed:>6}"
        f"{cell.order:>6}"
    )
    if record.state != "finished":
        return f"{start}  {record.state}: {record.error or ''}"
    if record.dense is None or record.pruned is None or record.ratio is None:
        return f"{start}{'-':>10}{'-':>10}{'-':>8}{record.elapsed:>9.1f}"
    perplexities = f"{record.dense.perplexity:>10.3f}{record.pruned.perplexity:>10.3f}{record.ratio:>8.3f}"
    return f"{start}{perplexities}{record.elapsed:>9.1f}"

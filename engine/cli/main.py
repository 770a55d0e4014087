"""Parsing the command line, and turning errors into sentences and exit statuses.

0 = done, 1 = a run or a file that failed (one sentence; a traceback with `--debug`), 2 = a recipe that is
refused (all faults), 130 = cancelled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine import VERSION
from engine.cli import prune, stored, sweep
from engine.errors import PrunescopeError, RecipeError
from engine.export.command_line import add_recipe_options

FAILED, REFUSED, CANCELLED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.command(parsed)
    except RecipeError as error:
        print(f"The recipe is refused:\n{_indented(str(error))}", file=sys.stderr)
        return REFUSED
    except PrunescopeError as error:
        if parsed.debug:
            raise
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:  # whoever read stdout has seen enough
        return 0
    return status


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine", description="Prune a language model block by block and see what it cost."
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prune(commands)
    _add_sweep(commands)
    _add(commands, "methods", stored.methods, "list every axis, method, parameter and default")
    _add(commands, "runs", stored.runs, "list the runs in the store")
    show = _add(commands, "show", stored.show, "show a run's numbers")
    show.add_argument("--json", action="store_true", help="print the whole record as JSON")
    replay = _add(commands, "replay", stored.replay, "play a run's events again")
    replay.add_argument(
        "--speed", type=float, default=1.0, help="how many times faster than it was (0 = at once; default: 1)"
    )
    replay.add_argument(
        "--events", action="store_true", help="print the events as JSON lines instead of a bar"
    )
    export = _add(
        commands, "export", stored.export, "write the pruned model, the masks or the record of a run"
    )
    export.add_argument("--model", metavar="DIR", help="write the pruned model, for from_pretrained")
    export.add_argument("--masks", metavar="FILE", help="write the masks (safetensors)")
    export.add_argument("--record", metavar="FILE", help="write the record (JSON)")
    report = _add(
        commands,
        "report",
        stored.report,
        "write a run as one HTML file that opens offline: charts, protocol, recipe, citations",
    )
    report.add_argument("--out", metavar="FILE", help="where to (default: KEY.html in this directory)")
    for command in (show, replay, export, report):
        command.add_argument("key", help="the run's key, its first letters, or a run's folder")
    record = _add(
        commands,
        "record",
        stored.record,
        "compute the recorded runs that come with the project (for its developers)",
    )
    record.add_argument("--afresh", action="store_true", help="also those that are there already")
    bench = _add(commands, "bench", stored.bench, "measure presets against two plain forward passes")
    bench.add_argument(
        "--shape",
        choices=("demo", "opt-125m", "app", "search", "table", "memory", "sweep"),
        action="append",
        help="what to measure (default: demo, opt-125m, app)",
    )
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, explanation: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=explanation, description=f"{explanation[0].upper()}{explanation[1:]}."
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(command=run)
    return parser


def _add_prune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "prune", prune.prune, "prune a model and measure what it cost")
    add_recipe_options(parser)
    parser.add_argument("--out", metavar="DIR", help="where the run goes (default: the store)")
    parser.add_argument("--save-model", action="store_true", help="also write the pruned model to DIR/model")
    parser.add_argument(
        "--save-masks", action="store_true", help="also write the masks to DIR/masks.safetensors"
    )
    parser.add_argument(
        "--events", action="store_true", help="print events as JSON lines on stderr instead of a bar"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="run it with N seeds, the recipe's and those behind it, and print the spread",
    )


def _add_sweep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "sweep",
        sweep.run_sweep,
        "run every pruner over every sparsity, top-up and seed, into the store",
    )
    add_recipe_options(parser)
    parser.add_argument("--pruners", required=True, metavar="A,B", help="presets, parted by commas")
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
        help="how the sparsity is shared out (default: uniform)",
    )
    parser.add_argument(
        "--seeds", default="0", metavar="A,B", help="seeds of the calibration windows (default: 0)"
    )
    parser.add_argument(
        "--events", action="store_true", help="print events as JSON lines on stderr instead of a bar"
    )

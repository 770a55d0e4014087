"""Parsing the command line, and turning errors into messages and exit codes.

0 = success, 1 = a run or a file failed (one sentence; a traceback with `--debug`), 2 = the recipe was
rejected (all errors are listed), 130 = cancelled.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence

from engine import APP, COMMAND, VERSION
from engine.cli import doctor, prune, stored, sweep, verify, worker
from engine.cli.check import check_file
from engine.errors import PrunescopeError, RecipeError
from engine.export.command_line import add_recipe_options
from engine.models.known_files import SMOLLM2
from engine.pruning.method_files import loading as method_files

FAILED, REFUSED, CANCELLED = 1, 2, 130  # exit codes; 130 = 128 + SIGINT, as a shell reports Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    debug = False
    try:
        parsed = _parser().parse_args(arguments)
        debug = parsed.debug
        for path in parsed.methods or ():
            method_files.load_methods(path)
        for sentence in () if parsed.methods else method_files.refresh(method_files.listed()):
            print(sentence, file=sys.stderr)
        status: int = parsed.command(parsed)
    except RecipeError as error:
        print(f"The recipe was rejected:\n{textwrap.indent(str(error), '  ')}", file=sys.stderr)
        return REFUSED
    except PrunescopeError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except MemoryError:
        if debug:
            raise
        print("Memory ran out. Close other programs, or raise the limit on memory.", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader closed stdout, for instance `head`
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Prune a language model block by block and see what it cost.",
        epilog=f"The app: {APP} [STREAMLIT OPTIONS]",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_prune(commands)
    _add_sweep(commands)
    worker.add_worker_options(
        _add(commands, "worker", worker.run_worker, "compute runs for those who use a Dask scheduler")
    )
    _add(commands, "methods", stored.methods, "list every axis, method, parameter and default")
    _add(commands, "runs", stored.runs, "list the runs in the store")
    show = _add(commands, "show", stored.show, "show a run's numbers")
    show.add_argument("--json", action="store_true", help="print the whole record as JSON")
    check = _add(
        commands, "verify", verify.verify, "compute an imported or bundled run here and compare the numbers"
    )
    check.add_argument(
        "--events", action="store_true", help="print events as JSON lines on stderr instead of a bar"
    )
    check.add_argument(
        "--model", metavar="PATH", help="where the run's model is on this machine, if it is elsewhere"
    )
    replay = _add(commands, "replay", stored.replay, "replay a run's events")
    replay.add_argument(
        "--speed", type=float, default=1.0, help="speed-up over the original pace (0 = no pauses; default: 1)"
    )
    replay.add_argument(
        "--events", action="store_true", help="print the events as JSON lines on stderr instead of a bar"
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
    report.add_argument(
        "--out", metavar="FILE", help="the file to write (default: KEY.html in this directory)"
    )
    for command in (export, report):
        command.add_argument(
            "--force", action="store_true", help="also replace a file that holds something else"
        )
    for command in (show, check, replay, export, report):
        command.add_argument("key", help="the run's key, the beginning of its key, or its folder")
    laws = _add(commands, "check", check_file, "check that the methods of a Python file keep the laws")
    laws.add_argument("file", help="the method file")
    doctor.add_options(_add(commands, "doctor", doctor.doctor, doctor.EXPLANATION))
    record = _add(
        commands,
        "record",
        stored.record,
        "compute the runs that are bundled with the project (for developers)",
    )
    record.add_argument("--afresh", action="store_true", help="compute existing runs again, too")
    record.add_argument(
        "--model",
        metavar="FILE",
        help=f"compute the runs of a real language model instead, from its file {SMOLLM2.name}",
    )
    record.add_argument(
        "--table", action="store_true", help="print the results of all bundled runs as Markdown, and end"
    )
    bench = _add(commands, "bench", stored.bench, "measure the presets against two plain forward passes")
    bench.add_argument(
        "--shape",
        choices=("demo", "opt-125m", "app", "search", "table", "memory", "sweep", "mrp", "gpu"),
        action="append",
        help="what to measure (default: demo, opt-125m, app)",
    )
    bench.add_argument(
        "--minutes", type=float, default=9, help="how long the measurements of a GPU may take (default: 9)"
    )
    return parser


# Argparse has no public name for the type of `commands`.
def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, explanation: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=explanation, description=f"{explanation[0].upper()}{explanation[1:]}."
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument(
        "--methods",
        metavar="FILE",
        action="append",
        help="a Python file with methods of your own; may be repeated (default: PRUNESCOPE_METHODS, if set)",
    )
    parser.set_defaults(command=run)
    return parser


def _add_prune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "prune", prune.prune, "prune a model and measure what it cost")
    add_recipe_options(parser)
    parser.add_argument("--out", metavar="DIR", help="the folder to write the run to (default: the store)")
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
        help="run with N seeds, starting with the recipe's, and print the spread",
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=1,
        metavar="N",
        help="repeat with the calibration windows in N orders, and print the spread that rounding makes",
    )


def _add_sweep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "sweep",
        sweep.run_sweep,
        "run every combination of pruner, sparsity, allocation and seed, into the store",
    )
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
    parser.add_argument(
        "--events", action="store_true", help="print events as JSON lines on stderr instead of a bar"
    )

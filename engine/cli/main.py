"""Parsing the command line, and turning errors into messages and exit codes.

0 = success, 1 = a run or a file failed (one sentence; a traceback with `--debug`), 2 = the recipe was
rejected (all errors are listed), 130 = cancelled.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence

from engine import APP, COMMAND, VERSION
from engine.cli import check, doctor, handout, prune, stored, sweep, verify, worker
from engine.errors import PrunescopeError, RecipeError
from engine.pruning.method_files import loading as method_files

Run = Callable[[argparse.Namespace], int]
AddOptions = Callable[[argparse.ArgumentParser], None]
COMMANDS: dict[str, tuple[Run, AddOptions | None, str]] = {
    "prune": (prune.prune, prune.add_prune_options, "prune a model and measure what it cost"),
    "sweep": (
        sweep.run_sweep,
        sweep.add_sweep_options,
        "run every combination of pruner, sparsity, allocation and seed, into the store",
    ),
    "worker": (
        worker.run_worker,
        worker.add_worker_options,
        "compute runs for those who use a Dask scheduler",
    ),
    "methods": (stored.methods, None, "list every axis, method, parameter and default"),
    "runs": (stored.runs, None, "list the runs in the store"),
    "show": (stored.show, stored.add_show_options, "show a run's numbers"),
    "verify": (
        verify.verify,
        verify.add_verify_options,
        "compute an imported or bundled run here and compare the numbers",
    ),
    "replay": (stored.replay, stored.add_replay_options, "replay a run's events"),
    "export": (
        stored.export,
        stored.add_export_options,
        "write the pruned model, the masks or the record of a run",
    ),
    "report": (
        stored.report,
        stored.add_report_options,
        "write runs as one HTML file that opens offline: charts, protocol, recipe, citations; or as a table",
    ),
    "handout": (
        handout.handout,
        handout.add_handout_options,
        "write a talk, a lesson or a comparison as one HTML file that opens offline",
    ),
    "check": (
        check.check_file,
        check.add_check_options,
        "check that the methods of a Python file keep the laws",
    ),
    "doctor": (doctor.doctor, doctor.add_options, doctor.EXPLANATION),
    "record": (
        stored.record,
        stored.add_record_options,
        "compute the runs that are bundled with the project (for developers)",
    ),
    "bench": (
        stored.bench,
        stored.add_bench_options,
        "measure the presets against two plain forward passes",
    ),
}
"""Each command's function, the function that adds its options, and an explanation."""

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
    for name, (run, add_options, explanation) in COMMANDS.items():
        command = commands.add_parser(
            name, help=explanation, description=f"{explanation[0].upper()}{explanation[1:]}."
        )
        command.set_defaults(command=run)
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        command.add_argument(
            "--methods",
            metavar="FILE",
            action="append",
            help="a Python file with methods of your own; may be repeated (default: PRUNESCOPE_METHODS, if "
            "set)",
        )
        if add_options is not None:
            add_options(command)
    return parser

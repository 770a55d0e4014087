"""`check`: whether the methods of a method file keep the laws that every method has to keep."""

from __future__ import annotations

import argparse

from engine.pruning.method_files.loading import load_methods


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `check`."""
    parser.add_argument("file", help="the method file")


def check_file(arguments: argparse.Namespace) -> int:
    """Print a line per method and law, and return 0 if all are kept, else 1."""
    from engine.laws.check import check  # imports the model library

    file, heading, broken = load_methods(arguments.file), "", 0
    print(f"{file.origin.path}  digest {file.origin.digest}")
    for verdict in check(file):
        if heading != (heading := f"{verdict.axis} {verdict.method.name}"):
            print(heading)
        broken += bool(verdict.broken)
        print(f"  {'broken' if verdict.broken else 'passed'}  {verdict.law}", flush=True)
        if verdict.broken:
            print(f"          {verdict.broken}", flush=True)
    count = f"{broken} law{' is' if broken == 1 else 's are'} broken."
    print(count if broken else "All laws are kept.")
    return int(broken > 0)

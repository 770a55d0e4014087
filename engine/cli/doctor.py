"""`doctor`: whether this machine and installation can run Prunescope, one line per finding."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from engine import COMMAND, VERSION
from engine.cli.diagnosis import CHECKS, diagnose

NAME_WIDTH = max(map(len, CHECKS))
STATE_WIDTH = len("warning")
EXPLANATION = "check that this machine can run Prunescope: packages, device, store, hub, worker"


def main() -> int:
    """Run the command alone: importing the others fails if a package is missing, which is to be reported."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND} doctor", description=EXPLANATION)
    add_options(parser)
    try:
        return doctor(parser.parse_args(sys.argv[2:]))
    except BrokenPipeError:  # the reader closed stdout, for instance `head`
        return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def doctor(arguments: argparse.Namespace) -> int:
    """Print the findings of all checks and return 1 if one of them is a failure, otherwise 0."""
    findings = []
    for finding in diagnose():
        findings.append(finding)
        if not arguments.json:
            # One by one: the last ones take seconds.
            beginning = f"{finding.state:<{STATE_WIDTH}}  {finding.check:<{NAME_WIDTH}}  "
            print(beginning + finding.message, flush=True)
            if finding.action:
                print(" " * len(beginning) + finding.action, flush=True)
    failed = any(finding.state == "failure" for finding in findings)
    if arguments.json:
        report = {"version": VERSION, "failed": failed, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    return int(failed)

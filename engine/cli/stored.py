"""The commands that read: `methods`, `runs`, `show`, `replay`, `export`, `report`; and `record` and `bench`."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from engine.cli import recorded
from engine.cli.methods import describe
from engine.cli.report import Bar, print_event, summary
from engine.errors import EngineError, StoreError
from engine.export.model_card import model_card
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED, Store

STATE_WIDTH, NUMBER_WIDTH = 11, 10


def methods(arguments: argparse.Namespace) -> int:
    """List the methods."""
    print(describe())
    return 0


def runs(arguments: argparse.Namespace) -> int:
    """List the runs, the last changed first."""
    listed = Store().list()
    if not listed:
        print(
            f"There are no runs in {Store().home} yet. Make one with: python -m engine prune", file=sys.stderr
        )
    for run in listed:
        pruned = f"{run.record.pruned.perplexity:.3f}" if run.record and run.record.pruned else "-"
        when = datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M")
        print(f"{run.key}  {run.state:<{STATE_WIDTH}}  {pruned:>{NUMBER_WIDTH}}  {when}  {run.title}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show a run's numbers."""
    record = _folder(arguments.key).record()
    print(record.model_dump_json(indent=1) if arguments.json else summary(record))
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Play a run's events again, at the pace they had, faster, or at once."""
    folder, last = _folder(arguments.key), 0.0
    with nullcontext(print_event) if arguments.events else Bar() as watch:
        for event in folder.events():
            if arguments.speed > 0:
                time.sleep(max(0.0, event.elapsed - last) / arguments.speed)
            last = event.elapsed
            watch(event)
    print(summary(folder.record()))
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write what is asked of a finished run."""
    from engine.export.model import (  # the model library is slow to import, and only this command needs it
        save_masks,
        save_model,
    )

    folder = _folder(arguments.key)
    record = folder.record()
    if record.state != "finished" or record.model is None:
        raise StoreError(
            f"The run {folder.key} is {record.state}, so there is nothing to export. Finish it first."
        )
    if not (arguments.model or arguments.masks or arguments.record):
        raise StoreError(
            "Nothing was asked for. Say what to write: --model DIR, --masks FILE or --record FILE."
        )
    if arguments.record:
        Path(arguments.record).write_text(record.model_dump_json(indent=1), encoding="utf-8")
    if arguments.masks:
        save_masks(folder.masks(record.model.path), Path(arguments.masks))
    if arguments.model:
        save_model(record, folder.blocks, Path(arguments.model).absolute(), card=model_card(record))
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write a run as one HTML file, and say where."""
    try:
        from engine.charts.report import (
            report as page,  # a machine that only computes may have no drawing library
        )
    except ImportError as error:
        raise EngineError(
            f"A report needs {error.name}, which is not installed here. Install what requirements.txt lists."
        ) from error
    folder = _folder(arguments.key)
    record = folder.record()
    if record.recipe is None or record.model is None:
        raise StoreError(
            f"A report of the run {folder.key} was asked for, but it stopped before its model was loaded. Try the run again first."
        )
    out = Path(arguments.out or f"{folder.key}.html")
    try:
        out.write_text(page(record), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"The report cannot be written to {out}: {error.strerror or error}. Choose another place with --out."
        ) from error
    print(out)
    return 0


def record(arguments: argparse.Namespace) -> int:
    """Compute the recorded runs that are missing."""
    for done, total, recipe in recorded.record(RECORDED, afresh=arguments.afresh):
        print(f"{done + 1} of {total}: {recipe.title}", file=sys.stderr, flush=True)
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Measure."""
    from engine.cli.bench import main as benchmark

    return benchmark.bench(arguments.shape or ["demo", "opt-125m", "app"])


def _folder(key: str) -> RunFolder:
    """The run of this key, these first letters, or this path."""
    if Path(key).is_dir():
        return RunFolder(Path(key).absolute())
    store = Store()
    found = sorted({run.key for run in (*store.list(), *store.recorded) if run.key.startswith(key)})
    if len(found) != 1:
        what = "no run has" if not found else f"{len(found)} runs have"
        raise StoreError(
            f"The run {key} was asked for, but {what} a key that begins so. `python -m engine runs` lists them."
        )
    return store.find(found[0])

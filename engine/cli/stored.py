"""The commands `runs`, `show`, `replay`, `export` and `report` on stored runs, and `methods`, `record`,
`bench`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from engine import COMMAND
from engine.cli import recorded, recorded_table
from engine.cli.methods import describe
from engine.cli.report import Bar, add_events_option, print_event, print_notes, summary
from engine.errors import EngineError, StoreError
from engine.export.exported_record import exported
from engine.export.run_table import FORMATS, run_rows
from engine.models.known_files import SMOLLM2
from engine.pruning.presets import PRESETS
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED, Store
from engine.store.summary import summarise

STATE_WIDTH, NUMBER_WIDTH = 11, 10


def methods(arguments: argparse.Namespace) -> int:
    """List the methods."""
    print(describe())
    return 0


def runs(arguments: argparse.Namespace) -> int:
    """List the runs, most recently changed first."""
    listed = Store().list()
    if not listed:
        print(f"There are no runs in {Store().home} yet. Make one with: {COMMAND} prune", file=sys.stderr)
    for run in listed:
        pruned = f"{run.record.pruned.perplexity:.3f}" if run.record and run.record.pruned else "-"
        when = datetime.fromtimestamp(run.changed).strftime("%Y-%m-%d %H:%M")
        print(f"{run.key}  {run.state:<{STATE_WIDTH}}  {pruned:>{NUMBER_WIDTH}}  {when}  {run.title}")
    return 0


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `show`."""
    add_key(parser)
    parser.add_argument("--json", action="store_true", help="print the whole record as JSON")


def show(arguments: argparse.Namespace) -> int:
    """Show a run's numbers."""
    record = folder_of(arguments.key).record()
    print(exported(record).model_dump_json(indent=1) if arguments.json else summary(record))
    return 0


def add_replay_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `replay`."""
    add_key(parser)
    parser.add_argument(
        "--speed", type=float, default=1.0, help="speed-up over the original pace (0 = no pauses; default: 1)"
    )
    add_events_option(parser)


def replay(arguments: argparse.Namespace) -> int:
    """Replay a run's events at their original pace, faster, or without pauses."""
    folder, last = folder_of(arguments.key), 0.0
    with nullcontext(print_event) if arguments.events else Bar() as show:
        for event in folder.events():
            if arguments.speed > 0:
                # The seconds start again at 0 where a run was resumed, hence `max`.
                time.sleep(max(0.0, event.elapsed - last) / arguments.speed)
            last = event.elapsed
            show(event)
    print(summary(folder.record()))
    return 0


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `export`."""
    add_key(parser)
    parser.add_argument("--model", metavar="DIR", help="write the pruned model, for from_pretrained")
    parser.add_argument("--masks", metavar="FILE", help="write the masks (safetensors)")
    parser.add_argument("--record", metavar="FILE", help="write the record (JSON)")
    add_force(parser)


def export(arguments: argparse.Namespace) -> int:
    """Write the requested files of a finished run."""
    # Importing transformers is slow, and only this command needs it.
    from engine.export.model import save_model
    from engine.export.output_file import save_masks, save_record

    folder = folder_of(arguments.key)
    record = folder.record()
    if record.state != "finished" or record.model is None:
        raise StoreError(
            f"The run {folder.key} is {record.state}, so there is nothing to export. Finish it first."
        )
    if not (arguments.model or arguments.masks or arguments.record):
        raise StoreError(
            "Nothing to export. Choose at least one of --model DIR, --masks FILE and --record FILE."
        )
    if arguments.masks or arguments.model:
        folder.require_weights()
    if arguments.record:
        save_record(record, Path(arguments.record), force=arguments.force)
    if arguments.masks:
        save_masks(folder.blocks.masks(record.model.path), Path(arguments.masks), force=arguments.force)
    if arguments.model:
        print_notes(save_model(record, folder.blocks, Path(arguments.model).absolute()))
    return 0


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report`."""
    parser.add_argument(
        "keys", metavar="key", nargs="+", help="a run's key, the beginning of its key, or its folder"
    )
    parser.add_argument(
        "--table",
        choices=sorted(FORMATS),
        help="write the runs as a table instead of a page; without --out, to stdout",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the file to write (default: KEY.html in this directory, for several runs runs.html)",
    )
    add_force(parser)


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a file be replaced."""
    parser.add_argument("--force", action="store_true", help="also replace a file that holds something else")


def report(arguments: argparse.Namespace) -> int:
    """Write runs as one HTML file and print its path, or print or write them as a table."""
    if arguments.table:
        return _write_table(arguments)
    try:
        # Plotly may be missing on a compute server.
        from engine.charts.report import LabelledRun, report, runs_report
    except ImportError as error:
        raise EngineError(
            f"A report needs {error.name}, which is not installed. Install it with pip."
        ) from error
    from engine.export.output_file import save_report

    folders = _folders_of(arguments.keys)
    runs = [LabelledRun(_reportable(folder), **_label(folder)) for folder in folders]
    if len(runs) == 1:
        page, name = report(runs[0].record), folders[0].key
    else:
        page, name = runs_report(runs), "runs"
    out = Path(arguments.out or f"{name}.html")
    save_report(page, out, force=arguments.force)
    print(out)
    return 0


def _reportable(folder: RunFolder) -> RunRecord:
    record = folder.record()
    if record.recipe is None or record.model is None:
        raise StoreError(
            f"There is nothing to report about the run {folder.key}: it stopped before its model was loaded. "
            "Retry the run first."
        )
    return record


def _label(folder: RunFolder) -> dict[str, str]:
    """Return the name and the note that the user has given a run."""
    label = summarise(folder, folder.files()).label
    return {"name": label.name, "note": label.note}


def _write_table(arguments: argparse.Namespace) -> int:
    from engine.export.output_file import save_table

    _, write = FORMATS[arguments.table]
    folders = _folders_of(arguments.keys)
    text = write(run_rows((_reportable(folder), _label(folder)["name"]) for folder in folders))
    if arguments.out:
        save_table(text, Path(arguments.out), force=arguments.force)
        print(arguments.out)
    else:
        print(text, end="")
    return 0


def _folders_of(keys: Sequence[str]) -> list[RunFolder]:
    """Return the folders of these runs, each once."""
    return list({folder.key: folder for folder in map(folder_of, keys)}.values())


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `record`."""
    parser.add_argument("--afresh", action="store_true", help="compute existing runs again, too")
    parser.add_argument(
        "--model",
        metavar="FILE",
        help=f"compute the runs of a real language model instead, from its file {SMOLLM2.name}",
    )
    parser.add_argument(
        "--table", action="store_true", help="print the results of all bundled runs as Markdown, and end"
    )


def record(arguments: argparse.Namespace) -> int:
    """Compute the bundled runs that are missing, or print a table of those that are there."""
    if arguments.table:
        print(recorded_table.tables(Store().recorded))
        return 0
    for done, total, recipe in recorded.record(RECORDED, model=arguments.model, afresh=arguments.afresh):
        now = datetime.now().strftime("%H:%M:%S")
        print(f"{now}  {done + 1} of {total}: {recipe.title}", file=sys.stderr, flush=True)
    return 0


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench`."""
    parser.add_argument(
        "--shape",
        choices=("demo", "opt-125m", "app", "search", "table", "memory", "sweep", "mrp", "gpu"),
        action="append",
        help="what to measure (default: demo, opt-125m, app)",
    )
    parser.add_argument(
        "--model",
        help="measure the presets on this model instead, with 8 windows of 512 tokens",
    )
    parser.add_argument(
        "--pruner",
        action="append",
        choices=tuple(PRESETS),
        help="with --model: only this pruner; may be repeated (default: all)",
    )
    parser.add_argument(
        "--minutes", type=float, default=9, help="how long the measurements of a GPU may take (default: 9)"
    )


def bench(arguments: argparse.Namespace) -> int:
    """Run the benchmarks."""
    if arguments.shape == ["gpu"]:  # its output is JSON alone
        from engine.cli.bench.gpu import bench_gpu

        return bench_gpu(arguments.minutes)
    from engine.cli.bench import main as benchmark  # imports torch and transformers at once

    if arguments.model is not None:
        return benchmark.bench_model(arguments.model, arguments.pruner or tuple(PRESETS))
    return benchmark.bench(arguments.shape or ["demo", "opt-125m", "app"])


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the argument that `folder_of` takes."""
    parser.add_argument("key", help="the run's key, the beginning of its key, or its folder")


def folder_of(key: str) -> RunFolder:
    """Return the folder of the run with this key, this beginning of a key, or this path."""
    if (path := Path(key).absolute()).is_dir():
        return RunFolder(path, recorded=path.parent == RECORDED)
    store = Store()
    # A set: a bundled run may have been computed here, too.
    found = sorted({run.key for run in (*store.list(), *store.recorded) if run.key.startswith(key)})
    if len(found) != 1:
        count = f"{len(found)} runs have" if found else "no run has"
        raise StoreError(
            f"{key} does not identify a run: {count} a key that begins with it. `{COMMAND} runs` lists them."
        )
    folder = store.find(found[0])
    if folder.recorded and store.folder(folder.key).exists:
        print(
            f"The run {folder.key} that was started here gave no result, so the bundled one is used.",
            file=sys.stderr,
        )
    return folder

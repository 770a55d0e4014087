"""What the command line prints about a run: a progress bar on stderr while it is running, then its results on
stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from types import TracebackType

from tqdm import tqdm

from engine.analysis.calibration_text import narrow_calibration_of
from engine.analysis.published import published
from engine.evaluation.tasks.compare import compare
from engine.events import (
    Allocated,
    BlockMeasured,
    BlockPruned,
    CandidateTried,
    Evaluated,
    Event,
    Fetching,
    ModelLoaded,
    Resumed,
    TaskProgressed,
    to_line,
)
from engine.numbers import accuracy
from engine.record import RunRecord
from engine.record.parts import Evaluation


class Bar:
    """A progress bar over the blocks, drawn from the events."""

    def __init__(self) -> None:
        # The number of blocks is unknown until the model is loaded; the finished bar gives way to the
        # results.
        self._bar: tqdm[None] = tqdm(total=None, unit="block", file=sys.stderr, leave=False, desc="loading")

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Fetching():
                self._bar.set_description(f"{event.doing} {event.what}{_amount(event)}")
            case ModelLoaded():
                self._bar.reset(total=event.blocks)
            case BlockMeasured():
                self._bar.set_description(f"measuring block {event.index}")
            case CandidateTried():
                self._bar.set_description(f"searching, {event.candidate.step} at {event.candidate.place}")
            case Allocated():
                self._bar.set_description("pruning")
            case Resumed():
                self._bar.write(f"Resuming after block {event.blocks}.", file=sys.stderr)
            case BlockPruned():
                # Set and not advanced: a resumed run begins after its finished blocks.
                self._bar.n = event.index + 1
                self._bar.set_postfix_str(f"sparsity {event.sparsity:.3f}")
            case Evaluated():
                self._bar.set_description("evaluated")
            case TaskProgressed():
                self._bar.set_description(f"{event.which} on {event.task}, {event.done} of {event.total}")


def _amount(event: Fetching) -> str:
    note = f" ({event.note.rstrip('.')})" if event.note else ""
    if not event.done and event.total is None:  # unknown
        return note
    total = f" of {event.total / 1e6:,.0f}" if event.total else ""
    return f", {event.done / 1e6:,.0f}{total} MB{note}"


def add_events_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that replaces the bar by `print_event`."""
    parser.add_argument(
        "--events", action="store_true", help="print events as JSON lines on stderr instead of a bar"
    )


def print_event(event: Event) -> None:
    """Print the event as a line of JSON on stderr."""
    print(to_line(event), file=sys.stderr, flush=True)


def summary(record: RunRecord) -> str:
    """Return a record's results as a few lines of text."""
    lines = [f"{record.title or 'run'}  [{record.key}]  {record.state}"]
    if record.error:
        lines.append(record.error)
    if record.model is not None and record.model.source is not None:
        lines.append(f"weights     from {record.model.source.file}: {record.model.source.types}")
    lines += [f"method      {sentence}" for sentence in record.recipe.method_sources] if record.recipe else []
    if record.sparsity.achieved is not None:
        coverage = (
            f" of the prunable weights ({record.sparsity.coverage:.1%} of all)"
            if record.sparsity.coverage
            else ""
        )
        lines.append(
            f"sparsity    {record.sparsity.achieved:.4f}{coverage}, target {record.sparsity.target:.4f}"
        )
    if record.sparsity.initial_words:
        lines.append(f"            {record.sparsity.initial_words.rstrip('.')}")
    if record.sparsity.ties.words:
        lines.append(f"ties        {record.sparsity.ties.words.rstrip('.')}")
    if len(set(record.allocation)) > 1:  # a uniform allocation says nothing
        lines.append(
            f"allocation  {min(record.allocation):.3f} to {max(record.allocation):.3f} per block"
            f"{_search(record)}"
        )
    # Not strict: a run that ended early has windows without a perplexity.
    for item, windows in zip(record.evaluations, record.protocol.evaluations, strict=False):
        lines.append(
            f"perplexity  {item.dense.perplexity:.3f} dense, {item.pruned.perplexity:.3f} pruned, "
            f"ratio {item.ratio:.3f}{_bits(item)}"
        )
        lines.append(f"            {record.protocol.perplexity_on(windows)}")
    about = [narrow_calibration_of(record.recipe), *(one.words for one in published(record))]
    lines += [f"            {words}" for words in about if words]
    for row in compare(record.tasks.dense, record.tasks.pruned):
        lines.append(
            f"task        {row.title}: {_accuracy(row.dense, row.dense_stderr)} dense, "
            f"{_accuracy(row.pruned, row.pruned_stderr)} pruned"
        )
    if record.timings:
        phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in record.timings.items())
        lines.append(f"time        {record.elapsed:.2f} s ({phases})")
    return "\n".join([*lines, *map(_note, record.warnings)])


def print_notes(notes: Iterable[str]) -> None:
    """Print notes about a saved model, as below a record's results."""
    for note in notes:
        print(_note(note))


def _note(text: str) -> str:
    return f"note        {text}"


def _bits(item: Evaluation) -> str:
    dense, pruned = item.dense.bits_per_byte, item.pruned.bits_per_byte
    return f"; bits per byte {dense:.3f} and {pruned:.3f}" if dense is not None and pruned is not None else ""


def _accuracy(value: float | None, stderr: float | None) -> str:
    return "-" if value is None else accuracy(value, stderr)


def _search(record: RunRecord) -> str:
    """Return what an allocation search chose, and out of how many candidates."""
    chosen = [
        f"{tried.step} {tried.place.replace('λ =', 'lambda')} (objective {tried.objective:.4g})"
        for tried in record.search
        if tried.chosen
    ]
    return f", {' and '.join(chosen)} of {len(record.search)} candidates" if chosen else ""

"""The progress of a run: how full its bar is, and what it is doing in words."""

from __future__ import annotations

from engine import numbers
from engine.analysis.candidates import best_candidate
from engine.charts.allocation import measured_quantity
from engine.charts.run_charts import is_deciding
from engine.evaluation.tasks.catalogue import task_title
from engine.events import Fetching
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets.literal import literal

SEARCH, MEASUREMENT = 0.5, 0.1
"""Share of the bar that a long search approaches, and that measuring all blocks takes. The blocks get the
rest.
"""
HALFWAY = 12
"""Candidates after which a search has half of its share; how many there will be is not known."""


def share(view: RunView) -> float:
    """Return how full the bar is, 0 to 1. A download has the bar to itself; then come the search or
    measurement that decides the sparsity per block, the blocks, and a little for the evaluation.
    """
    if view.state == "queued":
        return 0.0
    record, decided = view.record, 0.0
    if record.fetching is not None:
        return record.fetching.done / record.fetching.total if record.fetching.total else 0.0
    if record.search:
        # n / (n + HALFWAY): grows but never ends
        decided = SEARCH * len(record.search) / (len(record.search) + HALFWAY)
    elif record.measured and record.model:
        decided = MEASUREMENT * len(record.measured) / record.model.blocks
    # 2 % are for loading, and 4 % remain for the evaluation after the last block.
    return min(1.0, 0.02 + decided + (0.94 - decided) * record.progress)


def progress_words(view: RunView) -> str:
    """Return what the run is doing, how far it has come, and where it is computed."""
    where = f" · {literal(view.worker)}" if view.worker else ""
    return f"{_words(view)}{where}"


def _words(view: RunView) -> str:
    record = view.record
    if view.state == "queued":
        turn = "next in the queue" if view.place in (None, 1) else f"place {view.place} in the queue"
        return f"Waiting: {turn}. {literal(view.message) if view.place in (None, 1) else ''}"
    if view.message:  # its worker has stopped answering
        return f":material/warning: {literal(view.message)}"
    if record.fetching is not None:
        return _fetching_words(record.fetching)
    if record.model is None:
        return "Loading the model"
    if record.protocol.calibration is None or (
        record.recipe and len(record.protocol.evaluations) < len(record.recipe.evaluations)
    ):
        return "Cutting windows of text"
    return (
        _deciding_words(record, record.model.blocks)
        if is_deciding(record)
        else _block_words(record, record.model.blocks)
    )


def _block_words(record: RunRecord, total: int) -> str:
    done, trying = len(record.blocks), record.trying
    if done < total:
        left = f" · about {numbers.seconds(record.remaining)} left" if record.remaining is not None else ""
        return f"Block {done + 1} of {total}{left}"
    if trying is None:
        return f"Block {total} of {total} done · measuring perplexity"
    asked = f"{trying.done} of {trying.total} examples" if trying.total else "fetching its examples"
    return f"Trying the {trying.which} model on {task_title(trying.task)}: {asked}"


def _fetching_words(fetching: Fetching) -> str:
    doing = f"{fetching.doing.capitalize()} {literal(fetching.what)}"
    if not fetching.done and fetching.total is None:  # unknown
        return f"{doing}. {literal(fetching.note)}".rstrip()
    amount = numbers.size(fetching.done) + (f" of {numbers.size(fetching.total)}" if fetching.total else "")
    return f"{doing}: {amount}. {literal(fetching.note)}".rstrip()


def _deciding_words(record: RunRecord, total: int) -> str:
    """Return what is tried or measured before the first block is pruned."""
    if not record.search:
        quantity, done = measured_quantity(record), len(record.measured)
        return (
            f"Measuring block {min(done + 1, total)} of {total}: {quantity}"
            if quantity
            else "Searching: uniform, the reference"
        )
    step, best = record.search[-1].step, best_candidate(record)
    if record.search[-1].is_reference:
        return "Searching: first candidates"
    tried = sum(candidate.step == step for candidate in record.search)
    if best is not None and best.chosen:
        return f"Searching: {step} step done, {tried} candidates · {best.place} chosen"
    return f"Searching: {step} step, candidate {tried} done" + (
        f" · best so far {best.place}" if best else ""
    )

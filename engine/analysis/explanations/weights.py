"""What a sparsity means for the whole model: the weights that are removed, and what their zeros save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.analysis.explanations.explanation import SPEED, STORAGE, Explanation, explanation
from engine.analysis.explanations.progress import is_complete
from engine.numbers import percent, size
from engine.record import RunRecord

if TYPE_CHECKING:  # these import torch, which a page must not load
    from engine.evaluation.size import SizeReport
    from engine.evaluation.speed import SpeedReport, Stage


def coverage(record: RunRecord) -> Explanation:
    """Explain the bar of all weights of a run's model."""
    if record.model is None:
        return explanation(["The model was not loaded, so nothing is known about its weights."], STORAGE)
    zeros = sum(
        block.unpruned_zeros + sum(linear.zeros for linear in block.linears) for block in record.blocks
    )
    done, total = len(record.blocks), record.model.blocks
    part = "" if is_complete(record) else f"Only {done} of {total} blocks were pruned."
    return _of_all(zeros, record.model.prunable, record.sparsity.skipped, "are", part)


def coverage_ahead(removed: int, prunable: int, skipped: Mapping[str, int]) -> Explanation:
    """Explain the bar of all weights before a run, with an estimate of how many it removes."""
    return _of_all(removed, prunable, skipped, "will be", "")


def sizes(found: SizeReport) -> Explanation:
    """Explain the bars of the model's size per format."""
    formats = {"a bitmask and the kept values": found.bitmask, "sparse rows": found.csr}
    if found.semi_structured is not None:
        formats["the 2:4 format"] = found.semi_structured
    best = min(formats, key=lambda name: formats[name])
    saved = 1 - formats[best] / found.dense
    first = (
        f"stored with its zeros, the pruned model takes the same {size(found.dense)} as the dense one; "
        f"{best} saves {percent(saved)} of it."
        if saved > 0
        else f"no format for zeros takes less than the dense {size(found.dense)}; the closest is {best} with "
        f"{size(formats[best])}."
    )
    csr = "larger" if found.csr > found.dense else "not larger"
    second = (
        f"With {percent(1 - found.kept / found.weights)} of the prunable weights removed, sparse rows are "
        f"{csr} than dense storage: they need a column number for every value."
    )
    rest = f"{percent(found.rest / found.dense)} of the dense size is never pruned and stays in every format."
    return explanation([first, second, rest], STORAGE)


def latencies(report: SpeedReport) -> Explanation:
    """Explain the bars of the latency."""
    stages: dict[Stage, str] = {"prefill": "the prompt", "token": "one more token"}
    words = []
    for stage, what in stages.items():
        dense, pruned, ratio = (
            report.timing(stage, "dense"),
            report.timing(stage, "pruned"),
            report.ratio(stage),
        )
        if dense is None or pruned is None or ratio is None:
            continue
        apart = dense.high < pruned.low or pruned.high < dense.low  # the middle halves do not overlap
        if not apart:
            words.append(f"no measurable difference for {what}")
        else:
            words.append(f"{percent(abs(ratio - 1))} {'less' if ratio < 1 else 'more'} time for {what}")
    if not words:
        return explanation(["No pass of the pruned model was timed."], SPEED)
    first = f"compared with the dense model, the pruned one shows {' and '.join(words)}."
    second = "Dense kernels multiply by a zero as by any other number."
    kernels = [
        f"× {ratio:.2f} for {what}" for stage, what in stages.items() if (ratio := report.ratio(stage, "2:4"))
    ]
    third = f"With 2:4 kernels, the time relative to dense is {' and '.join(kernels)}." if kernels else ""
    return explanation([first, second, third], SPEED)


def _of_all(removed: int, prunable: int, skipped: Mapping[str, int], fate: str, part: str) -> Explanation:
    total = prunable + sum(skipped.values())
    if not prunable:
        return explanation(["The model has no weights that can be pruned."], STORAGE)
    first = (
        f"{percent(removed / prunable)} of the prunable weights {fate} zero. As only "
        f"{percent(prunable / total)} of the model can be pruned, this is {percent(removed / total)} of all "
        "weights."
    )
    largest = max(skipped, key=lambda kind: skipped[kind], default="")
    second = (
        f"The largest part that is never pruned: {largest}, {percent(skipped[largest] / total)} of the model."
        if largest and skipped[largest]
        else ""
    )
    return explanation([first, second, part], STORAGE)

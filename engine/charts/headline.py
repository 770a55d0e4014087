"""The six headline numbers of a run, each with its protocol: what it means and what it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

from engine import numbers
from engine.charts.row_sparsity import has_uneven_rows
from engine.record import RunRecord

BEGINNING = 0.05
"""Seconds within which a run has not done anything yet: no model loads faster."""


@dataclass(frozen=True)
class Number:
    """A label, a formatted value, and its protocol."""

    label: str
    value: str
    protocol: str


def run_numbers(record: RunRecord) -> list[Number]:
    """Return the headline numbers of a run."""
    dense, pruned = record.dense, record.pruned
    measured = record.protocol.perplexity
    tokens = f" Predicted tokens: {dense.tokens:,}." if dense else ""
    both = f"Perplexity: {measured}.{tokens} Dense and pruned share this protocol."
    return [
        Number("Dense perplexity", numbers.perplexity(dense.perplexity if dense else None), both),
        Number("Pruned perplexity", numbers.perplexity(pruned.perplexity if pruned else None), both),
        Number(
            "Ratio",
            numbers.ratio(record.ratio),
            f"Pruned perplexity / dense perplexity: × 1 means no loss. {both}",
        ),
        Number("Sparsity achieved", numbers.percent(record.sparsity.achieved, 2), _sparsity_protocol(record)),
        Number("Coverage", numbers.percent(record.sparsity.coverage), _coverage_protocol(record)),
        Number("Time", numbers.seconds(_time(record)), _time_protocol(record)),
    ]


def _sparsity_protocol(record: RunRecord) -> str:
    target = numbers.percent(record.sparsity.target, 2)
    # a stopped run counts its finished blocks only
    done = "" if record.state == "finished" else " of the blocks finished so far"
    rounding = (
        "The kept weights of each row are rounded down, so it may be higher by less than one weight per row"
        # Kept weights are rounded down with row sparsities, removed ones with groups: opposite biases.
        if has_uneven_rows(record)
        else "The removed weights of each group are rounded down, so it may be lower by less than one weight "
        "per group"
    )
    more = "".join(
        f" {words}" for words in (record.sparsity.initial_words, record.sparsity.ties.words) if words
    )
    return (
        f"Zeros / prunable weights{done}, counted; the target is {target}. {rounding}.{more} "
        f"Chosen with {record.protocol.statistics}."
    )


def _coverage_protocol(record: RunRecord) -> str:
    if record.model is None:
        return "Prunable weights / all weights of the model."
    skipped = ", ".join(
        f"{kind} {numbers.count(weights)}" for kind, weights in record.sparsity.skipped.items()
    )
    return (
        f"Prunable weights / all weights: {numbers.count(record.model.prunable)} "
        f"of {numbers.count(record.model.parameters)}. "
        f"Never pruned: {skipped or 'nothing'}."
    )


def _time(record: RunRecord) -> float | None:
    """Return the time of a run in seconds, as of its last event; None if that is only that it has begun."""
    begun = record.state != "running" or record.elapsed >= BEGINNING
    return record.elapsed if record.started and begun else None


def _time_protocol(record: RunRecord) -> str:
    phases = ", ".join(f"{phase} {numbers.seconds(seconds)}" for phase, seconds in record.timings.items())
    place = f" on {record.environment.device_name or record.environment.device}" if record.environment else ""
    return (
        f"Wall-clock time of the run{place}, without waiting in the queue. "
        f"{f'Per phase: {phases}.' if phases else ''}"
    )

"""The six numbers that a run is judged by, each with its protocol: what it means and what it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

from engine import numbers
from engine.charts.rows import has_uneven_rows
from engine.record import RunRecord


@dataclass(frozen=True)
class Number:
    """A label, a value in words, and its protocol."""

    label: str
    value: str
    protocol: str


def run_numbers(record: RunRecord) -> list[Number]:
    """What a run is judged by."""
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
            f"Pruned perplexity / dense perplexity: × 1 means that nothing was lost. {both}",
        ),
        Number("Sparsity achieved", numbers.percent(record.sparsity.achieved, 2), _sparsity_protocol(record)),
        Number("Coverage", numbers.percent(record.sparsity.coverage), _coverage_protocol(record)),
        Number("Time", numbers.seconds(record.elapsed if record.started else None), _time_protocol(record)),
    ]


def _sparsity_protocol(record: RunRecord) -> str:
    asked = numbers.percent(record.sparsity.target, 2)
    done = "" if record.state == "finished" else " of the blocks done so far"
    rounding = (
        "Each row keeps a rounded-down number of weights, so it may be above by less than one weight a row"
        if has_uneven_rows(record)
        else "Each group loses a rounded-down number, so it may stay below by less than one weight a group"
    )
    return f"Zeros / prunable weights{done}, counted; {asked} was asked. {rounding}. Chosen with {record.protocol.statistics}."


def _coverage_protocol(record: RunRecord) -> str:
    if record.model is None:
        return "Prunable weights / all weights of the model."
    skipped = ", ".join(
        f"{kind} {numbers.count(weights)}" for kind, weights in record.sparsity.skipped.items()
    )
    return (
        f"Prunable weights / all weights: {numbers.count(record.model.prunable)} of {numbers.count(record.model.parameters)}. "
        f"Never pruned: {skipped or 'nothing'}."
    )


def _time_protocol(record: RunRecord) -> str:
    phases = ", ".join(f"{phase} {numbers.seconds(seconds)}" for phase, seconds in record.timings.items())
    place = f" on {record.environment.device_name or record.environment.device}" if record.environment else ""
    return f"Wall clock of the run{place}, without the wait for its turn. {f'By phase: {phases}.' if phases else ''}"

"""The six headline numbers of a run, next to those of a second one: the difference, and the other's value."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from engine import numbers
from engine.charts.overlay.pair import Pair
from engine.events import Score
from engine.record import RunRecord

Shown = Callable[[float], str]


def compared_numbers(pair: Pair) -> list[str]:
    """Return a line for each of the `run_numbers`: `+6.91 (48.12)`; without a difference if the two cannot be
    compared, and empty if the other run has no such number.
    """
    perplexity = not incomparable_perplexities(pair)
    same_machine = pair.first.environment is not None and pair.first.environment == pair.second.environment
    return [
        _line(pair, lambda run: _perplexity(run.dense), numbers.perplexity, perplexity),
        _line(pair, lambda run: _perplexity(run.pruned), numbers.perplexity, perplexity),
        _line(pair, lambda run: run.ratio, numbers.ratio, perplexity, lambda ratio: f"{ratio:.2f}"),
        _line(
            pair, lambda run: run.sparsity.achieved, lambda share: numbers.percent(share, 2), True, _points
        ),
        _line(pair, lambda run: run.sparsity.coverage, numbers.percent, True, _points),
        _line(pair, lambda run: run.elapsed if run.started else None, numbers.seconds, same_machine),
    ]


def incomparable_perplexities(pair: Pair) -> str:
    """Return why the perplexities of the two cannot be compared; empty if they can, or there are none yet."""
    texts = [run.protocol.evaluation for run in pair.runs]
    if texts[0] is None or texts[1] is None:
        return ""
    same = texts[0].fingerprint == texts[1].fingerprint and (
        pair.first.protocol.perplexity == pair.second.protocol.perplexity
    )
    if same:
        return ""
    first, second = (run.protocol.perplexity for run in pair.runs)
    return f"The perplexities cannot be compared: {first} ({pair.names[0]}); {second} ({pair.names[1]})."


def _line(
    pair: Pair,
    value: Callable[[RunRecord], float | None],
    shown: Shown,
    comparable: bool,
    difference: Shown | None = None,
) -> str:
    mine, other = (value(run) for run in pair.runs)
    if other is None:
        return ""
    if mine is None or not comparable or not isfinite(mine - other):
        return f"({shown(other)})"
    sign = "+" if mine > other else "−" if mine < other else ""
    return f"{sign}{(difference or shown)(abs(mine - other))} ({shown(other)})"


def _perplexity(score: Score | None) -> float | None:
    return None if score is None else score.perplexity


def _points(share: float) -> str:
    return f"{100 * share:.2f}"

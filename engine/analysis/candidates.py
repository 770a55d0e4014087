"""The candidates of a search: the best one so far, the reference, and their names.

A step starts from the winner of the one before, so the best candidate is that of the last step; while a step
is running, the best complete one so far.
"""

from __future__ import annotations

from engine.events import EVOLUTION_STEP, Candidate
from engine.record import RunRecord


def best_candidate(record: RunRecord) -> Candidate | None:
    """Return the best candidate so far, None before the first."""
    # a stopped one has only a lower bound
    tried = [candidate for candidate in record.search if not candidate.stopped]
    if not tried:
        return None
    # of the last step only: it starts from the winner of the one before
    of_step = [candidate for candidate in tried if candidate.step == tried[-1].step]
    chosen = [candidate for candidate in of_step if candidate.chosen]
    return chosen[0] if chosen else min(of_step, key=lambda candidate: candidate.objective)


def uniform_candidate(record: RunRecord) -> Candidate | None:
    """Return the reference candidate: the same sparsity for all blocks and rows."""
    return next((candidate for candidate in record.search if candidate.is_reference), None)


def named(candidate: Candidate) -> str:
    """Return `block step, λ = 0.1`, or `evolution, generation 3`."""
    if candidate.is_reference:
        return "uniform"
    return f"{step_title(candidate.step)}, {candidate.place}"


def step_title(step: str) -> str:
    """Return `block step`, or `evolution`."""
    return step if step == EVOLUTION_STEP else f"{step} step"

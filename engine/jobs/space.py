"""Freeing space: which runs would go, by age or by size. Pinned runs and those that are going on never do."""

from __future__ import annotations

from collections.abc import Iterable

from engine.jobs.store import RunSummary

DAY = 86_400.0
GOING_ON = ("queued", "running")


def older_than(runs: Iterable[RunSummary], days: float, now: float) -> list[RunSummary]:
    """The runs that nobody has changed for so many days; `now` in seconds since 1970. The oldest first."""
    return sorted((run for run in _free(runs) if now - run.changed > days * DAY), key=lambda run: run.changed)


def largest_until(runs: Iterable[RunSummary], limit: int) -> list[RunSummary]:
    """The largest runs, as many as it takes until all that are left have at most `limit` bytes; fewer where the rest may not go."""
    everything = list(runs)
    total, found = sum(run.size for run in everything), []
    for run in sorted(_free(everything), key=lambda run: run.size, reverse=True):
        if total <= limit:
            break
        found.append(run)
        total -= run.size
    return found


def _free(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs that may go."""
    return [run for run in runs if not (run.recorded or run.label.pinned or run.state in GOING_ON)]

"""What is done differently shortly before the end of a run: the numbers wait for it, because the next poll
would show them later, and the charts are not drawn once more, because that would delay both.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.jobs.views import RunView
from pages.widgets.live import POLL

PATIENCE = 1.5 * POLL
"""Most seconds that are waited, during which the tab answers no click."""
DRAWING = 1.2
"""Seconds before the end in which charts are not drawn: that takes about as long on two busy cores."""
PAUSE = 0.02
"""Seconds between two looks, each of which takes less than a millisecond."""


def waiting_for_end(
    look: Callable[[], RunView | None], may_wait: Callable[[], bool]
) -> Callable[[], RunView | None]:
    """Return a function that looks at a run. One of its calls returns only when the run has ended: the first
    one shortly before the end.

    Args:
        may_wait: whether a call may wait.
    """
    waited = False

    def look_again() -> RunView | None:
        nonlocal waited
        view = look()
        if waited or view is None or not ends_within(view, PATIENCE) or not may_wait():
            return view
        waited = True  # once: the estimate may be wrong, and the user may want to click
        end = time.monotonic() + PATIENCE
        while view is not None and view.active and time.monotonic() < end:
            time.sleep(PAUSE)
            view = look()
        return view

    return look_again


def last_before_end(look: Callable[[], RunView | None]) -> Callable[[], RunView | None]:
    """Return a function that looks at a run, but shortly before its end returns what it returned before."""
    seen: RunView | None = None

    def look_again() -> RunView | None:
        nonlocal seen
        view = look()
        if seen is None or view is None or not ends_within(view, DRAWING):
            seen = view
        return seen

    return look_again


def ends_within(view: RunView, seconds: float) -> bool:
    """Return whether a run is likely to end within this time; measuring the perplexity takes about as long as
    a block.
    """
    record = view.record
    if not view.active or record.remaining is None or record.recipe is None or record.recipe.tasks:
        return False
    return record.remaining + record.blocks[-1].seconds <= seconds

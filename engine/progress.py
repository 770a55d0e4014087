"""Run slow work (a download, tokenising a text) in a thread, and report its progress as a generator.

The generator yields three times per second, even while the work waits for a network that does not answer. To
cancel, close the generator. That returns immediately; the thread ends at its next `Report.check`, and its
result is dropped. So the work must not leave half-written files where complete ones are expected.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Progress:
    """The progress at one moment.

    Attributes:
        what: the file or dataset.
        done: bytes that are done.
        total: bytes in total, None if unknown.
        seconds: since the work began.
        note: an optional sentence, for instance why the work is waiting.
        doing: what is done, in a word.
    """

    what: str
    done: int
    total: int | None
    seconds: float
    note: str = ""
    doing: str = "fetching"


T = TypeVar("T")
PAUSE = 1 / 3
"""Seconds between two reports."""


class Stopped(Exception):
    """The reader cancelled this work."""


class Report:
    """The progress as the work sets it; another thread reads it."""

    def __init__(self) -> None:
        # Without a lock: each is a single assignment, and a report may be a moment old.
        self.done = 0
        self.total: int | None = None
        self.note = ""
        self._stop = threading.Event()

    def stop(self) -> None:
        """Request the work to end."""
        self._stop.set()

    def check(self) -> None:
        """Raise `Stopped` if the work was cancelled. The work calls this often."""
        if self._stop.is_set():
            raise Stopped


def in_background(
    what: str, work: Callable[[Report], T], doing: str = "fetching"
) -> Generator[Progress, None, T]:
    """Run `work` in a thread, yield its progress, and return its result. Errors of the work are raised here.

    Args:
        what: the file or dataset, for the reports.
        work: receives the report to update and to check.
        doing: what it does, in a word.
    """
    report, future, start = Report(), Future[T](), time.monotonic()
    # A daemon thread, because a network that does not answer must not keep the process alive.
    threading.Thread(target=_settle, args=(future, work, report), name=f"fetch {what}", daemon=True).start()
    try:
        while not wait([future], PAUSE).done:
            yield Progress(what, report.done, report.total, time.monotonic() - start, report.note, doing)
        return future.result()
    finally:
        report.stop()  # also when the reader closes the generator


def _settle(future: Future[T], work: Callable[[Report], T], report: Report) -> None:
    try:
        future.set_result(work(report))
    except BaseException as error:  # raised again by `future.result()` in the reader's thread
        future.set_exception(error)


def drain(steps: Generator[object, None, T]) -> T:
    """Return the result of a generator of progress or events, ignoring what it yields."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

"""Work in a thread of its own, seen as a generator of progress: to cancel is to stop reading.

The reader hears something three times a second, also while the work waits for a network that does not answer.
Closing the generator returns at once; the work ends by itself where it next looks, and what it returns then
is nobody's: it must not leave anything half-written in a place where whole things are looked for.

How far something is that takes a while: a download, or what is made of it.
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
    """A moment of it.

    Attributes:
        what: the file or dataset.
        done: bytes that are there.
        total: bytes that there will be, None where nobody says.
        seconds: since it began.
        note: a sentence where there is something to say, for instance why it waits.
    """

    what: str
    done: int
    total: int | None
    seconds: float
    note: str = ""


T = TypeVar("T")
PAUSE = 1 / 3
"""Seconds between two words of progress."""


class Stopped(Exception):
    """Nobody waits for this work any more."""


class Report:
    """What the work says of itself while another thread looks: bytes done and to do, and a sentence."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self.note = ""
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the work to end."""
        self._stop.set()

    def check(self) -> None:
        """To be called often by the work.

        Raises:
            Stopped: it was asked to end.
        """
        if self._stop.is_set():
            raise Stopped


def in_background(what: str, work: Callable[[Report], T]) -> Generator[Progress, None, T]:
    """Do `work` in a thread; its result and its errors are the generator's.

    Args:
        what: what is being worked on, in a few words.
        work: gets the report to fill in and to check.
    """
    report, future, start = Report(), Future[T](), time.monotonic()
    threading.Thread(target=_settle, args=(future, work, report), name=f"fetch {what}", daemon=True).start()
    try:
        while not wait([future], PAUSE).done:
            yield Progress(what, report.done, report.total, time.monotonic() - start, report.note)
        return future.result()
    finally:
        report.stop()


def _settle(future: Future[T], work: Callable[[Report], T], report: Report) -> None:
    try:
        future.set_result(work(report))
    except BaseException as error:  # it belongs to whoever waits
        future.set_exception(error)


def drain(steps: Generator[object, None, T]) -> T:
    """Return the result of a generator of progress or events, ignoring what it yields."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

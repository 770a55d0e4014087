"""Asking the hub again, a few times and not for long: when it is busy, or when a connection breaks. Each wait is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from engine.errors import ModelError
from engine.hub.background import Report

T = TypeVar("T")
BUSY = (408, 429, 500, 502, 503, 504)
TRIES, USUAL_WAIT, LONGEST_WAIT = 4, 2.0, 30.0
LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2")


def patiently(ask: Callable[[], T], report: Report) -> T:
    """The answer, asked for up to four times; other errors than those of a busy hub or a broken connection are raised at once.

    A hub that cannot be reached at all is not asked again: nobody is there.
    """
    for left in reversed(range(TRIES)):
        try:
            return ask()
        except Exception as found:
            error = _origin(found)
            wait = _wait(error)
            if wait is None or not left:
                raise
            _pause(wait, report, "The hub is busy" if _status(error) else "The connection broke")
    raise AssertionError("the last try returns or raises")


def _origin(error: BaseException) -> BaseException:
    """What the hub or the network said, behind a sentence made of it."""
    while isinstance(error, ModelError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _wait(error: BaseException) -> float | None:
    """Seconds until it is worth asking again, None where it is not."""
    status = _status(error)
    if status is not None:
        return _told(error) if status in BUSY else None
    name = type(error).__name__
    broken = type(error).__module__.partition(".")[0] in LIBRARIES and not name.startswith("Connect")
    return USUAL_WAIT / 2 if broken or isinstance(error, Short) else None


class Short(Exception):
    """Fewer bytes came than were announced."""


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _told(error: BaseException) -> float:
    """What the hub asks for, within reason."""
    told = str(error.response.headers.get("Retry-After", ""))  # type: ignore[attr-defined]
    return min(float(told) if told.isdecimal() else USUAL_WAIT, LONGEST_WAIT)


def _pause(seconds: float, report: Report, why: str) -> None:
    report.note = f"{why}; it is asked again in {max(1, round(seconds))} s."
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        report.check()
        time.sleep(min(0.1, seconds))
    report.note = ""

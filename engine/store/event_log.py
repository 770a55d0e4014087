"""What stands in a run's events.jsonl: parsing it, and noticing that it is not what was written.

A change inside a number cannot be seen in the number, so events.crc32 holds checksums: a line for each
finished block and one for the end of the run, with a number of bytes and the CRC-32 of that many bytes of
events.jsonl. Runs of older versions have no such file, and older versions ignore it; without it, only the
order of the events is checked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from engine.events import BlockPruned, Event, Fetching, Noted, Resumed, RunStarted, TaskProgressed, from_line

REPEATABLE = (Fetching, Noted, TaskProgressed)
"""Events that say the same more than once."""
MOST_DIGITS = 20  # of a file's length; `int` refuses thousands of them


def complete_lines(content: bytes) -> tuple[list[bytes], int]:
    """Return the lines that end with a newline, without those that are empty, and the number of bytes up to
    there. What follows is an event that is still being written.
    """
    whole, newline, _ = content.rpartition(b"\n")
    return [line for line in whole.split(b"\n") if line], len(whole) + len(newline)


def checksum(content: bytes) -> bytes:
    """Return the line of events.crc32 for the events so far."""
    return f"{len(content)} {zlib.crc32(content):08x}\n".encode()


def is_intact(content: bytes, checksums: bytes) -> bool:
    """Return whether the last checksum holds, which covers all events before it; True if there is none."""
    lines = complete_lines(checksums)[0]
    return not lines or _holds(lines[-1], content)


def intact_part(content: bytes, checksums: bytes) -> bytes:
    """Return the longest beginning of the events that has a checksum; everything if there are none."""
    lines = complete_lines(checksums)[0]
    if not lines:
        return content
    return next((content[: _length(line)] for line in reversed(lines) if _holds(line, content)), b"")


def _holds(line: bytes, content: bytes) -> bool:
    length = _length(line)
    return length <= len(content) and checksum(content[:length]) == line + b"\n"


def _length(line: bytes) -> int:
    """Return the number of bytes that a checksum covers; 0 if the line is damaged."""
    digits = line.partition(b" ")[0]
    return int(digits) if digits.isdigit() and len(digits) < MOST_DIGITS else 0


def read_events(lines: Sequence[bytes], *, timed: bool) -> list[Event]:
    """Return the events of some lines, which begin with the first of the run.

    Args:
        timed: whether the times are those of the run; an imported record gets approximate ones.

    Raises:
        ValueError: with what is wrong: a line is no event, or no run writes events in this order.
    """
    return list(_events(lines, timed))


def sound_beginning(lines: Sequence[bytes], *, timed: bool) -> list[tuple[bytes, Event]]:
    """Return the lines before the first that `read_events` refuses, each with its event."""
    sound: list[tuple[bytes, Event]] = []
    with suppress(ValueError):
        for event in _events(lines, timed):
            sound.append((lines[len(sound)], event))
    return sound


def _events(lines: Sequence[bytes], timed: bool) -> Iterator[Event]:
    blocks, seen = 0, set[bytes]()
    before: Event | None = None
    for line in lines:
        try:
            event = from_line(line)
        except ValueError as error:
            raise ValueError("its events cannot be read") from error
        begins = isinstance(event, RunStarted | Resumed)
        if before is None and not isinstance(event, RunStarted):
            raise ValueError("the beginning of its events is missing")
        if before is not None and not begins and (before.ends or (timed and _is_earlier(event, before))):
            raise ValueError("its events are out of order")
        if begins:  # another attempt, which repeats what the first one did before its blocks
            seen.clear()
        if line in seen and not isinstance(event, REPEATABLE):
            raise ValueError("one of its events occurs twice")
        if isinstance(event, BlockPruned):
            if event.index != blocks:
                raise ValueError(f"the event of its block {blocks} is missing")
            blocks += 1
        yield event
        seen.add(line)
        before = event


def _is_earlier(event: Event, before: Event) -> bool:
    # An event that ends a run because of an error may carry no time.
    return not event.ends and event.elapsed < before.elapsed

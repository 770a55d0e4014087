"""How far something is that takes a while: a download, or what is made of it."""

from __future__ import annotations

from dataclasses import dataclass


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

"""Parts of a cluster that have stopped answering."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Silence:
    """A part of the cluster that has stopped answering.

    Attributes:
        who: "The worker" or "The scheduler", with its name if there are several.
        since: when it was last heard, on the monotonic clock.
    """

    who: str
    since: float

    @property
    def sentence(self) -> str:
        """What has happened and what to do, as of now."""
        seconds = time.monotonic() - self.since
        clock = time.strftime("%H:%M:%S", time.localtime(time.time() - seconds))
        return (
            f"{self.who} has not answered since {clock} ({seconds:.0f} s). Its machine may be asleep, "
            "overloaded or unreachable, or its process stopped. The run continues by itself as soon as there "
            "is an answer; if none comes, cancel the run and try again, which resumes after its last block."
        )


@dataclass(frozen=True)
class Sighting:
    """Where a task is.

    Attributes:
        worker: the address of the worker that has it; None if not known.
        silence: who has stopped answering, so that it cannot continue; None if everyone answers.
    """

    worker: str | None
    silence: Silence | None


class Heartbeats:
    """When workers were last heard, on our clock."""

    def __init__(self) -> None:
        # By worker: its last heartbeat, on the scheduler's clock, and when we first saw that one, on ours.
        self._seen: dict[str, tuple[float, float]] = {}

    def since(self, address: str, heartbeat: float) -> float:
        """Return when a worker's last heartbeat, on the scheduler's clock, was first seen here."""
        known, since = self._seen.get(address, (None, 0.0))
        if heartbeat != known:
            since = time.monotonic()
        self._seen[address] = heartbeat, since
        return since

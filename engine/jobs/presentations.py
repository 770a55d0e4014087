"""Talks that are being presented: where each one is, for all windows that show it or its notes.

All windows that present the same talk in the same room move together, whichever of them is used. A room is a
word in the address. A user's own app needs none; visitors of a public app each have one that cannot be
guessed, so no one moves the talk of another (`engine.jobs.messages.own_room`).

The talks are kept in memory, and the windows ask for them now and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.store.talk import Talk

MOST = 1_000
"""Talks that are kept at the same time; a visitor can open any number of rooms."""
GONE = 10.0
"""Seconds after which a window that has not asked counts as closed."""


@dataclass(frozen=True)
class Presentation:
    """A talk that is presented, as it is now.

    Attributes:
        talk: as it was when it was started, or changed since then.
        position: of the current view, from 0.
        version: grows with each change of the talk and of the position.
        elapsed: seconds since the talk began; None if it has not.
        windows: how many windows present it; those that show its notes do not count.
    """

    talk: Talk
    position: int = 0
    version: int = 0
    elapsed: float | None = None
    windows: int = 0


class _Room:
    """A presentation, with times on the clock of `Presentations`."""

    def __init__(self, talk: Talk) -> None:
        self.shown = Presentation(talk)
        self.begun: float | None = None
        self.seen: dict[str, float] = {}  # when each window that presents the talk has last asked
        self.asked = 0.0

    def now(self, time: float) -> Presentation:
        elapsed = None if self.begun is None else time - self.begun
        self.seen = {window: seen for window, seen in self.seen.items() if time - seen < GONE}
        return replace(self.shown, elapsed=elapsed, windows=len(self.seen))

    def change(self, talk: Talk, position: int) -> None:
        position = min(max(position, 0), max(len(talk.views) - 1, 0))
        if (talk, position) != (self.shown.talk, self.shown.position):
            self.shown = Presentation(talk, position, self.shown.version + 1)


class Presentations:
    """The presentations of one server, by the talk's name and the room.

    Args:
        load: returns the talk of a name.
        clock: returns seconds that only grow.
    """

    def __init__(self, load: Callable[[str], Talk], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._rooms: dict[tuple[str, str], _Room] = {}
        self._lock = threading.RLock()

    def get(self, name: str, room: str, window: str = "") -> Presentation:
        """Return a presentation; one that no window has asked for yet is at its first view.

        Args:
            window: the identity of the window that asks, if it presents the talk.

        Raises:
            StoreError: there is no such talk, or its file is damaged.
        """
        with self._lock:
            found, now = self._find(name, room), self._clock()
            if window:
                found.seen[window] = now
            return found.now(now)

    def start(self, name: str, room: str, window: str, position: int | None = None) -> None:
        """Begin with the talk as it is stored now, or join the other windows that present it.

        Args:
            window: the identity of the window that starts.
            position: the first view; without one, that of the other windows, or the talk's first.

        Raises:
            StoreError: there is no such talk, or its file is damaged.
        """
        with self._lock:
            talk, found, now = self._load(name), self._find(name, room), self._clock()
            found.now(now)  # forgets the windows that are closed
            alone = not found.seen.keys() - {window}
            if position is None:
                position = 0 if alone else found.shown.position
            if alone:
                found.begun = now
            found.change(talk, position)
            found.seen[window] = now

    def leave(self, name: str, room: str, window: str) -> None:
        """Stop counting a window among those that present the talk."""
        with self._lock:
            if (name, room) in self._rooms:
                self._rooms[name, room].seen.pop(window, None)

    def go_to(self, name: str, room: str, position: int) -> None:
        """Move all windows to a view, at most to either end; see `get` for the errors."""
        with self._lock:
            found = self._find(name, room)
            found.change(found.shown.talk, position)

    def restart_clock(self, name: str, room: str) -> None:
        """Count the elapsed time from now on; see `get` for the errors."""
        with self._lock:
            self._find(name, room).begun = self._clock()

    def update(self, talk: Talk) -> None:
        """Show a talk that was changed as it is now, in all rooms."""
        with self._lock:
            for (name, _), found in self._rooms.items():
                if name == talk.name:
                    found.change(talk, found.shown.position)

    def _find(self, name: str, room: str) -> _Room:
        found = self._rooms.get((name, room))
        if found is None:
            found = _Room(self._load(name))
            while len(self._rooms) >= MOST:  # the one that has been left alone for the longest time
                del self._rooms[min(self._rooms, key=lambda key: self._rooms[key].asked)]
            self._rooms[name, room] = found
        found.asked = self._clock()
        return found

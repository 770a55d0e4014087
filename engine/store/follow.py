"""Following a run folder while another process writes it: each refresh reads only what is new."""

from __future__ import annotations

from functools import reduce

from engine.events import Event
from engine.record import RunRecord, step
from engine.store.folder import RunFolder, Signature


class Tail:
    """The fold of a folder's events so far. `record` is as of the last `refresh`, with the state that the
    events say.

    Attributes:
        signature: what the events file was like at the last refresh.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.record = RunRecord()
        self.signature: Signature = None
        self._offset = 0

    def refresh(self) -> list[Event]:
        """Read what is new; from the beginning where the file was put back to an earlier place. The new
        events.

        Raises:
            StoreError: the events are damaged.
        """
        now = self.folder.signature()
        if now == self.signature:
            return []
        if now is None or self.signature is None or now[0] != self.signature[0] or now[1] < self._offset:
            self.record, self._offset = RunRecord(), 0
        events, self._offset = self.folder.events_from(self._offset)
        self.record, self.signature = reduce(step, events, self.record), now
        return events

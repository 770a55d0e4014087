"""Following a run folder while another process writes it: each refresh reads only the new events."""

from __future__ import annotations

from engine.events import Event
from engine.record import RunRecord
from engine.store.folder import RunFolder, Signature


class Tail:
    """The fold of a folder's events so far.

    Attributes:
        record: as of the last refresh, with the state that the events alone give.
        signature: of the events file at the last refresh.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.record = RunRecord()
        self.signature: Signature = None
        self._offset = 0

    def refresh(self) -> list[Event]:
        """Read and return the new events; start over if the file was replaced or truncated by a new attempt.

        Raises:
            StoreError: the events are damaged.
        """
        # Before reading: an event that is written in between changes the signature again and is not missed.
        now = self.folder.signature()
        if now == self.signature:
            return []
        # Another inode, or fewer bytes than were read: a new attempt has rewritten the file.
        if now is None or self.signature is None or now[0] != self.signature[0] or now[1] < self._offset:
            self.record, self._offset = RunRecord(), 0
        events, offset = self.folder.events_from(self._offset)
        self.record, self._offset, self.signature = self.folder.fold(events, self.record), offset, now
        return events

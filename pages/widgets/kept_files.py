"""Files that a page offers stay available for a minute after the page was drawn again.

Whenever a script run ends, of whichever session, Streamlit forgets the files to which no page refers, and
what it was to make on a click. A run refers to them only once it has drawn them. So a click would be lost
whose request arrives after the page was drawn again, or while it is being drawn and the run of another
session ends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from itertools import count
from pathlib import PurePosixPath

from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager, _get_session_id
from streamlit.runtime.media_file_storage import MediaFileStorage

KEPT = 60.0
"""Seconds for which a file is kept."""


class KeptFiles(MediaFileManager):
    """Streamlit's manager of files, in which what a page has offered belongs to an invented session for a
    while.
    """

    def __init__(self, storage: MediaFileStorage) -> None:
        super().__init__(storage)
        self._kept: deque[tuple[float, str]] = deque()  # when, and the name of the session
        self._numbers = count()

    def clear_session_refs(self, session_id: str | None = None) -> None:
        """Remove a session's references; unless it has ended, they are kept for a while."""
        if session_id is None:  # Streamlit names the session only when it has ended
            with self._lock:
                self._keep(self._files_by_session_and_coord.get(_get_session_id(), {}))
        super().clear_session_refs(session_id)

    def execute_deferred(self, file_id: str) -> str:
        """Make a file, and return its address, at which it is kept until the browser has fetched it."""
        url = super().execute_deferred(file_id)
        with self._lock:
            self._keep({"made": PurePosixPath(url).stem})
        return url

    def remove_orphaned_files(self) -> None:
        """Remove what no page refers to, nor has referred to recently."""
        with self._lock:
            while self._kept and time.monotonic() - self._kept[0][0] > KEPT:
                del self._files_by_session_and_coord[self._kept.popleft()[1]]
        super().remove_orphaned_files()

    def _keep(self, files: Mapping[str, str]) -> None:
        """Keep files by their coordinates; the caller holds the lock."""
        if files:
            name = f"kept {next(self._numbers)}"
            self._kept.append((time.monotonic(), name))
            self._files_by_session_and_coord[name] = dict(files)


def keep_files() -> None:
    """Have this server keep files; before its first session."""
    if runtime.exists():
        server = runtime.get_instance()
        # The storage stays: Streamlit's routes know it.
        server._media_file_mgr = KeptFiles(server.media_file_mgr._storage)

"""Downloads are not lost when pages are drawn again, and files are not kept for ever."""

from __future__ import annotations

import pytest
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pages.widgets import kept_files
from pages.widgets.kept_files import KEPT, KeptFiles, keep_files

STORAGE = "/media"


class Clock:
    """Monotonic time that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept_files, "time", clock)
    return clock


@pytest.fixture
def files(clock: Clock) -> KeptFiles:
    return KeptFiles(MemoryMediaFileStorage(STORAGE))


def offer(files: KeptFiles, text: str = "a report") -> str:
    """Draw a page with a download that is made on a click."""
    files.clear_session_refs()
    file_id = files.add_deferred(text.encode, "text/html", "1.2.3", "report.html", element_id="report")
    files.remove_orphaned_files()
    return file_id


def read(files: KeptFiles, url: str) -> bytes:
    return files._storage.get_file(url.removeprefix(f"{STORAGE}/")).content


def test_a_click_on_a_page_that_has_been_drawn_again_is_answered(files: KeptFiles) -> None:
    clicked = offer(files)
    for _ in range(3):
        offer(files)
    assert read(files, files.execute_deferred(clicked)) == b"a report"


def test_a_click_while_the_page_is_drawn_and_another_session_ends_a_run(files: KeptFiles) -> None:
    clicked = offer(files)
    files.clear_session_refs()
    files.remove_orphaned_files()
    assert read(files, files.execute_deferred(clicked)) == b"a report"


def test_what_was_made_is_there_until_it_is_fetched(files: KeptFiles) -> None:
    url = files.execute_deferred(offer(files))
    for _ in range(3):
        offer(files)
    assert read(files, url) == b"a report"


def test_after_a_minute_both_are_gone(files: KeptFiles, clock: Clock) -> None:
    clicked = offer(files)
    url = files.execute_deferred(clicked)
    offer(files)
    clock.now += KEPT + 1
    current = offer(files, "another report")
    offer(files, "another report")
    with pytest.raises(MediaFileStorageError):
        files.execute_deferred(clicked)
    with pytest.raises(MediaFileStorageError):
        read(files, url)
    assert read(files, files.execute_deferred(current)) == b"another report"
    clock.now += KEPT + 1
    for _ in range(3):
        files.remove_orphaned_files()
    assert not files._kept and set(files._files_by_session_and_coord) == {"dontcare"}


def test_a_session_that_has_ended_leaves_nothing(files: KeptFiles) -> None:
    clicked = offer(files)
    files.clear_session_refs("dontcare")
    files.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        files.execute_deferred(clicked)


def test_a_button_that_is_disabled_revokes_what_is_kept(files: KeptFiles) -> None:
    clicked = offer(files)
    files.clear_session_refs()
    files.remove_deferred("1.2.3", element_id="report")
    with pytest.raises(MediaFileStorageError):
        files.execute_deferred(clicked)


def test_the_server_uses_it_with_the_storage_that_its_routes_know(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def __init__(self) -> None:
            self._media_file_mgr = MediaFileManager(MemoryMediaFileStorage(STORAGE))

        media_file_mgr = property(lambda self: self._media_file_mgr)

    server = Server()
    storage = server.media_file_mgr._storage
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: server)
    keep_files()
    assert isinstance(server.media_file_mgr, KeptFiles) and server.media_file_mgr._storage is storage

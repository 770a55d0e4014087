"""The classes of this app: HOME/classes/DIGEST.json for each, with its counts and nothing about its students.

The counts are in memory, so an answer costs no disk access; a thread writes changed classes at most once per
second, and the server when it ends. A restart of the app keeps the counts, what is open and revealed, and the
teacher's code; students and teachers are new sessions then. Two apps on one home have separate classes until
they restart.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from engine.errors import ClassError, StoreError
from engine.hardware import disk
from engine.lessons.classroom import Classroom, ClassState, ClassView, class_key, digest, new_code
from engine.store import atomic_files

MOST_CLASSES = 100
MOST_OWN = 5  # classes that one session creates
KEPT = 30 * 86_400.0  # seconds after its last change when a class is deleted
IDLE = 86_400.0  # seconds after which it makes room for another if there are too many
LARGEST = 1_000_000  # bytes of a file that is read
DELAY = 1.0  # seconds between a change and its file

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


class Classes:
    """All classes, for any number of threads.

    Args:
        home: the directory of the store; None keeps classes in memory only.
    """

    def __init__(self, home: Path | None) -> None:
        self._folder = home / "classes" if home else None
        self._lock = threading.Lock()  # guards everything below, and each classroom
        self._rooms: dict[str, Classroom] | None = None  # by key, read when first needed
        self._creators: dict[str, int] = {}
        self._unsaved: set[str] = set()
        self._saving: threading.Timer | None = None
        self._writing = threading.Lock()  # so that an older state never replaces a newer one

    def create(self, name: str, session: str, *, guided: bool, most: int = MOST_CLASSES) -> str:
        """Create a class, with the session as its teacher's, and return the teacher's code, which is not
        stored.

        Raises:
            ClassError: the name is not valid or taken, or there are too many classes.
        """
        key, code = class_key(name), new_code()
        with self._lock:
            rooms = self._loaded()
            if key in rooms:
                raise ClassError(
                    "There is a class with this name already. Choose another name, or enter its code."
                )
            if self._creators.get(session, 0) >= MOST_OWN:
                raise ClassError(
                    f"You have created {MOST_OWN} classes in this tab, which is the most. Use one of them."
                )
            self._make_room(rooms, most)
            self._creators[session] = self._creators.get(session, 0) + 1
            room = Classroom(ClassState(name=name, code=digest(code), guided=guided, changed=time.time()))
            room.enter(session, code, time.monotonic())
            rooms[key] = room
            self._save_soon(key)
        return code

    def find(self, name: str, session: str) -> ClassView | None:
        """Return what a session that does not take part sees; None if there is no such class."""
        try:
            return self._do(name, session, lambda room, now: None)
        except ClassError:
            return None

    def attend(self, name: str, session: str) -> ClassView:
        """Note that a session's page is open, and return what it sees.

        Raises:
            ClassError: there is no such class, or it is full.
        """
        return self._do(name, session, lambda room, now: room.attend(session, now))

    def follow(self, name: str, ticket: str) -> ClassView | None:
        """Note that the page with a ticket is open, and return what its session sees; None if that takes no
        part in such a class.
        """
        try:
            key, now = class_key(name), time.monotonic()
        except ClassError:
            return None
        with self._lock:
            room = self._loaded().get(key)
            session = room.session_of(ticket) if room is not None else None
            if room is None or session is None:
                return None
            room.attend(session, now)
            return room.view(session, now)

    def answer(self, name: str, session: str, question: str, choice: int) -> ClassView:
        """Count an answer; see `Classroom.answer`."""
        return self._do(name, session, lambda room, now: room.answer(session, question, choice, now))

    def enter(self, name: str, session: str, code: str) -> ClassView:
        """Make a session a teacher's; see `Classroom.enter`."""
        return self._do(name, session, lambda room, now: room.enter(session, code, now))

    def set_steps(self, name: str, session: str, steps: Iterable[str], opened: bool) -> ClassView:
        """Open or lock steps; see `Classroom.set_steps`."""
        return self._do(name, session, lambda room, now: room.set_steps(session, steps, opened))

    def reveal(self, name: str, session: str, question: str) -> ClassView:
        """Reveal an answer; see `Classroom.reveal`."""
        return self._do(name, session, lambda room, now: room.reveal(session, question))

    def clear(self, name: str, session: str) -> ClassView:
        """Delete all counts; see `Classroom.clear`."""
        return self._do(name, session, lambda room, now: room.clear(session))

    def save(self) -> None:
        """Write the classes that have changed. A disk that refuses costs nothing but a later restart."""
        if self._folder is None:
            return
        with self._writing:
            with self._lock:
                rooms = self._loaded()
                states = {key: rooms[key].state for key in self._unsaved.intersection(rooms)}
                self._unsaved.clear()
                if self._saving is not None:
                    self._saving.cancel()
                    self._saving = None
            for key, state in states.items():
                try:
                    with atomic_files.store_errors(self._folder):
                        disk.make_private(self._folder)
                    atomic_files.write(self._path(key), state.model_dump_json().encode())
                except StoreError as error:
                    _log.warning("The counts of a class were not saved (%s).", error.__cause__)

    def _do(self, name: str, session: str, act: Callable[[Classroom, float], None]) -> ClassView:
        key, now = class_key(name), time.monotonic()
        with self._lock:
            room = self._loaded().get(key)
            if room is None:
                raise ClassError("There is no such class, or it has expired. Ask your teacher for the link.")
            before = room.state
            act(room, now)
            if room.state is not before:
                self._save_soon(key)
            return room.view(session, now)

    # Below, the caller holds the lock.

    def _make_room(self, rooms: dict[str, Classroom], most: int) -> None:
        """Delete expired classes and, as long as there are too many, the one that is unused for longest."""
        now = time.time()
        for key, room in sorted(rooms.items(), key=lambda item: item[1].state.changed):
            unused = 0.0 if room.present(time.monotonic()) else now - room.state.changed
            if unused > KEPT or (len(rooms) >= most and unused > IDLE):
                del rooms[key]
                if self._folder is not None:
                    disk.delete(self._path(key))
        if len(rooms) >= most:
            raise ClassError(
                f"There are {len(rooms)} classes here, which is the most. One that is unused for a day makes "
                "room; until then, use an existing one."
            )

    def _save_soon(self, key: str) -> None:
        self._unsaved.add(key)
        if self._saving is None and self._folder is not None:
            self._saving = threading.Timer(DELAY, self.save)
            self._saving.name, self._saving.daemon = "prunescope-classes", True
            self._saving.start()

    def _loaded(self) -> dict[str, Classroom]:
        if self._rooms is None:
            self._rooms = {}
            paths = sorted(self._folder.glob("*.json")) if self._folder is not None else []
            for path in paths[: 10 * MOST_CLASSES]:
                if (state := _read(path)) is not None and time.time() - state.changed <= KEPT:
                    self._rooms[class_key(state.name)] = Classroom(state)
        return self._rooms

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        # A digest: a name may be longer or of other letters than a file system takes.
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> ClassState | None:
    """Return a stored class; None if its file is damaged, which then stays as it is."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("the file is too large")
        state = ClassState.model_validate_json(path.read_bytes())
        class_key(state.name)
        return state
    except (OSError, ValueError, ValidationError, ClassError) as error:
        _log.warning("The class in %s cannot be read and is left out (%s).", path, type(error).__name__)
        return None

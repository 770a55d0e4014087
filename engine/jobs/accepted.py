"""The runs that an app has accepted and that have not ended: on the disk, so that they survive the app.

Each is a file HOME/queue/APP/NUMBER-KEY.json. APP stands for one process, which holds HOME/queue/APP.lock as
long as it lives. What a process leaves, because it was closed or killed, belongs to the next app that starts
and gets the lock. Numbers grow in the order of acceptance, across processes too.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from engine.events import Facts
from engine.hardware import disk
from engine.recipe import Recipe
from engine.store import atomic_files

FILES = "[0-9]" * 20 + "-*.json"

_log = logging.getLogger(__name__)


class Accepted(Facts):
    """The content of a file."""

    recipe: Recipe


class AcceptedRuns:
    """The accepted runs of this process. Nothing is created until there is one.

    Args:
        home: the store's home.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / "queue"
        self._guard = threading.Lock()  # of all below: pages add, the engine's thread removes
        self._locks: dict[Path, FileLock] = {}  # by directory: this process's, and those it has adopted
        self._files: dict[str, Path] = {}  # by key
        self._last = 0  # number

    def add(self, recipe: Recipe) -> None:
        """Write a recipe to the disk, unless it is there.

        Raises:
            StoreError: the disk refuses.
        """
        with self._guard:
            if recipe.key in self._files:
                return
            with atomic_files.store_errors(self._root):
                directory = self._directory()
            # Not the time alone: the clock may be moved back.
            self._last = max(self._last + 1, time.time_ns())
            path = directory / f"{self._last:020d}-{recipe.key}.json"
            atomic_files.write(path, Accepted(recipe=recipe).model_dump_json().encode())
            self._files[recipe.key] = path

    def remove(self, key: str) -> None:
        """Forget a run that has ended or was dropped."""
        with self._guard:
            path = self._files.pop(key, None)
            if path is not None:
                with suppress(OSError):
                    path.unlink()

    def adopt(self) -> list[Recipe]:
        """Take over what ended processes have left, and return it in the order of acceptance."""
        with self._guard:
            for directory in filter(Path.is_dir, self._root.glob("*")):
                if directory not in self._locks:
                    with suppress(Timeout, OSError):  # held by another app, or not ours to write
                        self._lock(directory)
            recipes = {}
            paths = [path for directory in self._locks for path in directory.glob(FILES)]
            for path in sorted(paths, key=lambda path: path.name):
                self._last = max(self._last, int(path.name.partition("-")[0]))
                if (recipe := _read(path)) is not None:
                    self._files[recipe.key], recipes[recipe.key] = path, recipe
            return list(recipes.values())

    def close(self) -> None:
        """Leave what has not ended to the next app."""
        with self._guard:
            for directory, lock in self._locks.items():
                for temporary in directory.glob(
                    f".*{atomic_files.TEMPORARY}"
                ):  # of a process that was killed
                    temporary.unlink(missing_ok=True)
                with suppress(OSError):  # it is not empty
                    directory.rmdir()
                    Path(lock.lock_file).unlink()
                lock.release()
            self._locks, self._files = {}, {}

    def _directory(self) -> Path:
        """Return a directory that this process holds."""
        if not self._locks:
            disk.make_private(self._root)
            # The lock first: an unlocked directory would be adopted.
            self._lock(self._root / uuid.uuid4().hex[:12])
        directory = next(iter(self._locks))
        disk.make_private(directory)
        return directory

    def _lock(self, directory: Path) -> None:
        """Hold a directory until `close` or the end of this process.

        Raises:
            Timeout: another process holds it.
        """
        lock = FileLock(directory.with_suffix(".lock"), timeout=0, thread_local=False)
        lock.acquire()
        self._locks[directory] = lock


def _read(path: Path) -> Recipe | None:
    """Return the recipe in a file; None, with a warning in the log, if it cannot be read."""
    try:
        return Accepted.model_validate_json(path.read_bytes()).recipe
    except (OSError, ValueError) as error:
        _log.warning("A run that was waiting cannot be read from %s, and is left out: %s", path, error)
        return None

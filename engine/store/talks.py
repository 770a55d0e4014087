"""The talks of a home directory: HOME/talks/NAME.json, besides the bundled default talk.

The default talk is always there. A file of its name holds what it was changed into, so deleting that file
resets it. Earlier versions had one talk per home, HOME/talk.json; it becomes a talk of its own.
"""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress
from pathlib import Path

from engine.errors import StoreError
from engine.hardware import disk
from engine.store import atomic_files, plain_files
from engine.store.default_talk import default_talk
from engine.store.talk import DEFAULT, NAME, UNNAMED, Talk, check, clean_name, free_name, from_file

MOST_TALKS = 100
OLD_FILE = "talk.json"


class Talks:
    """The talks in `home`. No directory is created until a talk is written."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._directory = home / "talks"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all talks: the default one, then the others in alphabetical order."""
        self._adopt_old()
        return (DEFAULT, *sorted(self._stored() - {DEFAULT}, key=str.casefold))

    @property
    def latest(self) -> str:
        """The name of the talk that was changed last; the default one if none was."""
        self._adopt_old()
        changed = {}
        for name in self._stored():
            with suppress(OSError):  # deleted meanwhile
                changed[name] = self._path(name).stat().st_mtime_ns
        return max(changed, key=lambda name: (changed[name], name), default=DEFAULT)

    def load(self, name: str) -> Talk:
        """Return a talk.

        Raises:
            StoreError: there is no such talk, or its file is damaged.
        """
        self._adopt_old()
        path = self._path(clean_name(name))
        try:
            return Talk.model_validate_json(plain_files.read(path)).named(clean_name(name))
        except FileNotFoundError:
            if clean_name(name) == DEFAULT:
                return default_talk()
            raise StoreError(
                f"There is no talk “{clean_name(name)}”. It may have been renamed or deleted; choose another "
                "one on the Present page."
            ) from None
        except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            raise StoreError(
                f"The talk in {path} cannot be read. Delete it on the Present page, or fix the file."
            ) from error

    def save(self, talk: Talk) -> None:
        """Write a talk in the place of the one of its name.

        Raises:
            StoreError: the talk exceeds a limit of `engine.store.talk`, or the disk refuses.
        """
        check(talk)
        with atomic_files.store_errors(self._directory):
            disk.make_private(self._directory)
        path = self._path(talk.name)
        plain_files.make_way(path)
        atomic_files.write(path, talk.model_dump_json(indent=1).encode())

    def add(self, talk: Talk) -> None:
        """Write a new talk.

        Raises:
            StoreError: as `save`; or another talk has its name, or there are too many.
        """
        self._require_free(talk.name)
        if len(self.names) >= MOST_TALKS:
            raise StoreError(f"There are {MOST_TALKS} talks, which is the most. Delete one first.")
        self.save(talk)

    def add_file(self, content: bytes, file: str) -> str:
        """Add the talk in a file from elsewhere and return its name, with a number if another talk has it.

        Raises:
            StoreError: as `add` and `engine.store.talk.from_file`.
        """
        talk = from_file(content, file)
        talk = talk.named(free_name(talk.name, self.names))
        self.add(talk)
        return talk.name

    def rename(self, name: str, new: str) -> str:
        """Rename a talk and return its new name. The default talk stays, as it is bundled.

        Raises:
            StoreError: there is no such talk, no talk can have the new name, another has it, or the disk
                refuses.
        """
        name, new = clean_name(name), clean_name(new)
        if name == new:
            return name
        if name.casefold() != new.casefold():
            self._require_free(new)
        self.save(self.load(name).named(new))
        # On a file system that ignores case, the new file may be the old one.
        if name.casefold() != new.casefold() or not os.path.samefile(self._path(name), self._path(new)):
            self.delete(name)
        return new

    def delete(self, name: str) -> None:
        """Delete a talk; the default one is reset to what is bundled.

        Raises:
            StoreError: no talk can have this name, or the disk refuses.
        """
        with atomic_files.store_errors(self._directory):
            self._path(clean_name(name)).unlink(missing_ok=True)

    def _stored(self) -> set[str]:
        stems = {unicodedata.normalize("NFC", path.stem) for path in self._directory.glob("*.json")}
        return {stem for stem in stems if NAME.fullmatch(stem)}

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _require_free(self, name: str) -> None:
        if name.casefold() in map(str.casefold, self.names):
            raise StoreError(f"There is already a talk “{name}”. Choose another name.")

    def _adopt_old(self) -> None:
        """Move the talk of an earlier version to the others; without the right to do so, it stays unseen."""
        old = self._home / OLD_FILE
        if old.is_file():
            with suppress(OSError):
                disk.make_private(self._directory)
                old.rename(self._path(free_name(UNNAMED, self._stored())))

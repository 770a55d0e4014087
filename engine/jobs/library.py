"""What pages do with stored runs, texts and talks: the messages that need no worker, with those of the
classes on Learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpora.user_texts import save_text
from engine.hardware.memory import disk_free
from engine.jobs import messages
from engine.jobs.classes import ClassMessages
from engine.jobs.messages import message
from engine.jobs.presentations import Presentation, Presentations
from engine.store.import_run import import_run
from engine.store.runs import Store
from engine.store.summary import Label
from engine.store.talk import DEFAULT, Talk
from engine.store.talks import Talks

if TYPE_CHECKING:
    from engine.jobs.public import PublicMode

KEPT = "runs are used by others too, and the oldest are deleted when space is needed"
CHANGING_TALKS = messages.off("Changing talks", "all visitors see the same talks")


class Library(ClassMessages):
    """The store as pages use it.

    Attributes:
        store: the runs, in a home that also holds texts and talks.
        public: the rights of visitors; None if the app is its user's own.
    """

    store: Store
    public: PublicMode | None
    _presentations: Presentations

    @property
    def texts(self) -> Path:
        """The directory of the texts that users have uploaded."""
        return self.store.home / "texts"

    def may_change(self, key: str) -> bool:
        """Return whether the user who asks may cancel and name a run: in public mode, only their own."""
        return self.public is None or self.public.owns(key)

    @message(messages.off("Deleting runs", KEPT))
    def delete(self, key: str) -> None:
        """Move a run to the trash; see `Store.delete`."""
        self.store.delete(key)

    @message(messages.off("Restoring runs", KEPT))
    def restore(self, key: str) -> None:
        """Move a run back out of the trash; see `Store.restore`."""
        self.store.restore(key)

    @message(messages.own_label)
    def label(self, key: str, label: Label) -> None:
        """Write a run's name, note and pin; see `Store.label`."""
        self.store.label(key, label)

    @message(messages.off("Importing runs", "an import would stand among the results that all visitors see"))
    def import_run(self, content: bytes, name: str) -> str:
        """Add a run to the store and return its key; see `engine.store.import_run`."""
        return import_run(self.store, content, name)

    @message(messages.off("Using your own text", "it would be stored on this machine"))
    def save_text(self, content: str | bytes, suffix: str, name: str) -> Path:
        """Store a text of the user's and return its path; see `engine.corpora.user_texts.save_text`."""
        return save_text(content, self.texts, suffix, name)

    @message(messages.own_or_recorded)
    def masks(self, key: str) -> bytes:
        """Return a finished run's masks as a safetensors file: a bool tensor per linear, named as in the
        model; True = kept.

        Raises:
            StoreError: there is no such run, or it is damaged.
        """
        from safetensors.torch import save  # imports torch

        folder = self.store.find(key)
        model = folder.record().model
        assert model is not None, "a finished run has one"
        return save(folder.blocks.masks(model.path))

    @message(messages.off("Freeing disk space", KEPT))
    def free_space(self) -> int | None:
        """Return the free bytes on the store's disk; None if unknown."""
        return disk_free(self.store.home)

    @property
    def _talks(self) -> Talks:
        return Talks(self.store.home)

    @message(messages.anyone)
    def talks(self) -> tuple[str, ...]:
        """Return the names of all talks, the default one first."""
        return self._talks.names

    @message(messages.anyone)
    def latest_talk(self) -> str:
        """Return the name of the talk that was changed last; see `Talks.latest`."""
        return self._talks.latest

    @message(messages.anyone)
    def talk(self, name: str) -> Talk:
        """Return a talk; see `Talks.load`."""
        return self._talks.load(name)

    @message(CHANGING_TALKS)
    def save_talk(self, talk: Talk) -> None:
        """Write a talk in the place of the one of its name; see `Talks.save`."""
        self._talks.save(talk)
        self._presentations.update(talk)

    @message(CHANGING_TALKS)
    def add_talk(self, talk: Talk) -> None:
        """Write a new talk; see `Talks.add`."""
        self._talks.add(talk)

    @message(CHANGING_TALKS)
    def import_talk(self, content: bytes, file: str) -> str:
        """Add the talk in a file and return its name; see `Talks.add_file`."""
        return self._talks.add_file(content, file)

    @message(CHANGING_TALKS)
    def rename_talk(self, name: str, new: str) -> str:
        """Rename a talk and return its new name; see `Talks.rename`."""
        return self._talks.rename(name, new)

    @message(CHANGING_TALKS)
    def delete_talk(self, name: str) -> None:
        """Delete a talk, or reset the default one; see `Talks.delete`."""
        self._talks.delete(name)
        if name == DEFAULT:
            self._presentations.update(self._talks.load(name))

    @message(messages.own_room)
    def presentation(self, name: str, room: str = "", window: str = "") -> Presentation:
        """Return where the talk is that is presented in a room; see `Presentations.get`."""
        return self._presentations.get(name, room, window)

    @message(messages.own_room)
    def start_talk(self, name: str, room: str, window: str, position: int | None = None) -> None:
        """Begin or join a presentation; see `Presentations.start`."""
        self._presentations.start(name, room, window, position)

    @message(messages.own_room)
    def leave_talk(self, name: str, room: str, window: str) -> None:
        """Note that a window has stopped presenting; see `Presentations.leave`."""
        self._presentations.leave(name, room, window)

    @message(messages.own_room)
    def go_to_view(self, name: str, room: str, position: int) -> None:
        """Move all windows that present a talk to a view; see `Presentations.go_to`."""
        self._presentations.go_to(name, room, position)

    @message(messages.own_room)
    def restart_clock(self, name: str, room: str) -> None:
        """Count the elapsed time of a talk from now on; see `Presentations.restart_clock`."""
        self._presentations.restart_clock(name, room)

"""What a person says of a run: a name, a note, and whether it is to be kept. It stands beside the run and is no part of its result."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from engine.events import Facts
from engine.jobs import files

NAME, NOTE = 120, 4_000  # letters at most


class Label(Facts):
    """A run's label; `pinned` runs are never deleted to free space."""

    name: str = Field(default="", max_length=NAME)
    note: str = Field(default="", max_length=NOTE)
    pinned: bool = False


def read_label(path: Path) -> Label:
    """The label in a file; an empty one where there is none that can be read."""
    try:
        return Label.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Label()


def write_label(path: Path, label: Label) -> None:
    """Keep a label.

    Raises:
        StoreError: the disk refuses.
    """
    files.write(path, label.model_dump_json(indent=1).encode())

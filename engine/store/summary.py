"""What the list of runs says about one run, and how it is read from the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from engine.errors import StoreError
from engine.events import Facts
from engine.recipe import Recipe
from engine.record import MARK
from engine.record.outline import Outline, outline
from engine.store import plain_files
from engine.store.folder import Files, RunFolder

NAME, NOTE = 120, 4_000  # characters at most


class Label(Facts):
    """What the user says about a run. It is stored with the run, but is not part of the result; `pinned` runs
    are never deleted to free space.
    """

    name: str = Field(default="", max_length=NAME)
    note: str = Field(default="", max_length=NOTE)
    pinned: bool = False


UNLABELLED = Label()
UNREADABLE = Label(pinned=True)
"""In place of a label that cannot be read: perhaps the run was pinned."""

RunState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted", "damaged"]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One entry of the list of runs.

    Attributes:
        message: why the run failed, was interrupted or is damaged, or that its label cannot be read.
        recipe: None if it is unknown, because the run is damaged.
        record: None if the run is damaged.
        size: bytes on the disk.
        changed: when the run last changed, seconds since 1970; changing its label does not count.
        recorded: whether it is bundled with the project.
        imported: whether it was computed elsewhere and imported.
        has_weights: whether its pruned model can be used.
    """

    key: str
    state: RunState
    message: str | None = None
    recipe: Recipe | None = None
    record: Outline | None = None
    size: int = 0
    changed: float = 0.0
    recorded: bool = False
    imported: bool = False
    label: Label = UNLABELLED
    has_weights: bool = False

    @cached_property
    def title(self) -> str:
        """The label's name, else the recipe in a few words, else the key; an imported run is marked."""
        name = self.label.name or (self.recipe.title if self.recipe else self.key)
        return f"{name}{MARK}" if self.imported else name

    @cached_property
    def pruner_and_allocation(self) -> str:
        """The preset and the allocation, by which lists are sorted; empty for a damaged run."""
        return f"{self.recipe.pruner} {self.recipe.allocation}" if self.recipe else ""

    @property
    def own(self) -> bool:
        """Whether it was computed here."""
        return not (self.recorded or self.imported)


def summarise(folder: RunFolder, files: Files) -> RunSummary:
    """Read a run's summary. Never raises: a folder that cannot be read is damaged, and says how.

    Args:
        files: `folder.files()`, from before.
    """
    label, problem = _read_label(folder)
    times = [changed for name, _, changed, _ in files if name != folder.label_path.name]
    facts: dict[str, Any] = {
        "key": folder.key,
        "size": size_of(files),
        "changed": max(times, default=0) / 1e9,
        "recorded": folder.recorded,
        "has_weights": folder.has_weights,
        "imported": folder.imported,
        "label": label,
    }
    try:
        record = folder.checked_record()
    except StoreError as error:
        return RunSummary(**facts, state="damaged", message=str(error), recipe=folder.known_recipe())
    state: RunState = "running" if record.state == "empty" else record.state
    return RunSummary(
        **facts,
        state=state,
        message=record.error or problem,
        recipe=record.recipe or folder.known_recipe(),  # not in the events of a run that is about to start
        record=outline(record),
    )


def size_of(files: Files) -> int:
    """Return the bytes that the files take."""
    return sum(size for _, size, _, _ in files)


def _read_label(folder: RunFolder) -> tuple[Label, str | None]:
    """Return a run's label, and a sentence if it cannot be read."""
    try:
        return Label.model_validate_json(plain_files.read(folder.label_path)), None
    except FileNotFoundError:
        return UNLABELLED, None
    except (OSError, ValueError):  # pydantic's ValidationError is a ValueError
        return UNREADABLE, (
            "The name and the note of this run cannot be read, because its label.json is damaged. The run "
            "itself is sound; name it again."
        )

"""Reading the file of a run: its record (JSON) or its events (JSON lines), as events of this version.

The file may come from anywhere, so it is only parsed as data, through the same types as our own files. What a
newer version has added is left out and named; anything else that the types do not allow is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from engine.events import Event, RunStarted, from_line
from engine.export.exported_record import ExportedRecord
from engine.recipe import Recipe
from engine.replay import events_of
from engine.store.import_limits import MOST_EVENTS

MARK = b"\xef\xbb\xbf"  # some editors begin a UTF-8 file with it
MOST_UNKNOWN = 20
T = TypeVar("T")


class ForeignFile:
    """The events in a file.

    Attributes:
        events: as in the file, without what this version does not know.
        unknown: names of the fields and events that were left out.

    Raises:
        ValueError: the file is neither a record nor events; `pydantic.ValidationError` is one, too.
    """

    def __init__(self, content: bytes) -> None:
        self.unknown: list[str] = []
        content = content.removeprefix(MARK)
        if _is_record(content):
            record = self._read(ExportedRecord.model_validate_json, content)
            found = events_of(record)
            _require_choices(record.recipe)
        else:
            if content.count(b"\n") > MOST_EVENTS:
                raise ValueError(f"it has more lines than the {MOST_EVENTS:,} events that are accepted")
            # Newlines only: a text may hold any other separator, such as U+2028.
            lines = (line.strip() for line in content.split(b"\n"))
            found = [event for line in lines if line and (event := self._event(line)) is not None]
        self.events = [self._with_known_recipe(event) for event in found]

    def _event(self, line: bytes) -> Event | None:
        """Return the event in a line; None for one that this version does not know."""
        try:
            return self._read(from_line, line)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            if fault["type"] != "union_tag_invalid":
                raise
            self._leave_out(f"the event {fault['ctx']['tag']}")
            return None

    def _with_known_recipe(self, event: Event) -> Event:
        """Return the event with the recipe's fields that this version knows."""
        if not isinstance(event, RunStarted):
            return event
        recipe = self._read(Recipe.model_validate, event.recipe)
        _require_choices(recipe)
        return event.model_copy(update={"recipe": recipe.model_dump(mode="json")})

    def _read(self, validate: Callable[..., T], content: Any) -> T:
        try:
            return validate(content)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            if any(fault["type"] != "extra_forbidden" for fault in faults):
                raise
            for fault in faults:
                self._leave_out(str(fault["loc"][-1]))
            return validate(content, extra="ignore")

    def _leave_out(self, name: str) -> None:
        if len(self.unknown) < MOST_UNKNOWN and name[:60] not in self.unknown:
            self.unknown.append(name[:60])


def _require_choices(recipe: Recipe | None) -> None:
    """Check that a recipe states its main fields, whose defaults would describe another run."""
    if recipe is None or not {"model", "score", "pattern", "sparsity"} <= recipe.model_fields_set:
        raise ValueError("its recipe is incomplete")


def _is_record(content: bytes) -> bool:
    """Return whether the content is one JSON object that is not an event."""
    try:
        value = from_json(content)
    except ValueError:
        return False
    # A file with a single event is a JSON object, too.
    return isinstance(value, dict) and "event" not in value

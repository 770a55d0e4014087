"""A public app's engine: whose run is whose, what is admitted, and what visitors read of it.

A visitor is whoever the server says it is: the pages pass the identity of their session, which a browser
cannot choose. Whose runs are whose is known as long as the app lives; runs of earlier apps have no owner.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import Fault, PrunescopeError, PublicModeError, RecipeError, StoreError
from engine.events import Event, from_line, to_line
from engine.hub.settings import hub_cache
from engine.jobs.policy import INSTEAD, RUNNING, WAITING, Policy
from engine.jobs.presentations import Presentation
from engine.jobs.questions import Answer
from engine.jobs.views import EngineStatus, RunView
from engine.models.identity import ROOT
from engine.models.shape import ModelSummary
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.listing import KEY
from engine.store.runs import Store
from engine.store.summary import UNLABELLED, Label, RunSummary
from engine.store.talk import Talk
from engine.store.visitor_runs import VisitorRuns

if TYPE_CHECKING:
    from engine.cost.estimate import Cost

Value = TypeVar("Value")


class PublicMode:
    """The rights of visitors.

    Args:
        policy: the limits.
        store: the runs.
        visitor: returns the identity of the visitor whose message is being answered.
        scheduler: the address of an external scheduler, which visitors do not see.
    """

    def __init__(
        self, policy: Policy, store: Store, visitor: Callable[[], str], scheduler: str | None = None
    ) -> None:
        self.policy = policy
        self._store, self._visitor = store, visitor
        self._visitor_runs = VisitorRuns(store)
        self._owners: dict[str, str] = {}  # by key
        self._admitting = threading.Lock()
        self._hidden = _hidden(store.home, scheduler)

    def owner(self, key: str) -> str | None:
        """Return the visitor who started a run; None if no visitor has."""
        return self._owners.get(key)

    def owns(self, key: str) -> bool:
        """Return whether the visitor who asks has started a run."""
        return self._owners.get(key) == self._visitor()

    def require_own(self, key: str, what: str) -> None:
        """Raises PublicModeError: the run was started by someone else."""
        if not self.owns(key):
            raise PublicModeError(
                f"{what} is possible only for runs that you started in this tab: others may be using this "
                f"one. {INSTEAD}",
                kind="foreign",
            )

    def require_own_or_recorded(self, key: str, what: str) -> None:
        """Raises PublicModeError: the run is not bundled, and was started by someone else."""
        if not self._store.find(key).recorded:
            self.require_own(key, what)

    def check_label(self, key: str, label: Label) -> None:
        """Check the new label of a run.

        Raises:
            PublicModeError: the run is not the visitor's, or the label is too long or changes the pin.
        """
        self.require_own(key, "Naming")
        if not self._visitor_runs.has(key):  # the operator's, which the visitor has resumed
            raise PublicModeError(
                f"Only who has first started this run can name it. {INSTEAD}", kind="foreign"
            )
        before = next((run.label for run in self._store.list() if run.key == key), UNLABELLED)
        self.policy.check_label(label, before)

    def require_shown(self, key: str) -> None:
        """Check that visitors see a run.

        Raises:
            PublicModeError: its model or text is not public.
            StoreError: there is no such run, or it is damaged.
        """
        if not KEY.fullmatch(key):
            # Without quoting it: redacted, it would confirm a guessed path.
            raise StoreError("There is no such run: a key consists of letters and digits. Check the link.")
        folder = self._store.find(key)
        if folder.exists:
            self._require_shown(key, folder.recipe())

    def _require_shown(self, key: str, recipe: Recipe | None) -> None:
        if recipe is not None and not self.policy.shows(recipe):
            raise PublicModeError(
                f"The run {key} is not shown in public mode, because its model or its text is not public. "
                "Choose another run.",
                kind="model",
            )

    @contextmanager
    def admission(
        self, recipe: Recipe, active: Callable[[], Sequence[str]], cost: Callable[[], Cost]
    ) -> Iterator[None]:
        """Check the limits of a new run, make room for it, and note whose it is.

        Args:
            recipe: pinned.
            active: returns the keys of the running and queued runs.
            cost: estimates the run; called after the other checks.

        Raises:
            PublicModeError: a limit is reached.
        """
        with self._admitting:  # or two messages at the same time would both get the last place
            visitor, keys = self._visitor(), active()
            if recipe.key in keys:  # meanwhile: it stays the other visitor's
                yield
                return
            self._check_queue(keys, visitor)
            estimate = cost()
            self.policy.check_cost(estimate)
            if not self._visitor_runs.make_room(estimate.store_bytes, self.policy.disk, keys):
                raise PublicModeError(
                    "The disk space for results of visitors is used up, and what is there is pinned or being "
                    "computed. Try again later, or run Prunescope on your own machine.",
                    kind="disk",
                )
            self._visitor_runs.add(recipe.key)
            self._owners[recipe.key] = visitor  # first: the queue asks for it as soon as the run is there
            yield

    def _check_queue(self, active: Sequence[str], visitor: str) -> None:
        if sum(self._owners.get(key) == visitor for key in active) >= RUNNING + WAITING:
            raise PublicModeError(
                f"You have {RUNNING + WAITING} runs running or waiting, which is the most in public mode. "
                "Wait until one has ended, or cancel one.",
                kind="queue",
            )
        if len(active) >= self.policy.queue:
            raise PublicModeError(
                f"The queue is full: {len(active)} runs of all visitors are running or waiting. Try again in "
                "a few minutes, or run Prunescope on your own machine.",
                kind="queue",
            )

    # What visitors read: nothing about this machine.

    def redact(self, text: str) -> str:
        """Return a message without paths, addresses and tokens of this machine."""
        for secret, name in self._hidden:
            text = text.replace(secret, name)
        return text

    def redact_error(self, error: PrunescopeError) -> None:
        """`redact` the message of an error, in place."""
        if isinstance(error, RecipeError):
            error.faults = tuple(Fault(fault.field, self.redact(fault.message)) for fault in error.faults)
        error.args = (self.redact(str(error)), *error.args[1:])

    def shown(self, value: Value) -> Value:
        """Return what a message answers, as a visitor may read it.

        Raises:
            PublicModeError: it is a run that is not shown.
        """
        found: object = value
        if isinstance(found, (EngineStatus, Answer)):
            found = replace(found, message=self.redact(found.message))
            if isinstance(found, Answer) and isinstance(found.value, ModelSummary):
                found = Answer(self._model(found.value))
        elif isinstance(found, RunView):
            self._require_shown(str(found.record.key), found.record.recipe)
            message, record = self.redact(found.message), self._record(found.record)
            # What one visitor has cancelled is no news to the others.
            attempt = self.redact(found.attempt) if self.owns(str(found.record.key)) else ""
            found = replace(found, message=message, worker="", record=record, attempt=attempt)
        elif isinstance(found, Talk):
            found = self._talk(found)
        elif isinstance(found, Presentation):
            found = replace(found, talk=self._talk(found.talk))
        elif isinstance(found, list) and found and isinstance(found[0], RunSummary):
            found = list(self._summaries(found))
        elif isinstance(found, list) and found and isinstance(found[0], Event):
            found = [self._event(event) for event in found]
        return found  # type: ignore[return-value]

    def _summaries(self, runs: Iterable[RunSummary]) -> Iterator[RunSummary]:
        """Yield the runs that are shown; damaged ones, whose recipe is not known, are not."""
        for run in runs:
            if run.recorded:
                yield run
            elif run.recipe is not None and run.record is not None and self.policy.shows(run.recipe):
                error = run.record.error and self.redact(run.record.error)
                record = run.record.model_copy(update={"error": error})
                yield replace(run, message=run.message and self.redact(run.message), record=record)

    def _model(self, model: ModelSummary) -> ModelSummary:
        storage = model.storage.model_copy(update={"note": self.redact(model.storage.note)})
        return model.model_copy(update={"storage": storage})

    def _talk(self, talk: Talk) -> Talk:
        """A view's link may name a file."""
        views = (
            view.model_copy(
                update={
                    "title": self.redact(view.title),
                    "parameters": {name: self.redact(value) for name, value in view.parameters.items()},
                    "notes": self.redact(view.notes),
                }
            )
            for view in talk.views
        )
        return talk.model_copy(update={"views": tuple(views)})

    def _event(self, event: Event) -> Event:
        line = to_line(event)
        redacted = self.redact(line)
        return event if redacted == line else from_line(redacted)

    def _record(self, record: RunRecord) -> RunRecord:
        changes = {
            "error": record.error and self.redact(record.error),
            "warnings": tuple(map(self.redact, record.warnings)),
        }
        return record.model_copy(update=changes)


def _hidden(home: Path, scheduler: str | None) -> list[tuple[str, str]]:
    """Return what no visitor may read, with the words that replace it; the longest first, so that none is
    replaced inside another.
    """
    secrets = {
        str(home): "the run store",
        str(hub_cache()): "the hub's cache",
        str(ROOT): "Prunescope",
        sys.prefix: "Python",
        str(Path.home()): "the home directory",
        os.environ.get("PRUNESCOPE_TASKS", ""): "the tasks",
        os.environ.get("HF_TOKEN", ""): "the token",
        scheduler or "": "of the cluster",
    }
    return sorted(
        ((secret, name) for secret, name in secrets.items() if len(secret) > 1),
        key=lambda item: -len(item[0]),
    )

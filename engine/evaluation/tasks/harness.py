"""What is used of lm-eval: a task's documents, its prompts and choices, and how answers are judged. It is
imported only here.

lm-eval's own evaluation loop is not used, because it seeds the process, prints, and cannot be watched or
stopped; its task objects do the same work one document at a time. Only the folder that defines a task is
indexed (0.05 s; all folders take 7 s). Global state is restored: the libraries' logs and progress bars are
silent only while they work, and what lm-eval's import writes into the environment is removed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.errors import TaskError
from engine.evaluation.tasks.catalogue import INSTALL, Task, available
from engine.evaluation.tasks.local import Local

NOISY = ("lm_eval", "datasets", "huggingface_hub", "httpx", "fsspec")
FIRST_WORDS = 200  # characters of a library's error message that are shown
HUB = "hub"  # in place of a digest in the keys of cached scores
SET_BY_IMPORT = ("HF_XET_HIGH_PERFORMANCE", "HF_HUB_ENABLE_HF_TRANSFER")
LOADING = threading.Lock()
"""Only one task is loaded at a time, because log levels are global: a second thread would find them silenced,
and restore them to that.
"""

Pair = tuple[str, str]
"""A text and its continuation."""


@dataclass(frozen=True)
class Exam:
    """A task with its documents.

    Attributes:
        source: the origin of the documents.
        available: the number of documents.
        harness: lm-eval's task object.
    """

    task: Task
    source: str
    available: int
    harness: Any

    def documents(self, limit: int | None) -> list[Any]:
        """Return the first `limit` documents in the task's own order."""
        count = self.available if limit is None else min(limit, self.available)
        # A slice of a data set would be a dict of columns.
        return [self.harness.task_docs[index] for index in range(count)]

    def pairs(self, number: int, document: Any) -> list[Pair]:
        """Return the texts and continuations to score for a document, without solved examples before it.

        Raises:
            TaskError: the document does not fit the task.
        """
        with self._judged(number):
            text = self.harness.fewshot_context(
                document, num_fewshot=0, gen_prefix=self.harness.doc_to_prefix(document)
            )
            # The metadata are task, document and repeats, as in lm-eval's own loop. A task with choices
            # returns a list of requests, LAMBADA a single one.
            asked = self.harness.construct_requests(document, text, metadata=(self.task.harness, number, 1))
            return [instance.args for instance in (asked if isinstance(asked, list) else [asked])]

    def outcome(self, number: int, document: Any, answers: Sequence[tuple[float, bool]]) -> int:
        """Return whether the answers to a document's pairs are right, 0 or 1.

        Raises:
            TaskError: the document does not fit the task.
        """
        with self._judged(number):
            return int(self.harness.process_results(document, list(answers))[self.task.metric])

    @contextmanager
    def _judged(self, number: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # prompts are templates over documents: they raise anything
            raise TaskError(
                f"Example {number + 1} of {self.task.title} ({self.source}) cannot be used: "
                f"{_first_words(error)}"
            ) from error


def harness_name(task: Task) -> str:
    """Return lm-eval's version and its name for a task.

    Raises:
        TaskError: lm-eval is not installed.
    """
    if not available():
        raise TaskError(INSTALL)
    return f"lm-eval {version('lm_eval')}, {task.harness}"


def load(task: Task, local: Local | None) -> Exam:
    """Load a task with the documents of a file, or with those of the hub or its cache.

    Raises:
        TaskError: lm-eval is missing or does not know the task, or the documents cannot be loaded.
    """
    harness = harness_name(task)
    # Runs in a thread of its own (see `evaluate._load`); one of a cancelled evaluation may still be loading.
    with LOADING, _silent():
        # The training split would be downloaded for solved examples, which are not used.
        changes: dict[str, Any] = {"task": task.harness, "training_split": None}
        try:
            if local is not None:
                changes["custom_dataset"] = _dataset(local)
            # A group of one task, because an entry of a group may override a task's settings.
            found = _manager(task).load({"group": "prunescope", "task": [changes]})["tasks"][task.harness]
        except Exception as error:  # the libraries raise many types; each means that there are no documents
            raise TaskError(_sentence(task, local, harness, error)) from error
    return Exam(task, _source(found.config, local), len(found.task_docs), found)


def _manager(task: Task) -> Any:
    with _kept_environment():
        package = import_module("lm_eval")
        tasks = import_module("lm_eval.tasks")
    return tasks.TaskManager(
        include_defaults=False, include_path=str(Path(package.__path__[0]) / "tasks" / task.folder)
    )


def _dataset(local: Local) -> Callable[..., Mapping[str, Any]]:
    """Return what lm-eval calls instead of a download; it gives the same documents for every split."""
    documents = import_module("datasets").Dataset.from_list(list(local.documents))
    return lambda **_: {"validation": documents, "test": documents}


def _source(config: Any, local: Local | None) -> str:
    if local is not None:
        return f"{local.path.name}, SHA-256 {local.digest}"
    return ", ".join(
        str(part)
        for part in (config.dataset_path, config.dataset_name, config.test_split or config.validation_split)
        if part
    )


def _sentence(task: Task, local: Local | None, harness: str, error: Exception) -> str:
    if local is not None:
        return (
            f"The documents {local.path} of {task.title} cannot be used by {harness}: {_first_words(error)}"
        )
    return (
        f"The examples of {task.title} could not be loaded from the hub or its cache ({harness}): "
        f"{_first_words(error)} Connect to the network once, after which they stay in the cache; or put them "
        f"into a directory as {task.name}.jsonl and set PRUNESCOPE_TASKS to it; or omit the task."
    )


def _first_words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= FIRST_WORDS else f"{text[:FIRST_WORDS].rsplit(' ', 1)[0]} ..."
    return short if short.endswith(".") else f"{short}."


@contextmanager
def _kept_environment() -> Iterator[None]:
    """Undo what lm-eval's import does to the environment: it turns on the hub's fast transfers."""
    unset = [name for name in SET_BY_IMPORT if name not in os.environ]  # what the user has set is kept
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


@contextmanager
def _silent() -> Iterator[None]:
    """Silence the logs and progress bars of the libraries while they work."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    bars = [
        (library, library.are_progress_bars_disabled())
        for library in (import_module("datasets"), import_module("huggingface_hub.utils"))
    ]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        for library, _ in bars:
            library.disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for library, hidden in bars:
            if not hidden:  # bars that the user had turned off stay off
                library.enable_progress_bars()

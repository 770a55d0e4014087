"""Zero-shot tasks on a model: yields how far it is, returns the scores.

A limit takes the first examples of a task's own order, so dense and pruned, and everybody with this limit,
are asked the same ones; nothing is drawn. What can fail early does: names, files and documents of all tasks
are looked at before the first example is asked. Works on a model that is in memory as a whole; one that is
streamed from the disk would be read once a batch. Cost: one forward pass over every choice of every example;
100 of ARC-easy take the bundled model 2 s on one core. Closing the generator stops it at once: it waits
between two batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import TaskError
from engine.evaluation.tasks import harness
from engine.evaluation.tasks.cache import Key, ResultCache
from engine.evaluation.tasks.catalogue import Task, chosen
from engine.evaluation.tasks.compare import TaskProgress, scored
from engine.evaluation.tasks.likelihood import Encoder, Likelihood, Request, likelihoods
from engine.evaluation.tasks.local import Local, read
from engine.events import TaskScore
from engine.models.language_model import LanguageModel

PAUSE = 0.25  # seconds between two reports


def evaluate(
    model: LanguageModel,
    names: Iterable[str],
    *,
    limit: int | None,
    data: Path | None = None,
    cache: ResultCache | None = None,
) -> Generator[TaskProgress, None, tuple[TaskScore, ...]]:
    """The model's scores on the named tasks, in their order. The last report on each task carries its score.

    Args:
        limit: at most so many examples of each task, the first ones; None for all.
        data: a directory of `NAME.jsonl` files to take the documents from, in place of the hub (`local.py`
            says the format).
        cache: where scores of this very model are found and kept.

    Raises:
        TaskError: a task is unknown or its documents cannot be had, lm-eval is missing, or the model cannot
            be asked.
        ModelError: the device's memory does not suffice for a single text.
    """
    tasks = chosen(names)
    encoder = _encoder(model, limit)
    keys: dict[str, Key] = {}
    scores: dict[str, TaskScore] = {}
    exams: dict[str, harness.Exam] = {}
    for task in tasks:
        local = None if data is None else read(data, task)
        keys[task.name] = _key(task, limit, local)
        found = cache.get(keys[task.name]) if cache else None
        if found is not None:
            scores[task.name] = found
        else:
            exams[task.name] = yield from _load(task, local)
    for task in tasks:
        if task.name in exams:
            scores[task.name] = yield from _measure(model, encoder, exams[task.name], limit)
            if cache:
                cache.put(keys[task.name], scores[task.name])
        score = scores[task.name]
        yield TaskProgress(task.name, score.examples, score.examples, score)
    return tuple(scores[task.name] for task in tasks)


def _encoder(model: LanguageModel, limit: int | None) -> Encoder:
    if getattr(model, "residence", "resident") == "streamed":
        raise TaskError(
            "Zero-shot tasks need the whole model in memory, but this one is streamed from the disk block by "
            "block. "
            "Leave out the tasks, or choose a model or a dtype that fits."
        )
    if limit is not None and limit < 1:
        raise TaskError(f"At most {limit} examples of each task were asked, but a score needs at least one.")
    return Encoder(model)


def _key(task: Task, limit: int | None, local: Local | None) -> Key:
    documents = harness.HUB if local is None else local.digest
    return Key(
        task=task.name, metric=task.metric, limit=limit, documents=documents, harness=harness.named(task)
    )


def _load(task: Task, local: Local | None) -> Generator[TaskProgress, None, harness.Exam]:
    """In a thread of its own, for a download cannot be asked to stop: when nobody waits for it any more, it
    fills the hub's cache and ends.
    """
    exam: Future[harness.Exam] = Future()

    def work() -> None:
        try:
            exam.set_result(harness.load(task, local))
        except BaseException as error:  # it is raised where it is waited for
            exam.set_exception(error)

    threading.Thread(target=work, name=f"load {task.name}", daemon=True).start()
    while True:
        yield TaskProgress(task.name, 0, 0)
        with suppress(TimeoutError):
            return exam.result(PAUSE)


def _measure(
    model: LanguageModel, encoder: Encoder, exam: harness.Exam, limit: int | None
) -> Generator[TaskProgress, None, TaskScore]:
    documents = exam.documents(limit)
    asked = yield from _ask(encoder, exam, documents)
    answers = yield from _answer(model, exam.task, asked)
    return scored(
        [
            exam.outcome(number, document, given)
            for number, (document, given) in enumerate(zip(documents, answers, strict=True))
        ],
        task=exam.task.name,
        metric=exam.task.metric,
        available=exam.available,
        truncated=sum(any(request.truncated for request in requests) for requests in asked),
        source=exam.source,
        harness=harness.named(exam.task),
    )


def _ask(
    encoder: Encoder, exam: harness.Exam, documents: list[Any]
) -> Generator[TaskProgress, None, list[list[Request]]]:
    """The requests of each document."""
    asked, due = [], _pace()
    for number, document in enumerate(documents):
        asked.append([encoder(*pair) for pair in exam.pairs(number, document)])
        if due():
            yield TaskProgress(exam.task.name, 0, len(documents))
    return asked


def _answer(
    model: LanguageModel, task: Task, asked: list[list[Request]]
) -> Generator[TaskProgress, None, list[list[tuple[float, bool]]]]:
    """The answers to each document's requests. They come in the order of their length, so a document is done
    when its last one is.
    """
    owners = [number for number, requests in enumerate(asked) for _ in requests]
    answers: dict[int, Likelihood] = {}
    missing, done, due = [len(requests) for requests in asked], 0, _pace()
    for batch in likelihoods(model, [request for requests in asked for request in requests]):
        answers |= batch
        for place in batch:
            missing[owners[place]] -= 1
            done += not missing[owners[place]]
        if due():
            yield TaskProgress(task.name, done, len(asked))
    grouped: list[list[tuple[float, bool]]] = [[] for _ in asked]
    for place, owner in enumerate(owners):
        grouped[owner].append((answers[place].log, answers[place].greedy))
    return grouped


def _pace() -> Callable[[], bool]:
    """Says yes when it is time for another report."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < PAUSE:
            return False
        last = now
        return True

    return due

"""Zero-shot tasks on a model: a generator that yields progress and returns the scores.

A limit takes the first examples of a task in its own order, so that dense and pruned, and everyone with the
same limit, are asked the same examples; nothing is sampled. What can fail early does, in `prepare`: the
names, files and documents of all tasks are checked before the first example is scored. Needs a model that is
completely in memory; a streamed model would be read from the disk once per batch. Cost: one forward pass over
every choice of every example; 100 examples of ARC-easy take the bundled model 2 s on one core. Closing the
generator stops it immediately; it yields between batches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
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

PAUSE = 0.25  # seconds between two progress reports


def evaluate(
    model: LanguageModel,
    names: Iterable[str],
    *,
    limit: int | None,
    data: Path | None = None,
    cache: ResultCache | None = None,
    exams: Mapping[str, harness.Exam] | None = None,
) -> Generator[TaskProgress, None, tuple[TaskScore, ...]]:
    """Measure the model on the named tasks and return the scores in the same order.

    The last report on each task carries its score.

    Args:
        limit: the maximum number of examples per task, from the first; None for all.
        data: a directory of `NAME.jsonl` files to read the documents from instead of the hub; `local.py`
            describes the format.
        cache: the cache of this model's scores.
        exams: what `prepare` returned; None to load it now.

    Raises:
        TaskError: a task is unknown, its documents cannot be loaded, lm-eval is missing, or the model cannot
            be measured.
        ModelError: a single text does not fit into the device's memory.
        NonFiniteError: a likelihood is not finite.
    """
    if exams is None:
        exams = yield from prepare(model, names, limit=limit, data=data, caches=[cache])
    encoder, scores = _encoder(model, limit), []
    for task in chosen(names):
        key = _key(task, limit, None if data is None else read(data, task))
        score = cache.get(key) if cache else None
        if score is None:
            score = yield from _measure(model, encoder, exams[task.name], limit)
            if cache:
                cache.put(key, score)  # immediately: it outlives a cancelled run
        yield TaskProgress(task.name, score.examples, score.examples, score)
        scores.append(score)
    return tuple(scores)


def prepare(
    model: LanguageModel,
    names: Iterable[str],
    *,
    limit: int | None,
    data: Path | None,
    caches: Iterable[ResultCache | None],
) -> Generator[TaskProgress, None, dict[str, harness.Exam]]:
    """Load the named tasks, except those whose scores are in all `caches`; report each while it loads.

    Args and errors as for `evaluate`, of which this is the part that can fail early.
    """
    tasks = chosen(names)
    _encoder(model, limit)
    exams: dict[str, harness.Exam] = {}
    for task in tasks:
        local = None if data is None else read(data, task)
        key = _key(task, limit, local)
        if not all(cache and cache.get(key) for cache in caches):
            exams[task.name] = yield from _load(task, local)
    return exams


def _encoder(model: LanguageModel, limit: int | None) -> Encoder:
    if getattr(model, "residence", "resident") == "streamed":
        raise TaskError(
            "Zero-shot tasks need the whole model in memory, but this one is streamed from the disk block by "
            "block. "
            "Omit the tasks, or choose a model or a dtype that fits."
        )
    if limit is not None and limit < 1:
        raise TaskError(f"The limit is {limit} examples per task, but a score needs at least one.")
    return Encoder(model)


def _key(task: Task, limit: int | None, local: Local | None) -> Key:
    documents = harness.HUB if local is None else local.digest
    return Key(
        task=task.name,
        metric=task.metric,
        limit=limit,
        documents=documents,
        harness=harness.harness_name(task),
    )


def _load(task: Task, local: Local | None) -> Generator[TaskProgress, None, harness.Exam]:
    """Load a task in a separate thread, because a download cannot be stopped: if the generator is closed, the
    thread finishes the download into the hub's cache and ends.
    """
    exam: Future[harness.Exam] = Future()

    def work() -> None:
        try:
            exam.set_result(harness.load(task, local))
        except BaseException as error:  # raised again by `exam.result`
            exam.set_exception(error)

    # A daemon, because an unfinished download must not keep the process alive.
    threading.Thread(target=work, name=f"load {task.name}", daemon=True).start()
    while True:
        yield TaskProgress(task.name, 0, 0)
        # `harness.load` turns its errors into a TaskError, so a timeout means that the thread is still
        # loading.
        with suppress(TimeoutError):
            return exam.result(PAUSE)


def _measure(
    model: LanguageModel, encoder: Encoder, exam: harness.Exam, limit: int | None
) -> Generator[TaskProgress, None, TaskScore]:
    documents = exam.documents(limit)
    requests = yield from _requests(encoder, exam, documents)
    answers = yield from _answers(model, exam.task, requests)
    return scored(
        [
            exam.outcome(number, document, given)
            for number, (document, given) in enumerate(zip(documents, answers, strict=True))
        ],
        task=exam.task.name,
        metric=exam.task.metric,
        available=exam.available,
        truncated=sum(any(request.truncated for request in group) for group in requests),
        source=exam.source,
        harness=harness.harness_name(exam.task),
    )


def _requests(
    encoder: Encoder, exam: harness.Exam, documents: list[Any]
) -> Generator[TaskProgress, None, list[list[Request]]]:
    """Return the requests of each document."""
    # Making the prompts of a large task takes a while, so this can be stopped as well.
    requests, due = [], _pace()
    for number, document in enumerate(documents):
        requests.append([encoder(*pair) for pair in exam.pairs(number, document)])
        if due():
            yield TaskProgress(exam.task.name, 0, len(documents))
    return requests


def _answers(
    model: LanguageModel, task: Task, requests: list[list[Request]]
) -> Generator[TaskProgress, None, list[list[tuple[float, bool]]]]:
    """Return the answers to each document's requests.

    Requests are computed longest first, so a document is done only when its last request is.
    """
    owners = [number for number, group in enumerate(requests) for _ in group]  # request -> document
    answers: dict[int, Likelihood] = {}
    # `missing` counts the requests without an answer, per document.
    missing, done, due = [len(group) for group in requests], 0, _pace()
    for batch in likelihoods(model, [request for group in requests for request in group]):
        answers |= batch
        for index in batch:
            missing[owners[index]] -= 1
            done += not missing[owners[index]]
        if due():
            yield TaskProgress(task.name, done, len(requests))
    # In the order of the requests again, in which lm-eval expects the choices.
    grouped: list[list[tuple[float, bool]]] = [[] for _ in requests]
    for index, owner in enumerate(owners):
        grouped[owner].append((answers[index].log, answers[index].greedy))
    return grouped


def _pace() -> Callable[[], bool]:
    """Return a function that tells whether it is time for another progress report."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < PAUSE:
            return False
        last = now
        return True

    return due

"""Short questions to the worker (a text, a summary) beside a run: asked once, answered when the page looks
again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.jobs.views import AnswerState

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster, Task

AT_ONCE = 2
TRIES = 2  # a question whose worker died (maybe because of another's run) is asked once more
REMEMBERED = 256
FAILURES = 20.0  # seconds for which a failure is remembered, before the same question is asked anew
GONE = "The worker process ended before it could answer. Try again."


@dataclass
class Answer:
    """A question, and what is known of its answer."""

    function: str
    args: tuple[Any, ...]
    state: AnswerState = "pending"
    value: Any = None
    message: str = ""
    task: Task | None = None
    tries: int = 0
    failed_at: float = 0.0

    def fail(self, message: str) -> None:
        self.state, self.message, self.task, self.failed_at = "failed", message, None, time.monotonic()

    @property
    def stale(self) -> bool:
        return self.state == "failed" and time.monotonic() - self.failed_at > FAILURES


class Answers:
    """The questions of all pages. `wake` tells the engine's thread that there is something to do."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Answer] = OrderedDict()
        self._wake = wake

    def ask(self, question: Hashable, function: str, *args: Any) -> Answer:
        """The answer so far. The first call asks `function` of `engine.jobs.worker`: a value or, as a str,
        why not.
        """
        with self._lock:
            found = self._known.get(question)
            if found is None or found.stale:
                found = self._known[question] = Answer(function, args)
                self._wake()
            self._known.move_to_end(question)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return found

    @property
    def waiting(self) -> bool:
        """Whether there is a question that was not sent yet."""
        return any(answer.task is None for answer in self._pending())

    def drive(self, cluster: Cluster) -> None:
        """Take answers in and send questions out."""
        for answer in self._pending():
            if answer.task is not None and answer.task.done():
                self._collect(answer, cluster)
        pending = self._pending()
        room = AT_ONCE - sum(answer.task is not None for answer in pending)
        latest = reversed(
            [answer for answer in pending if answer.task is None]
        )  # what was asked last is what somebody looks at
        for answer in list(latest)[: max(0, room)]:
            answer.tries += 1
            answer.task = cluster.submit(answer.function, *answer.args)

    def lost(self) -> None:
        """The cluster is gone: what was sent is asked again."""
        for answer in self._pending():
            if answer.task is not None:
                self._again(answer)

    def fail(self, sentence: str) -> None:
        """There is no cluster to ask."""
        for answer in self._pending():
            answer.fail(sentence)

    def _pending(self) -> list[Answer]:
        with self._lock:
            return [answer for answer in self._known.values() if answer.state == "pending"]

    def _collect(self, answer: Answer, cluster: Cluster) -> None:
        assert answer.task is not None
        outcome = cluster.outcome(answer.task)
        if outcome.died:
            self._again(answer)
        elif outcome.message or isinstance(outcome.value, str):
            answer.fail(outcome.message or outcome.value)
        else:
            answer.value, answer.task = outcome.value, None
            answer.state = "done"  # last: a page may look at any moment

    def _again(self, answer: Answer) -> None:
        answer.task = None
        if answer.tries >= TRIES:
            answer.fail(GONE)

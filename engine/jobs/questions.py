"""Short questions to the worker (a text, a model's summary), answered alongside a run.

A page asks on every redraw: the first call queues the question, later calls return what is known so far. On a
large model some take a minute, so quick questions have a place of their own, and what no page asks for any
more is not sent.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from engine.hardware.shared_cache import SharedCache
    from engine.jobs.cluster import Cluster
    from engine.jobs.dask_client import Task

LONG = 2  # long questions sent to the worker at the same time
AT_ONCE = LONG + 1  # and one more if it is quick; `dask_settings.THREADS` has a thread for each
TRIES = 2  # the worker may have died because of a run, so a question it held is asked a second time
REMEMBERED = 256  # unanswered questions that are kept
# The questions asked last, whose answers are kept however short memory is: a page that shows them would send
# them again immediately. Other answers are in the cache of the process.
SHOWN = 32
UNSEEN = 30.0  # seconds after which a question is dropped that was not sent, and that no page asks any more
FAILURES = 20.0  # seconds for which a failure is kept before the same question is sent again
GONE = "The worker process ended before it could answer. Try again."

Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)
Args = TypeVarTuple("Args")


@dataclass(frozen=True)
class Answer(Generic[Value_co]):
    """What is known of a question to the worker: `Answer(value)`, `Answer(pending=True)` or
    `Answer(message=...)`.

    Attributes:
        value: the result; None while the answer is pending and after a failure.
        message: why the question failed; empty unless it did.
        ahead: how many questions the worker answers before this one; 0 if it is being answered, or if the
            worker is not there yet.
    """

    value: Value_co | None = None
    pending: bool = False
    message: str = ""
    ahead: int = 0

    @property
    def failed(self) -> bool:
        return bool(self.message)


@dataclass
class Question:
    """A question with the answer so far; `asked_at` and `failed_at` are on the monotonic clock."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    quick: bool = False
    asked_at: float = 0.0
    answer: Answer[Any] = Answer(pending=True)
    task: Task | None = None
    tries: int = 0
    failed_at: float = 0.0

    def fail(self, message: str) -> None:
        self.answer, self.task, self.failed_at = Answer(message=message), None, time.monotonic()

    @property
    def stale(self) -> bool:
        return self.answer.failed and time.monotonic() - self.failed_at > FAILURES


class Questions:
    """The questions of all pages.

    Args:
        wake: tells the engine's thread that there is something to do.
        cache: where answers are kept that no page has asked for lately.
    """

    def __init__(self, wake: Callable[[], None], cache: SharedCache) -> None:
        # Guards `_questions`; a `Question` is changed by the engine's thread only.
        self._lock = threading.Lock()
        self._questions: OrderedDict[Hashable, Question] = OrderedDict()
        self._wake, self._cache = wake, cache

    def ask(
        self,
        function: Callable[[*Args], Value],
        *args: *Args,
        version: Hashable = None,
        quick: bool = False,
    ) -> Answer[Value]:
        """Return the answer so far; the first call queues the question.

        Args:
            function: a function of `engine.jobs.worker`.
            args: its arguments, hashable.
            version: anything else the answer depends on; another version is another question.
            quick: whether it takes a second at most, whatever the model's size.
        """
        name = (function, args, version)
        with self._lock:
            question = self._questions.pop(name, None) or self._cache.take(self, name)
            if question is None or question.stale:
                # A stale failure is replaced by a new question, which has all its tries.
                question = Question(function, args, quick)
                self._wake()
            question.asked_at = time.monotonic()
            # A visible page asks at every redraw, so the answers that it shows are never the oldest.
            self._questions[name] = question
            self._tidy()
            answer: Answer[Value] = question.answer
            return replace(answer, ahead=self._ahead(question)) if answer.pending else answer

    def _ahead(self, question: Question) -> int:
        """Return how many questions keep this one from being sent; holds the lock."""
        sent = [each for each in self._questions.values() if each.task is not None]
        return 0 if question.task is not None or _has_place(question, sent) else len(sent)

    def _tidy(self) -> None:
        """Move the oldest answers to the cache, and drop the oldest questions of all; holds the lock."""
        done = [name for name, question in self._questions.items() if question.answer.value is not None]
        for name in done[:-SHOWN]:
            self._cache.put(self, name, self._questions.pop(name))
        while len(self._questions) > REMEMBERED:
            self._questions.popitem(last=False)

    @property
    def waiting(self) -> bool:
        """Whether a question has not been sent yet."""
        return any(question.task is None for question in self._pending())

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._pending())

    def drive(self, cluster: Cluster) -> None:
        """Collect the answers that have arrived and send out waiting questions."""
        for question in self._pending():
            if question.task is not None and question.task.done():
                self._collect(question, cluster)
        pending = self._pending()
        sent = [question for question in pending if question.task is not None]
        # the newest first: it is the one the user is looking at
        for question in reversed(pending):
            if question.task is None and _has_place(question, sent):
                question.tries += 1
                question.task = cluster.ask(question.function, *question.args)
                sent.append(question)
        self._drop_unseen()

    def _drop_unseen(self) -> None:
        """Drop what waits, but was asked by pages that now show something else."""
        with self._lock:
            before = time.monotonic() - UNSEEN
            for name, question in list(self._questions.items()):
                if question.answer.pending and question.task is None and question.asked_at < before:
                    del self._questions[name]

    def lost(self) -> None:
        """Ask again what was sent to a cluster that has ended."""
        for question in self._pending():
            if question.task is not None:
                self._retry(question)

    def fail(self, message: str) -> None:
        """Fail every pending question: there is no cluster to ask."""
        for question in self._pending():
            question.fail(message)

    def _pending(self) -> list[Question]:
        with self._lock:
            # A copy, so that the lock is not held while Dask is called.
            return [question for question in self._questions.values() if question.answer.pending]

    def _collect(self, question: Question, cluster: Cluster) -> None:
        assert question.task is not None
        answer = cluster.result(question.task)
        if answer is None:
            self._retry(question)
        elif answer.failed:
            question.fail(answer.message)
        else:
            question.answer, question.task = answer, None  # dropping the task lets the worker free the result

    def _retry(self, question: Question) -> None:
        question.task = None
        if question.tries >= TRIES:
            question.fail(GONE)


def _has_place(question: Question, sent: Sequence[Question]) -> bool:
    """Whether a question may be sent in addition to these: a long one leaves a place for a quick one."""
    return len(sent) < AT_ONCE and (question.quick or sum(not each.quick for each in sent) < LONG)

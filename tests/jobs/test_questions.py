"""The order in which questions are sent to the worker: quick ones pass long ones, and what no page asks any
more is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from engine.hardware.shared_cache import SharedCache
from engine.jobs import questions as module
from engine.jobs.cluster import Cluster
from engine.jobs.dask_settings import QUESTION, THREADS
from engine.jobs.fleet import FIRST
from engine.jobs.inquiries import Inquiries
from engine.jobs.questions import AT_ONCE, LONG, UNSEEN, Answer, Questions
from engine.jobs.requests import LinearRequest


@dataclass
class Sent:
    """A question on its way; `answer` makes it done."""

    args: tuple[Any, ...]
    answered: bool = False

    def done(self) -> bool:
        return self.answered


@dataclass
class Worker:
    """Takes every question, and answers those that the test names."""

    sent: list[Sent] = field(default_factory=list)

    def ask(self, function: object, *args: Any) -> Sent:
        self.sent.append(Sent(args))
        return self.sent[-1]

    def result(self, task: Sent) -> Answer[Any]:
        return Answer(task.args)

    def answer(self, *args: Any) -> None:
        for task in self.sent:
            task.answered |= task.args == args

    @property
    def order(self) -> list[Any]:
        return [task.args[0] for task in self.sent]


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def questions() -> Questions:
    return Questions(lambda: None, SharedCache(share=0))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which only the test advances."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def drive(questions: Questions, worker: Worker) -> None:
    questions.drive(cast(Cluster, worker))


def test_a_quick_question_is_sent_while_long_ones_are_being_answered(
    questions: Questions, worker: Worker
) -> None:
    for name in ("a", "b", "c"):
        questions.ask(abs, name)
    drive(questions, worker)
    assert worker.order == ["c", "b"], "the newest first, as many as there are places for long ones"
    questions.ask(abs, "map", quick=True)
    drive(questions, worker)
    assert worker.order == ["c", "b", "map"]
    questions.ask(abs, "d")
    drive(questions, worker)
    assert len(worker.sent) == AT_ONCE == LONG + 1, "a long one does not take the place of a quick one"


def test_quick_questions_take_free_places_of_long_ones(questions: Questions, worker: Worker) -> None:
    for name in ("a", "b", "c", "d"):
        questions.ask(abs, name, quick=True)
    drive(questions, worker)
    assert worker.order == ["d", "c", "b"]


def test_a_waiting_question_says_how_many_are_answered_before_it(
    questions: Questions, worker: Worker
) -> None:
    assert questions.ask(abs, "a") == Answer(pending=True), "nothing is ahead of it"
    questions.ask(abs, "b")
    drive(questions, worker)
    assert questions.ask(abs, "a").ahead == 0, "it is being answered"
    assert questions.ask(abs, "c").ahead == LONG
    assert questions.ask(abs, "map", quick=True).ahead == 0
    worker.answer("a")
    drive(questions, worker)
    assert questions.ask(abs, "a") == Answer(("a",))
    assert questions.ask(abs, "c").ahead == 0


def test_what_no_page_asks_any_more_is_not_sent(
    questions: Questions, worker: Worker, clock: list[float]
) -> None:
    for name in ("a", "b", "left", "shown"):
        questions.ask(abs, name)
    drive(questions, worker)
    assert worker.order == ["shown", "left"]
    clock[0] += UNSEEN + 1
    questions.ask(abs, "b")  # its page still polls
    drive(questions, worker)
    worker.answer("left")
    worker.answer("shown")
    drive(questions, worker)
    drive(questions, worker)
    assert worker.order == ["shown", "left", "b"]
    assert questions.ask(abs, "a").pending, "who asks again gets an answer"
    drive(questions, worker)
    assert worker.order[-1] == "a"


def test_a_question_that_waited_for_the_worker_is_sent_however_long_ago_it_was_asked(
    questions: Questions, worker: Worker, clock: list[float]
) -> None:
    questions.ask(abs, "a")
    clock[0] += 100 * UNSEEN
    drive(questions, worker)
    assert worker.order == ["a"]


def test_maps_summaries_and_free_memory_are_quick_and_studies_are_not(tmp_path: Any) -> None:
    asked: dict[str, bool] = {}

    class Pages(Inquiries):
        _home, _capacities = str(tmp_path), {}

        def _ask(self, function: Any, *args: Any, version: Any = None, quick: bool = False) -> Answer[Any]:
            asked[function.__name__] = quick
            return Answer(pending=True)

    pages, linear = Pages.__new__(Pages), LinearRequest("key", 0, "up")
    for ask in (Pages.picture, Pages.inspect, Pages.spectrum):
        ask.__wrapped__(pages, linear)
    Pages.summary.__wrapped__(pages, "demo")
    Pages.capacity.__wrapped__(pages, "cpu")
    assert {name for name, quick in asked.items() if quick} == {
        "picture_linear",
        "summarise_model",
        "measure_capacity",
    }
    assert len(asked) == 5


def test_every_place_has_a_thread_next_to_the_run() -> None:
    assert FIRST.resources[QUESTION] == AT_ONCE == THREADS - 1

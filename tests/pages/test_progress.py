"""What the pages say about a run that is being computed."""

from dataclasses import replace

import pytest

from engine.charts.headline import run_numbers
from engine.jobs.silence import Silence
from engine.numbers import UNKNOWN
from engine.recipe import Recipe
from engine.record import RunRecord
from pages.widgets.progress import progress_words
from tests.pages.fakes import ENDS, run_view, starting


def test_a_worker_that_has_stopped_answering_is_mentioned() -> None:
    running = run_view(Recipe.build(), "running")
    sentence = Silence("The worker *one*", since=0.0).sentence
    words = progress_words(replace(running, message=sentence))
    assert "has not answered since" in words and "continues by itself" in words
    assert "*one*" not in words  # its name is literal
    assert "answered" not in progress_words(running)


def test_a_run_says_where_it_is_computed() -> None:
    running = run_view(Recipe.build(), "running")
    assert progress_words(replace(running, worker="*node 1* · CPU")).endswith(r" · \*node 1\* · CPU")
    assert progress_words(running).endswith(" left")


@pytest.mark.parametrize(
    ("elapsed", "kinds", "shown"),
    [(0.0002, 1, UNKNOWN), (0.4, 1, "0.4 s"), (0.0002, 2, "under 1 ms")],
)
def test_a_run_that_has_only_begun_has_no_time(elapsed: float, kinds: int, shown: str) -> None:
    events = (starting(Recipe.build())[0], ENDS["failed"])[:kinds]
    record = RunRecord.fold(event.model_copy(update={"elapsed": elapsed}) for event in events if event)
    assert {number.label: number.value for number in run_numbers(record)}["Time"] == shown

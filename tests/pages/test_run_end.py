"""If the end of a run is near, a look at it waits for that, once, and the charts stay as they are."""

from dataclasses import replace

import pytest

from engine.recipe import Recipe
from pages.widgets.explore import run_end
from pages.widgets.explore.run_end import last_before_end, waiting_for_end
from tests.pages.fakes import BLOCKS, run_view

WANDA = Recipe.build()


def running(done, seconds, **fields):
    """A run with so many finished blocks, each of which took so long."""
    view = run_view(Recipe.build(**fields), "running", done)
    blocks = tuple(block.model_copy(update={"seconds": seconds}) for block in view.record.blocks)
    return replace(view, record=view.record.model_copy(update={"blocks": blocks}))


@pytest.fixture
def pauses(monkeypatch):
    """Grows with each pause between two looks."""
    found = []
    monkeypatch.setattr(run_end.time, "sleep", found.append)
    monkeypatch.setattr(run_end.time, "monotonic", lambda: sum(found))
    return found


@pytest.mark.parametrize("done", [BLOCKS - 1, BLOCKS])
def test_the_end_is_seen_as_soon_as_it_comes(done, pauses):
    views = iter([*[running(done, 0.2)] * 3, run_view(WANDA, "finished")])
    assert waiting_for_end(lambda: next(views), lambda: True)().state == "finished"
    assert len(pauses) == 3


def test_it_is_waited_for_once_and_not_for_long(pauses):
    look = waiting_for_end(lambda: running(BLOCKS, 0.2), lambda: True)
    assert look().state == look().state == "running"
    assert sum(pauses) == pytest.approx(run_end.PATIENCE, abs=run_end.PAUSE)


@pytest.mark.parametrize(
    ("view", "may_wait"),
    [
        (running(3, 0.2), True),
        (running(BLOCKS, 9.0), True),
        (running(0, 0.2), True),
        (running(BLOCKS, 0.2, tasks=("piqa",)), True),
        (running(BLOCKS, 0.2), False),
        (run_view(WANDA, "finished"), True),
        (run_view(WANDA, "queued"), True),
        (None, True),
    ],
)
def test_other_looks_return_at_once(view, may_wait, pauses):
    assert waiting_for_end(lambda: view, lambda: may_wait)() is view
    assert not pauses


def test_charts_stay_as_they_are_shortly_before_the_end():
    early, late, last = running(2, 1.0), running(3, 1.0), running(BLOCKS - 1, 0.2)
    finished = run_view(WANDA, "finished")
    views = iter([early, late, last, finished, None])
    look = last_before_end(lambda: next(views))
    assert [look() for _ in range(5)] == [early, late, late, finished, None]


def test_a_page_that_is_opened_shortly_before_the_end_shows_what_there_is():
    last = running(BLOCKS - 1, 0.2)
    assert last_before_end(lambda: last)() is last

"""A replay gives the record as it was after each event, on a clock that never runs backwards."""

from itertools import pairwise

import pytest

from engine.events import Resumed
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.replay import Replay
from tests.pages.fakes import FINISHED, events

RECIPE = Recipe.build()


@pytest.fixture
def replay() -> Replay:
    return Replay(events(RECIPE, 8, FINISHED))


def test_the_last_place_is_the_record_and_the_first_is_empty(replay: Replay) -> None:
    assert replay.record(len(replay)) == RunRecord.fold(replay.events)
    assert replay.record(0) == RunRecord()


def test_each_place_adds_one_event(replay: Replay) -> None:
    done = [len(replay.record(place).blocks) for place in range(len(replay) + 1)]
    assert (
        done[0] == 0 and done[-1] == 8 and all(after - before in (0, 1) for before, after in pairwise(done))
    )


def test_place_at_inverts_moment(replay: Replay) -> None:
    assert replay.place_at(-1.0) == 0
    assert replay.place_at(replay.seconds) == len(replay)
    for place in range(1, len(replay) + 1):
        assert replay.place_at(replay.moment(place)) >= place
        assert replay.moment(place) >= replay.moment(place - 1)


def test_the_clock_of_a_resumed_run_continues() -> None:
    first = events(RECIPE, 3, None)
    again = [
        event.model_copy(update={"elapsed": 0.5 + place})
        for place, event in enumerate([Resumed(blocks=3), *events(RECIPE, 8, FINISHED)[-5:]])
    ]
    replay = Replay([*first, *again])
    stopped = first[-1].elapsed
    assert replay.moments[len(first) - 1] == pytest.approx(stopped)
    assert replay.moments[len(first) :] == pytest.approx(
        [stopped + 0.5 + place for place in range(len(again))]
    )
    assert replay.moments == sorted(replay.moments)


def test_every_event_has_a_description(replay: Replay) -> None:
    words = [replay.describe(place) for place in range(len(replay) + 1)]
    assert words[0] == "before the first event" and words[1] == "run started" and words[-1] == "finished"
    assert "block 3 pruned" in words and "perplexity measured" in words


def test_a_replay_without_events() -> None:
    replay = Replay([])
    assert len(replay) == 0 and replay.seconds == 0 and replay.moment(0) == 0 and replay.place_at(9) == 0

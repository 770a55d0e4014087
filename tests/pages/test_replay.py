"""The replay of a run in Explore: the same page, at any of its events."""

from __future__ import annotations

import pytest

from engine.recipe import Recipe
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()


@pytest.fixture
def finished(engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    return WANDA.key


def shown(app):
    return {metric.label: metric.value for metric in app.metric}


def test_a_link_opens_the_run_as_it_was_at_an_event(open_app, finished):
    app = open_app(run=finished, replay="7")
    assert "replay" in words(app) or any("replay" in str(item) for item in app.get("badge"))
    assert app.slider(key="replay.scrubber").value == 7
    assert shown(app)["Pruned perplexity"] == "—"
    assert not app.text_input or all(field.key != "prompt" for field in app.text_input), (
        "the sections after a run are not drawn yet"
    )
    assert address(app)["replay"] == "7"


def test_a_step_shows_one_more_block(open_app, finished):
    app = open_app(run=finished, replay="7")
    before = app.slider(key="replay.scrubber").label
    app = healthy(app.button(key="replay.step").click().run())
    after = app.slider(key="replay.scrubber")
    assert after.value == 8 and after.label != before
    app = healthy(app.button(key="replay.back").click().run())
    assert app.slider(key="replay.scrubber").value == 7


def test_the_end_of_the_replay_is_the_finished_run(open_app, finished):
    app = open_app(run=finished, replay="1")
    app = healthy(app.slider(key="replay.scrubber").set_value(app.slider(key="replay.scrubber").max).run())
    live = open_app(run=finished)
    assert shown(app) == shown(live)
    assert shown(app)["Pruned perplexity"] != "—"


def test_play_starts_at_the_beginning_and_pause_stops(open_app, finished):
    app = healthy(open_app(run=finished).button(key="replay.begin").click().run())
    assert [button.label for button in app.button if button.key == "replay.pause"] == ["Pause"]
    assert "replay" not in address(app), "a moving position is not in the address"
    app = healthy(app.button(key="replay.pause").click().run())
    assert app.button(key="replay.play").label == "Play"
    assert "replay" in address(app)
    app = healthy(app.button(key="replay.end").click().run())
    assert not [button for button in app.button if button.key == "replay.play"]
    assert "replay" not in address(app)


@pytest.mark.parametrize("place", ["x", "-3", "99999"])
def test_an_invalid_position_is_no_traceback(open_app, finished, place):
    app = open_app(run=finished, replay=place)
    assert shown(app)
    if place == "x":
        assert "a replay at event x" in words(app)


def test_a_recorded_run_offers_to_compute_its_weights(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished", recorded=True)
    app = open_app(run=WANDA.key)
    assert "without weights" in words(app)
    assert not [field for field in app.text_input if field.key == "prompt"]
    labels = [button.label for button in app.get("download_button")] if app.get("download_button") else []
    assert not any("Masks" in label for label in labels)
    healthy(app.button(key="compute").click().run())
    assert engine.submitted == [WANDA]

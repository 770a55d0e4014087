"""Watching a finished run again, by the same drawing as a live one: play, pause, step, a scrubber over the
events, speed.

A tab holds where it is: a place while it stands, a place and a moment of the clock while it plays.
`?replay=PLACE` beside `?run=KEY` opens it there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.jobs.views import RunView
from engine.replay import Replay

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

PARAMETER = "replay"
TICK = 0.4
"""Seconds between two drawings while it plays."""
SPEEDS = (1, 4, 16, 64, 256)
PATIENCE = 20.0
"""Seconds that a replay takes at most, as far as the speeds allow, where nobody has chosen one."""


@dataclass
class Playing:
    """Where a tab's replay is.

    Attributes:
        place: events that have happened, while it stands; where it began to play, while it plays.
        since: when it began to play, on the monotonic clock; None while it stands.
    """

    key: str
    replay: Replay
    speed: int
    place: int
    since: float | None = None

    @property
    def now(self) -> int:
        """Events that have happened by now."""
        if self.since is None:
            return self.place
        return self.replay.place_at(
            self.replay.moment(self.place) + self.speed * (time.monotonic() - self.since)
        )

    def stand(self, place: int) -> None:
        """Stop at a place."""
        self.place, self.since = min(max(place, 0), len(self.replay)), None

    def play(self) -> None:
        """Go on from here, or from the beginning where this is the end."""
        self.place = 0 if self.now >= len(self.replay) else self.now
        self.since = time.monotonic()


def current(key: str) -> Playing | None:
    """This tab's replay of a run, None where it shows the run itself."""
    playing: Playing | None = st.session_state.get(PARAMETER)
    return playing if playing is not None and playing.key == key else None


def begin(engine: BackgroundEngine, key: str, place: int | None = None) -> None:
    """Replay a run: play it from its start, or stand at a place."""
    replay = Replay(engine.events(key))
    quick = next((speed for speed in SPEEDS if replay.seconds / speed <= PATIENCE), SPEEDS[-1])
    playing = Playing(key, replay, quick, 0)
    playing.stand(place or 0)
    if place is None:
        playing.play()
    st.session_state[PARAMETER] = playing


def end() -> None:
    """Show the run itself again."""
    st.session_state.pop(PARAMETER, None)


def view(playing: Playing) -> RunView:
    """The run as it was at that place."""
    record = playing.replay.record(playing.now)
    state = record.state if record.state not in ("empty", "running") else "running"
    return RunView(record.model_copy(update={"state": state}), state)


def draw_player(playing: Playing) -> None:
    """The controls."""
    total = len(playing.replay)
    if playing.since is not None and playing.now >= total:
        playing.stand(total)
    place = playing.now
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Back",
            key="replay.back",
            icon=":material/skip_previous:",
            on_click=playing.stand,
            args=(place - 1,),
            disabled=place == 0,
        )
        if playing.since is None:
            st.button(
                "Play", key="replay.play", type="primary", icon=":material/play_arrow:", on_click=playing.play
            )
        else:
            st.button(
                "Pause",
                key="replay.pause",
                type="primary",
                icon=":material/pause:",
                on_click=playing.stand,
                args=(place,),
            )
        st.button(
            "Step",
            key="replay.step",
            icon=":material/skip_next:",
            on_click=playing.stand,
            args=(place + 1,),
            disabled=place == total,
        )
        _draw_speed(playing)
        st.button("Close the replay", key="replay.end", icon=":material/close:", on_click=end)
    _draw_scrubber(playing, place, total)


def _draw_speed(playing: Playing) -> None:
    if "replay.speed" not in st.session_state:
        st.session_state["replay.speed"] = playing.speed
    chosen = st.segmented_control(
        "Speed", SPEEDS, format_func=lambda speed: f"{speed}×", key="replay.speed", required=True
    )
    if chosen != playing.speed:
        playing.place, playing.since = playing.now, None if playing.since is None else time.monotonic()
        playing.speed = chosen or playing.speed


def _draw_scrubber(playing: Playing, place: int, total: int) -> None:
    st.session_state["replay.scrubber"] = place

    def scrub() -> None:
        playing.stand(st.session_state["replay.scrubber"])

    moment = f"{numbers.seconds(playing.replay.moment(place))} of {numbers.seconds(playing.replay.seconds)}"
    st.slider(
        f"Event {place} of {total} · {playing.replay.describe(place)} · {moment}",
        0,
        total,
        key="replay.scrubber",
        on_change=scrub,
    )

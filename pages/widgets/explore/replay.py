"""The replay of a finished run, drawn like a live one: play, pause, step, a slider over the events, speed.

A tab holds where its replay is: a position while paused; a position and a moment of the clock while playing.
`?run=KEY&replay=POSITION` opens it there, paused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.jobs.views import RunView, ViewState
from engine.replay import Replay

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

PLAYBACK = "replay"
TICK = 0.4
"""Seconds between two drawings while playing."""
SPEEDS = (1, 4, 16, 64, 256)
LONGEST = 20.0
"""Seconds that a replay should take at most; the initial speed is chosen by it."""


@dataclass
class Playback:
    """Where a tab's replay is.

    Attributes:
        position: events that have happened: now while paused, at the start of playing while playing.
        since: when playing started, on the monotonic clock in seconds; None while paused.
    """

    key: str
    replay: Replay
    speed: int
    position: int
    since: float | None = None

    @property
    def now(self) -> int:
        """Events that have happened by now."""
        if self.since is None:
            return self.position
        elapsed = self.speed * (time.monotonic() - self.since)
        return self.replay.place_at(self.replay.moment(self.position) + elapsed)

    def pause(self, position: int) -> None:
        """Pause at a position."""
        self.position, self.since = min(max(position, 0), len(self.replay)), None

    def play(self) -> None:
        """Play from here, or from the start if this is the end."""
        self.position = 0 if self.now >= len(self.replay) else self.now
        self.since = time.monotonic()

    def view(self) -> RunView:
        """Return the run as it was at this position."""
        record = self.replay.record(self.now)
        # position 0: no event has happened
        state: ViewState = "running" if record.state == "empty" else record.state
        return RunView(record.model_copy(update={"state": state}), state)


def current(key: str) -> Playback | None:
    """Return this tab's replay of a run; None if the tab shows the run itself."""
    playback: Playback | None = st.session_state.get(PLAYBACK)
    return playback if playback is not None and playback.key == key else None


def begin(engine: BackgroundEngine, key: str, position: int | None = None) -> None:
    """Open the replay of a run: play it from the start, or pause at a position."""
    replay = Replay(engine.events(key))
    # the slowest that is short enough
    speed = next((speed for speed in SPEEDS if replay.seconds / speed <= LONGEST), SPEEDS[-1])
    playback = Playback(key, replay, speed, 0)
    playback.pause(position or 0)
    if position is None:
        playback.play()
    st.session_state[PLAYBACK] = playback


def end() -> None:
    """Close the replay."""
    st.session_state.pop(PLAYBACK, None)


def draw_player(playback: Playback) -> None:
    """Draw the controls."""
    total = len(playback.replay)
    if playback.since is not None and playback.now >= total:  # pausing also stops the polling, see `draw_run`
        playback.pause(total)
    position = playback.now
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Back",
            key="replay.back",
            icon=":material/skip_previous:",
            on_click=playback.pause,
            args=(position - 1,),
            disabled=position == 0,
        )
        if playback.since is None:
            st.button(
                "Play",
                key="replay.play",
                type="primary",
                icon=":material/play_arrow:",
                on_click=playback.play,
            )
        else:
            st.button(
                "Pause",
                key="replay.pause",
                type="primary",
                icon=":material/pause:",
                on_click=playback.pause,
                args=(position,),
            )
        st.button(
            "Step",
            key="replay.step",
            icon=":material/skip_next:",
            on_click=playback.pause,
            args=(position + 1,),
            disabled=position == total,
        )
        _draw_speed(playback)
        st.button("Close replay", key="replay.end", icon=":material/close:", on_click=end)
    _draw_slider(playback, position, total)


def _draw_speed(playback: Playback) -> None:
    if "replay.speed" not in st.session_state:
        st.session_state["replay.speed"] = playback.speed
    chosen = st.segmented_control(
        "Speed", SPEEDS, format_func=lambda speed: f"{speed}×", key="replay.speed", required=True
    )
    if chosen != playback.speed:
        # Restart the clock here, or the time that was played so far would count at the new speed.
        playing = playback.since is not None
        playback.position, playback.since = playback.now, time.monotonic() if playing else None
        playback.speed = chosen or playback.speed


def _draw_slider(playback: Playback, position: int, total: int) -> None:
    # the user's move is in `position`: its callback came first
    st.session_state["replay.scrubber"] = position
    replay = playback.replay
    moment = f"{numbers.seconds(replay.moment(position))} of {numbers.seconds(replay.seconds)}"
    st.slider(
        f"Event {position} of {total} · {replay.describe(position)} · {moment}",
        0,
        total,
        key="replay.scrubber",
        on_change=lambda: playback.pause(st.session_state["replay.scrubber"]),
    )

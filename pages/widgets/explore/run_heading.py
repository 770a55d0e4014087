"""The heading of a run on Explore: its title, its state, and where it was computed."""

from __future__ import annotations

import streamlit as st

from engine import numbers
from engine.jobs.views import RunView
from pages.widgets.explore import session
from pages.widgets.literal import literal

BADGES = {
    "queued": ("queued", ":material/hourglass_top:", "gray"),
    "running": ("running", ":material/play_arrow:", "blue"),
    "finished": ("finished", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("cancelled", ":material/stop:", "orange"),
    "interrupted": ("interrupted", ":material/bolt:", "orange"),
}
IMPORTED = "Computed elsewhere and imported on the Runs page, where you can verify its numbers."
RECORDED = "Bundled with Prunescope: computed on another machine with the command below, under Export."


def draw_heading(view: RunView, *, replayed: bool = False) -> None:
    """Draw the heading; `replayed` if the run is shown as it was."""
    name, icon, color = BADGES[view.state]
    record = view.record
    with st.container(horizontal=True, vertical_alignment="center"):
        title = record.title or "This run"
        st.header(literal(title), anchor=False, width="content")
        if replayed:
            st.badge("replay", icon=":material/replay:", color="violet")
        elif view.recorded or (view.state == "finished" and not session.was_started_here(str(record.key))):
            st.badge("computed earlier", icon=":material/history:", color="green", help=_origin(view))
        else:
            st.badge(name, icon=icon, color=color)  # type: ignore[arg-type]
        if view.recorded:
            st.badge("recorded", icon=":material/inventory_2:", color="gray", help=RECORDED)
        if view.imported:
            st.badge("imported", icon=":material/upload_file:", color="gray", help=IMPORTED)


def _origin(view: RunView) -> str:
    """Return when and where a finished run was computed."""
    record = view.record
    day = f" on {record.started[:10]}" if record.started else ""
    place = "Bundled with Prunescope; computed" if view.recorded else "Computed"
    environment = record.environment
    machine = f" on {environment.device_name or environment.device}" if environment else ""
    threads = f" ({environment.device}, {environment.threads} threads)" if environment else ""
    return literal(f"{place}{day}{machine}{threads}, in {numbers.seconds(record.elapsed)}.")

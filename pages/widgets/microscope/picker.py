"""Choosing a block, a linear and a part of its weight, by widgets that are kept in step with the address.

Streamlit's own binding would write labels and ranges in its own format; here they are `block=3`,
`linear=mlp.up_proj`, `rows=32-95`.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.microscope.types import Span
from engine.analysis.microscope.zoom import parse_span, span_words
from engine.charts.chart import short_names
from engine.events import LinearPruned
from engine.jobs.requests import LinearRequest
from engine.record import RunRecord
from pages.widgets.literal import literal
from pages.widgets.run_picker import write_runs

BLOCK, LINEAR, ZOOM = "m.block", "m.linear", "m.zoom"
RUN, PARAMETERS = "run", ("block", "linear", "rows", "columns")
"""Parameters of the address."""
ADDRESS = "m.address"
"""Session state: the address as last read or written."""
COMPLAINTS, SHOWN = "m.complaints", "m.shown"
FEW = 12
"""Up to this many linears are shown as pills, more as a list."""


@dataclass(frozen=True)
class Place:
    """A linear of a run, and the part of it that is visible."""

    run: str
    facts: LinearPruned
    block: int
    rows: Span
    columns: Span

    @property
    def request(self) -> LinearRequest:
        return LinearRequest(self.run, self.block, self.facts.name)

    @property
    def shape(self) -> tuple[int, int]:
        return self.facts.rows, self.facts.columns

    @property
    def whole(self) -> bool:
        return (self.rows, self.columns) == ((0, self.facts.rows), (0, self.facts.columns))


def choose_place(run: str, record: RunRecord, controls: DeltaGenerator) -> Place:
    """Let the user choose a block and a linear, with widgets that follow the address. A finished run has at
    least one of each.
    """
    _follow_address(record)  # before the widgets, whose values it sets
    blocks = sorted(block.index for block in record.blocks)
    worst = record.worst
    assert worst is not None, "a finished run has pruned something"
    if st.session_state.get(BLOCK) not in blocks:
        st.session_state[BLOCK] = worst[0]
    index = (
        controls.select_slider("Block", blocks, key=BLOCK, persist_state="session", width=220)
        if len(blocks) > 1
        else blocks[0]
    )
    linears = {
        linear.name: linear for block in record.blocks if block.index == index for linear in block.linears
    }
    if st.session_state.get(LINEAR) not in linears:
        st.session_state[LINEAR] = worst[1] if worst[1] in linears else next(iter(linears))
    short = short_names(list(linears))
    shown = {"format_func": lambda name: short[name], "key": LINEAR, "persist_state": "session"}
    if len(linears) <= FEW:
        shown["format_func"] = lambda name: literal(short[name])  # these labels are Markdown
        name = controls.pills("Linear", list(linears), required=True, width="content", **shown)
    else:
        name = controls.selectbox("Linear", list(linears), width=320, **shown)
    facts = linears[name]
    rows, columns = _zoom(facts)
    place = Place(run, facts, index, rows, columns)
    # The user has chosen something else, so what the address named no longer matters.
    if st.session_state.get(SHOWN) not in (None, (place.block, name)):
        st.session_state[COMPLAINTS] = []
    st.session_state[SHOWN] = (place.block, name)
    _write_address(place)
    return place


def complaints() -> list[str]:
    """Return what the address names that does not exist, one sentence each."""
    return list(st.session_state.get(COMPLAINTS, []))


def zoom_to(shape: tuple[int, int], rows: Span, columns: Span) -> None:
    """Show another part of linears of this shape."""
    st.session_state[ZOOM] = (shape, rows, columns)  # not a widget's key, so it can be set at any time


def _zoom(facts: LinearPruned) -> tuple[Span, Span]:
    """Return the visible part; it is kept from one linear to the next if they have the same shape."""
    shape = (facts.rows, facts.columns)
    known, rows, columns = st.session_state.get(ZOOM, (None, None, None))
    return (rows, columns) if known == shape else ((0, shape[0]), (0, shape[1]))


def _follow_address(record: RunRecord) -> None:
    """Apply a new address to the widgets, and note what it names that does not exist."""
    asked = {name: st.query_params[name] for name in PARAMETERS if name in st.query_params}
    if not asked or asked == st.session_state.get(ADDRESS):  # empty after coming back from another page
        return
    st.session_state[ADDRESS], st.session_state[COMPLAINTS] = asked, []
    blocks = {block.index: {linear.name: linear for linear in block.linears} for block in record.blocks}
    by_name = {str(index): index for index in blocks}
    index = by_name.get(asked["block"]) if "block" in asked else st.session_state.get(BLOCK)
    if index in blocks:  # without a block in the address, the one chosen before, which this run may lack
        st.session_state[BLOCK] = index
    elif "block" in asked or index is not None:
        _complain(
            f"block {asked.get('block', index)}", f"this run has the blocks {min(blocks)} to {max(blocks)}"
        )
    linears = blocks.get(st.session_state.get(BLOCK, min(blocks)), {})
    if asked.get("linear") in linears:
        st.session_state[LINEAR] = asked["linear"]
    elif "linear" in asked:
        _complain(f"the linear {asked['linear']}", f"its linears are {', '.join(linears)}")
    facts = linears.get(st.session_state.get(LINEAR, ""))
    if facts is not None:
        st.session_state[ZOOM] = _asked_zoom(asked, (facts.rows, facts.columns))


def _asked_zoom(asked: dict[str, str], shape: tuple[int, int]) -> tuple[tuple[int, int], Span, Span]:
    spans = []
    for name, length in zip(("rows", "columns"), shape, strict=True):
        span = parse_span(asked[name], length) if name in asked else (0, length)
        if span is None:
            _complain(f"the {name} {asked[name]}", f"this linear has the {name} 0 to {length - 1}")
        spans.append(span or (0, length))
    return shape, spans[0], spans[1]


def _complain(what: str, there: str) -> None:
    """Remember a fault of the address until the user chooses something else."""
    st.session_state[COMPLAINTS].append(f"The address names {what}, but {there}. Something else is shown.")


def _write_address(place: Place) -> None:
    wanted = {"block": str(place.block), "linear": place.facts.name}
    if place.rows != (0, place.facts.rows):
        wanted["rows"] = span_words(place.rows)
    if place.columns != (0, place.facts.columns):
        wanted["columns"] = span_words(place.columns)
    present = st.query_params.to_dict()
    rest = {name: value for name, value in present.items() if name not in PARAMETERS}
    address = rest | {RUN: place.run} | wanted
    if address != present:  # all at once: each writing is an entry in the browser's history
        st.query_params.from_dict(address)
    write_runs({RUN: place.run})  # is there; no longer a new address
    st.session_state[ADDRESS] = wanted  # what `_follow_address` will read back

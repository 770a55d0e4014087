"""What is compared: the finished runs of one protocol as families of points, made anew only when a run has
come, gone or changed.

The ways on from a run: into Explore, under the microscope, beside another run.

A link to the page that one is on would leave its widgets as they are, so the way to two runs is a button that
writes the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.analysis.comparison.points import Point, points
from engine.analysis.comparison.protocols import FinishedRun, Protocol, by_protocol, finished_runs, titles
from engine.store.runs import RunSummary
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


SECTION, PAIR = "section", "Two runs"
ONE, OTHER = "one", "other"
"""The address's names of the two runs that stand side by side."""
GONE = "compare.gone"
"""Set from the press of such a button until the page has followed."""


def draw_links(key: str, place: str) -> None:
    """Links and buttons for one run; `place` tells those of several places on the page apart."""
    st.page_link(
        "pages/explore.py", label="Open in Explore", icon=":material/content_cut:", query_params={"run": key}
    )
    st.page_link(
        "pages/microscope.py", label="Look inside", icon=":material/biotech:", query_params={"run": key}
    )
    for name, label in ((ONE, "Set left of two"), (OTHER, "Set right of two")):
        st.button(
            label,
            key=f"{place}.{name}",
            icon=":material/compare_arrows:",
            type="tertiary",
            on_click=_go,
            args=(name, key),
        )
    if st.session_state.pop(GONE, False):
        # pressed inside a part that is drawn alone: the page has to follow, with the section that the press
        # has set
        st.rerun()


def _go(name: str, key: str) -> None:
    """Show the two runs with this one among them."""
    st.session_state[SECTION] = PAIR
    st.query_params[name] = key
    st.session_state[GONE] = True


FIRST = ("Magnitude", "Wanda", "RIA", "SparseGPT", "APT-SM", "Wanda with NeuroAL")
"""What is shown where nobody has chosen."""
POLL = 1.5
Families = dict[str, tuple[Point, ...]]
Groups = dict[Protocol, list[FinishedRun]]


@dataclass(frozen=True)
class Known:
    """All runs of one protocol.

    Attributes:
        all: every family of the protocol.
        order: their names, in an order that stays.
    """

    protocol: Protocol | None
    all: Families
    order: tuple[str, ...]

    @property
    def run_count(self) -> int:
        return sum(len(point.runs) for family in self.all.values() for point in family)


def known_runs(runs: Sequence[RunSummary]) -> Groups:
    """The finished_runs runs by protocol."""
    stage = _stage(runs)
    kept: tuple[object, Groups] | None = st.session_state.get("compare.runs")
    if kept is None or kept[0] != stage:
        kept = (stage, by_protocol(finished_runs((run.record, not run.recorded) for run in runs)))
        st.session_state["compare.runs"] = kept
    return kept[1]


def choose_protocol(groups: Groups) -> Known:
    """The protocol to look at: a list where there are several, for their numbers do not belong in one
    drawing.
    """
    if not groups:
        return Known(None, {}, ())
    named = titles(groups)
    chosen = next(iter(named))
    if len(named) > 1:
        chosen = (
            st.selectbox("Model and protocol", list(named), key="protocol", bind="query-params", help=SEVERAL)
            or chosen
        )
    return known(groups, named[chosen])


def known(groups: Groups, protocol: Protocol) -> Known:
    """The runs of a protocol as families; the usual ones first, so that they have the plainest looks."""
    families = _points(protocol, groups[protocol])
    order = sorted(families, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return Known(protocol, families, tuple(order))


def choose_families(known: Known) -> Families:
    """Which of them are drawn."""
    first = [name for name in known.order if name in FIRST] or list(known.order[: len(FIRST)])
    chosen = st.multiselect(
        "Ways to prune",
        known.order,
        first,
        key="families",
        bind="query-params",
        placeholder="Choose pruners and top-ups",
    )
    return {name: known.all[name] for name in known.order if name in chosen}


def draw_watch(engine: BackgroundEngine, runs: Sequence[RunSummary]) -> None:
    """While runs go on, say so and let the page follow as they finish."""
    if engine.active():
        st.fragment(_watch, run_every=POLL)(engine, _finished(runs))


def _watch(engine: BackgroundEngine, finished: int) -> None:
    going = len(engine.active())
    words = (
        "One run goes on; its point appears"
        if going == 1
        else f"{going} runs wait or go on; their points appear"
    )
    st.caption(f":material/play_arrow: {words} by itself.")
    if not going or _finished(engine.runs()) != finished:
        redraw_page("families")


def _finished(runs: Sequence[RunSummary]) -> int:
    return sum(run.state == "finished" for run in runs)


def _stage(runs: Sequence[RunSummary]) -> object:
    return tuple((run.key, run.state, run.changed) for run in runs if run.state == "finished")


def _points(protocol: Protocol, runs: list[FinishedRun]) -> Families:
    kept: dict[Protocol, tuple[list[FinishedRun], Families]] = st.session_state.setdefault(
        "compare.points", {}
    )
    if protocol not in kept or kept[protocol][0] is not runs:
        kept[protocol] = (runs, points(runs))
    return kept[protocol][1]


SEVERAL = (
    "Perplexities are compared only where model, number type, evaluation text and calibration are the same."
)

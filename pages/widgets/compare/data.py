"""The runs that are compared: the finished runs of one protocol, grouped into families of points.

A family is a pruner with an allocation; a point is one sparsity of it, over all seeds. Grouping is repeated
only when a run was added, deleted or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.calibration_text import narrow_calibration
from engine.analysis.comparison.points import Point, points
from engine.analysis.comparison.protocols import FinishedRun, Protocol, by_protocol, finished_runs, titles
from engine.models.known_files import known_file
from engine.store.summary import RunSummary
from pages.widgets.known_model import draw_how_to_get
from pages.widgets.literal import literal
from pages.widgets.live import live
from pages.widgets.present.presenter import is_presenting

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

FIRST = ("Magnitude", "Wanda", "RIA", "SparseGPT", "APT-SM", "Wanda with NeuroAL")
"""The families that are drawn by default."""
POLL = 1.5  # seconds
Families = dict[str, tuple[Point, ...]]
Groups = dict[Protocol, list[FinishedRun]]


@dataclass(frozen=True)
class Known:
    """All runs of one protocol.

    Attributes:
        all: every family of the protocol.
        order: their names in a fixed order, so that a family keeps its color.
    """

    protocol: Protocol | None
    all: Families
    order: tuple[str, ...]

    @property
    def run_count(self) -> int:
        return sum(len(point.runs) for family in self.all.values() for point in family)


def known_runs(runs: Sequence[RunSummary]) -> Groups:
    """Return the finished runs by protocol."""
    version = tuple((run.key, run.state, run.changed) for run in runs if run.state == "finished")
    cached: tuple[object, Groups] | None = st.session_state.get("compare.runs")
    if cached is None or cached[0] != version:
        cached = (version, by_protocol(finished_runs((run.record, run.own) for run in runs)))
        st.session_state["compare.runs"] = cached
    return cached[1]


def choose_protocol(groups: Groups) -> Known:
    """Return the runs of one protocol; draw a choice if there are several."""
    if not groups:
        return Known(None, {}, ())
    named = titles(groups)
    chosen = next(iter(named))
    if len(named) > 1:
        options = list(named)
        selected = st.selectbox(
            "Model and protocol", options, key="protocol", bind="query-params", help=PROTOCOL_HELP
        )
        chosen = selected or chosen
    return known(groups, named[chosen])


def known(groups: Groups, protocol: Protocol) -> Known:
    """Return the runs of a protocol as families, the default ones first: they get the plainest colors."""
    runs = groups[protocol]
    cache: dict[Protocol, tuple[list[FinishedRun], Known]] = st.session_state.setdefault("compare.points", {})
    # Identity is enough: `known_runs` returns the same lists until a run changes.
    if protocol not in cache or cache[protocol][0] is not runs:
        cache[protocol] = (runs, group_families(protocol, runs))
    return cache[protocol][1]


def group_families(protocol: Protocol, runs: Sequence[FinishedRun]) -> Known:
    """Return the runs of a protocol as families, the default ones first."""
    families = points(runs)
    order = sorted(families, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return Known(protocol, families, tuple(order))


def first_families(known: Known) -> list[str]:
    """Return the names of the families that are drawn by default."""
    return [name for name in known.order if name in FIRST] or list(known.order[: len(FIRST)])


def draw_protocol(known: Known) -> None:
    """Draw what the runs of a protocol have in common."""
    if known.protocol is None:
        return
    st.caption(f"{known.run_count} runs of {literal(known.protocol.title)}.")
    if file := known_file(known.protocol.revision):
        st.caption(file.origin)
        draw_how_to_get(file)
    if words := narrow_calibration(known.protocol.calibration, [known.protocol.evaluation]):
        st.caption(f":material/info: {words}")


def controls(title: str) -> DeltaGenerator:
    """Return where to draw controls: while presenting, in a closed expander, so that the chart below fits on
    the screen.
    """
    return st.expander(title, icon=":material/tune:") if is_presenting() else st.container()


def choose_families(known: Known) -> Families:
    """Draw the choice of the families to show and return them."""
    chosen = st.multiselect(
        "Pruners",
        known.order,
        first_families(known),
        key="families",
        bind="query-params",
        placeholder="Choose pruners",
    )
    return {name: known.all[name] for name in known.order if name in chosen}


def draw_watch(engine: BackgroundEngine) -> None:
    """While runs are active, say so, and draw the page again whenever one ends."""
    if engine.active():
        # the count, so the page follows each run
        live("families", lambda: len(engine.active()), _draw_active, left=lambda active: active, every=POLL)


def _draw_active(active: int) -> None:
    one, several = "1 run is active; its point appears", f"{active} runs are active; their points appear"
    st.caption(f":material/play_arrow: {one if active == 1 else several} here when finished.")


PROTOCOL_HELP = (
    "Perplexities can be compared only between runs with the same model, dtype, evaluation text and "
    "calibration."
)

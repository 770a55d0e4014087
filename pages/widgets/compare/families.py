"""What is compared: the finished runs of one protocol as families of points, read once for as long as no run is added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.comparison.points import Measured, Point, Protocol, by_protocol, measured, points

if TYPE_CHECKING:
    from engine.jobs.background import BackgroundEngine

FIRST = ("Magnitude", "Wanda", "RIA", "SparseGPT", "APT-SM", "Wanda with NeuroAL")
"""What is shown where nobody has chosen."""
Families = dict[str, tuple[Point, ...]]


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


def known_runs(engine: BackgroundEngine) -> dict[Protocol, list[Measured]]:
    """The measured runs by protocol; made anew only when a run has come, gone or changed."""
    runs = engine.runs()
    stage = tuple((run.key, run.state, run.changed) for run in runs)
    kept: tuple[object, dict[Protocol, list[Measured]]] | None = st.session_state.get("compare.runs")
    if kept is None or kept[0] != stage:
        kept = (stage, by_protocol(measured((run.record, not run.recorded) for run in runs)))
        st.session_state["compare.runs"] = kept
    return kept[1]


def choose_protocol(groups: dict[Protocol, list[Measured]]) -> Known:
    """The protocol to look at: a list where there are several, for their numbers do not belong in one drawing."""
    if not groups:
        return Known(None, {}, ())
    titles = {f"{protocol.title} · {len(runs)} runs": protocol for protocol, runs in groups.items()}
    chosen = next(iter(titles))
    if len(titles) > 1:
        chosen = st.selectbox("Model and protocol", list(titles), key="protocol", help=SEVERAL) or chosen
    protocol = titles.get(chosen, next(iter(groups)))
    families = _points(protocol, groups[protocol])
    return Known(protocol, families, tuple(sorted(families, key=lambda name: (name not in FIRST, FIRST.index(name) if name in FIRST else 0, name))))


def choose_families(known: Known) -> Families:
    """Which of them are drawn."""
    first = [name for name in known.order if name in FIRST] or list(known.order[:6])
    chosen = st.multiselect("Ways to prune", known.order, first, key="families", bind="query-params", placeholder="Choose pruners and top-ups")
    return {name: known.all[name] for name in known.order if name in chosen}


def _points(protocol: Protocol, runs: list[Measured]) -> Families:
    kept: dict[Protocol, tuple[list[Measured], Families]] = st.session_state.setdefault("compare.points", {})
    if protocol not in kept or kept[protocol][0] is not runs:
        kept[protocol] = (runs, points(runs))
    return kept[protocol][1]


SEVERAL = "Perplexities are compared only where model, number type, evaluation text and calibration are the same."

"""The grid of a sweep while its cells fill: state by sign and tint, perplexities as numbers, why a cell
failed, and the way to a cell's runs.

The curves of a sweep's ways to prune, which gain their points as its runs finish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine import numbers
from engine.analysis.comparison.grid import GridCell, RunStatus, grid, method_title
from engine.analysis.comparison.points import family
from engine.analysis.comparison.sweep import Cell
from engine.analysis.comparison.sweep_cost import SweepCost
from engine.charts.compare.sweep_grid import LEGEND, column_words, sweep_colours, sweep_words
from engine.errors import PrunescopeError
from pages.widgets.chart import draw_chart
from pages.widgets.compare.curves import kept_curves
from pages.widgets.compare.data import draw_links, known, known_runs
from pages.widgets.progress import progress_words

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine


def draw_sweep_curves(engine: BackgroundEngine, cells: Sequence[Cell]) -> None:
    """All that is known of the sweep's ways to prune under its protocol, its own runs and others."""
    groups = known_runs(engine.runs())
    keys = {cell.recipe.key for cell in cells if cell.recipe is not None}
    protocol = next(
        (protocol for protocol, runs in groups.items() if any(run.key in keys for run in runs)), None
    )
    if protocol is None:
        st.caption("The curves appear here with the first run that finishes.")
        return
    found = known(groups, protocol)
    names = {family(cell.recipe) for cell in cells if cell.recipe is not None}
    families = {name: found.all[name] for name in found.order if name in names}
    st.caption(f"With all else that is there of {protocol.title}.")
    draw_chart(kept_curves(families, found.order), "sweep.curves")


Standings = dict[str, RunStatus]
MOST_REASONS = 6
"""Failures that are told one by one."""


def standings(engine: BackgroundEngine, cells: Sequence[Cell]) -> Standings:
    """Where the runs of a sweep stand: finished ones as the store lists them, the others as the engine sees
    them now.
    """
    keys = {cell.recipe.key for cell in cells if cell.recipe is not None}
    active = set(engine.active())
    listed = {run.key: run for run in engine.runs() if run.key in keys - active}
    found = {
        key: RunStatus(run.state, run.record, run.message or (run.record and run.record.error) or "")
        for key, run in listed.items()
    }
    for key in keys - found.keys():
        try:
            view = engine.view(key)
        except PrunescopeError:  # there is no such run yet
            continue
        found[key] = RunStatus(view.state, view.record, view.record.error or view.message)
    return found


def draw_progress(engine: BackgroundEngine, cost: SweepCost) -> None:
    """How far the sweep is, and what is being computed. The bar is always there: a grid that moves under the
    pointer loses the next click.
    """
    done = f"{cost.finished} of {cost.runs} runs finished"
    stay = f"; they stay, also when the rest is cancelled.{_now(engine, cost.active)}" if cost.active else ""
    st.progress(cost.finished / max(1, cost.runs), text=f"{done}{stay}")


def _now(engine: BackgroundEngine, going: Sequence[str]) -> str:
    """What the first run that goes on is doing."""
    for key in engine.active():
        if key in going:
            try:
                view = engine.view(key)
            except PrunescopeError:
                continue
            title = view.record.recipe.title if view.record.recipe else "A run"
            return f" {title}: {progress_words(view)}"
    return ""


def draw_grid(cells: Sequence[Cell], known: Standings) -> None:
    """The grid, its legend, what failed, and the links of a chosen cell."""
    squares = grid(cells, known)
    words, colours = sweep_words(squares), sweep_colours(squares)
    styled = words.style.apply(lambda _: colours, axis=None)
    chosen = st.dataframe(
        styled, key="sweep.grid", on_select="rerun", selection_mode="single-cell", alt=_alt(squares)
    )
    st.caption(f"{LEGEND}. Click a cell to go on from its run.")
    _draw_failures(squares)
    _draw_chosen(chosen, squares)


def draw_refused(cells: Sequence[Cell]) -> None:
    """Why cells are impossible, a line a reason."""
    refused = [cell for cell in cells if cell.recipe is None]
    reasons: dict[str, list[str]] = {}
    for cell in refused:
        reasons.setdefault(cell.refusal, []).append(f"{method_title(cell)} {column_words(cell.shape)}")
    if reasons:
        with st.expander(
            f"{len(refused)} cell{'s are' if len(refused) > 1 else ' is'} impossible", icon=":material/block:"
        ):
            for reason, names in reasons.items():
                st.markdown(f"**{numbers.listed(list(dict.fromkeys(names)))}**: {reason}")


def _draw_failures(squares: Sequence[GridCell]) -> None:
    failed = [square for square in squares if square.state in ("failed", "damaged", "interrupted")]
    for square in failed[:MOST_REASONS]:
        st.error(
            f"**{square.method}, {column_words(square.shape)}**: {square.message or 'it did not finish.'}",
            icon=":material/error:",
        )
    if len(failed) > MOST_REASONS:
        st.caption(f"{len(failed) - MOST_REASONS} more cells failed; click one to see why in Explore.")


def _draw_chosen(state: Any, squares: Sequence[GridCell]) -> None:
    """The way from a cell to its runs; of several seeds one is chosen."""
    picked = state["selection"]["cells"] if state else []
    if not picked:
        return
    row, column = picked[0]
    ways = list(dict.fromkeys(square.method for square in squares))
    square = next(
        (
            one
            for one in squares
            if row < len(ways) and one.method == ways[row] and column_words(one.shape) == column
        ),
        None,
    )
    if square is None or not square.keys:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{square.method}, {column}**", width="content")
        seed = 0
        if len(square.keys) > 1:
            seed = st.selectbox(
                "Seed", range(len(square.keys)), key="sweep.seed", width=90, label_visibility="collapsed"
            )
        if square.done:
            draw_links(square.keys[seed], "cell")
        else:
            st.page_link(
                "pages/explore.py",
                label="Open in Explore",
                icon=":material/content_cut:",
                query_params={"run": square.keys[seed]},
            )


def _alt(squares: Sequence[GridCell]) -> str:
    done = sum(square.state == "finished" for square in squares)
    return f"Sweep: one row per pruner, one column per sparsity; {done} of {len(squares)} cells are finished"

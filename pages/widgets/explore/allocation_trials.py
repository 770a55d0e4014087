"""The runs of this tab that differ only in their allocation, side by side.

The tab remembers the keys of the runs that it has shown, in order; everything else is read from the runs. The
comparison group may differ, because an allocation can require its own; the card then says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.pattern_choices import GROUPS
from engine.record import MARK, RunRecord
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.controls import set_fields
from pages.widgets.explore.fields import RATIOS, Fields, fields_of, relevant

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

MOST = 8
"""Cards at most; the oldest are dropped."""


def draw_trials(engine: BackgroundEngine, fields: Fields) -> None:
    """Draw a card per allocation that was tried, the best one marked, and a button back to manual ratios."""
    views = [view for key in _shown_keys() if (view := find_view(engine, key)) is not None]
    records = [view.record for view in views if _differs_in_allocation(view.record, fields)][-MOST:]
    manual = _last_manual(fields)
    if not records or (len(records) == 1 and manual is None) or session.focus() != session.EVERYTHING:
        return
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**Same pruner and sparsity, different allocations**", width="content")
            if manual is not None:
                st.button(
                    "Back to the manual ratios",
                    key="back",
                    icon=":material/equalizer:",
                    on_click=set_fields,
                    args=({"allocation": "manual", RATIOS: manual},),
                )
        grid = st.grid(min_column_width=170, border=True, gap="small")
        measured = [record.pruned.perplexity for record in records if record.pruned]
        best = min(measured) if len(measured) > 1 else None
        for record in records:
            with grid.cell():
                _draw_card(record, best)


def _shown_keys() -> list[str]:
    """Return the keys of the runs that this tab has shown, including the current one."""
    keys: list[str] = st.session_state.setdefault("trials", [])
    key = session.run_key()
    if key and key not in keys:
        keys.append(key)  # the list itself is in the session
    return keys


def _differs_in_allocation(record: RunRecord, fields: Fields) -> bool:
    """Return whether a run has the form's recipe except for the allocation."""
    if record.recipe is None:
        return False
    others = fields_of(record.recipe)
    names = [name for name in relevant(fields) if name not in ("allocation", "group")]
    # without allocations' parameters
    return all(others[name] == fields[name] for name in names if name.partition(".")[0] not in ALLOCATIONS)


def _last_manual(fields: Fields) -> Sequence[float] | None:
    """Return the last manual ratios if the form has another allocation now.

    They are kept in the session, because opening another run replaces the form.
    """
    if isinstance(fields[RATIOS], (list, tuple)) and fields[RATIOS]:
        st.session_state["own"] = fields[RATIOS]
    return None if fields["allocation"] == "manual" else st.session_state.get("own")


def _draw_card(record: RunRecord, best: float | None) -> None:
    recipe = record.recipe
    assert recipe is not None, "records without a recipe are left out"
    perplexity = record.pruned.perplexity if record.pruned else None
    evaluated = record.protocol.evaluation
    help = f"Pruned perplexity: {record.protocol.perplexity}." if evaluated else "Not measured yet."
    title = f"{recipe.methods['allocation'].title}{MARK if record.imported else ''}"
    st.metric(title, numbers.perplexity(perplexity), help=help)
    notes = ["lowest perplexity"] if best is not None and perplexity == best else []
    if record.allocation:
        least, most = min(record.allocation), max(record.allocation)
        even = most - least < 0.005  # half a percent, which the label rounds away
        notes.append(f"blocks at {100 * least:.0f}{'' if even else f' to {100 * most:.0f}'} %")
    else:
        notes.append(record.state)
    if recipe.group is not None and recipe.group != recipe.methods["score"].default_group:  # type: ignore[attr-defined]
        notes.append(f"group: {GROUPS[recipe.group].title.lower()}")
    st.caption(" · ".join(notes))
    shown = record.key == session.run_key()
    st.button(
        "Shown below" if shown else "Show",
        key=f"trial.{record.key}",
        disabled=shown,
        on_click=session.watch,
        args=(str(record.key),),
    )

"""The runs of this tab that differ in nothing but how the sparsity is shared out, side by side: the manual
one against the automatic ones.

Kept are the keys of the runs that the tab has shown, in their order; all else is read from the runs. The
comparison group is not compared, for an allocation may bring its own; where it is another one, the card says
so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.errors import PrunescopeError
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.pattern_choices import GROUPS
from engine.record import RunRecord
from pages.widgets.explore import session
from pages.widgets.explore.controls import put
from pages.widgets.explore.fields import Fields, fields_of, relevant
from pages.widgets.explore.recipe_form import RATIOS

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

MOST = 8
"""Cards at most; the oldest go."""


def draw_trials(engine: BackgroundEngine, fields: Fields) -> None:
    """A card for each way that was tried, the best one marked, and the way back to ratios of one's own."""
    records = [
        record
        for key in _remembered()
        if (record := record_of(engine, key)) is not None and _is_sibling(record, fields)
    ][-MOST:]
    own = _own(fields)
    if not records or (len(records) == 1 and own is None):
        return
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**The same pruner and sparsity, shared out in different ways**", width="content")
            if own is not None:
                back = {"allocation": "manual", RATIOS: own}
                st.button(
                    "Back to your own ratios",
                    key="back",
                    icon=":material/equalizer:",
                    on_click=put,
                    args=(back,),
                )
        grid = st.grid(min_column_width=170, border=True, gap="small")
        measured = [record.pruned.perplexity for record in records if record.pruned]
        best = min(measured) if len(measured) > 1 else None
        for record in records:
            with grid.cell():
                _draw_card(record, best)


def record_of(engine: BackgroundEngine, key: str | None) -> RunRecord | None:
    """A run's record as it is now, None where there is no such run."""
    try:
        return engine.view(key).record if key else None
    except PrunescopeError:
        return None


def _own(fields: Fields) -> Sequence[float] | None:
    """The last ratios that a person chose, where the form says something else now: another run's form has
    none, so they are kept beside it.
    """
    if isinstance(fields[RATIOS], (list, tuple)) and fields[RATIOS]:
        st.session_state["own"] = fields[RATIOS]
    return None if fields["allocation"] == "manual" else st.session_state.get("own")


def _draw_card(record: RunRecord, best: float | None) -> None:
    found = record.pruned.perplexity if record.pruned else None
    name = _name(record)
    words = (
        f"Perplexity of the pruned model: {record.protocol.perplexity}."
        if record.protocol.evaluation
        else "Not measured yet."
    )
    st.metric(name, numbers.perplexity(found), help=words)
    st.caption(
        " · ".join(
            filter(
                None,
                (
                    "lowest perplexity" if best is not None and found == best else "",
                    _spread(record),
                    _group(record),
                ),
            )
        )
    )
    shown = record.key == session.run_key()
    st.button(
        "Shown below" if shown else "Show",
        key=f"trial.{record.key}",
        disabled=shown,
        on_click=session.watch,
        args=(str(record.key),),
    )


def _name(record: RunRecord) -> str:
    return record.recipe.methods["allocation"].title if record.recipe else ""


def _spread(record: RunRecord) -> str:
    """`blocks 40–60 %`."""
    if not record.allocation:
        return record.state
    least, most = min(record.allocation), max(record.allocation)
    return (
        f"blocks at {100 * least:.0f} %"
        if most - least < 0.005
        else f"blocks at {100 * least:.0f} to {100 * most:.0f} %"
    )


def _group(record: RunRecord) -> str:
    """The group that competes, where it is not the score's own."""
    recipe = record.recipe
    if recipe is None or recipe.group is None or recipe.methods["score"].default_group == recipe.group:  # type: ignore[attr-defined]
        return ""
    return f"within {GROUPS[recipe.group].title.lower()}"


def _is_sibling(record: RunRecord, fields: Fields) -> bool:
    """Whether a run is what the form says, but for the allocation."""
    if record.recipe is None:
        return False
    its = fields_of(record.recipe)
    same = [
        name
        for name in relevant(fields)
        if name not in ("allocation", "group") and name.partition(".")[0] not in ALLOCATIONS
    ]
    return all(its[name] == fields[name] for name in same)


def _remembered() -> list[str]:
    """The keys of the runs that this tab has shown, this one among them."""
    keys: list[str] = st.session_state.setdefault("trials", [])
    key = session.run_key()
    if key and key not in keys:
        keys.append(key)
    return keys

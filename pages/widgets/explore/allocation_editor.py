"""The editor of a manual allocation: a bar per block, shapes to start from, and buttons to run it or the same
recipe with an automatic allocation.

It is drawn in the main area because one bar per block does not fit in the sidebar. Its only state is the
field `manual.ratios`, which is also in the address and, as text, in the form. The bars are a custom component
(`handles.js`): Streamlit has no vertical slider, and it would run the page at every movement. Here the mean
sparsity follows the pointer, and the page runs once per drag.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine.models.shape import ModelSummary
from engine.numbers import percent
from engine.pruning.allocations.manual import TOLERANCE, ends_spared, flat, ramp
from engine.pruning.axes import ALLOCATIONS
from engine.pruning.shares import rescaled, weighted_mean
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.explore.controls import set_fields
from pages.widgets.explore.fields import RATIOS, Checked, Fields, check, is_unstructured

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.record import RunRecord

HERE = Path(__file__).parent
HANDLES = st.components.v2.component(
    "handles",
    html='<div class="handles" role="group" aria-label="Sparsity per block"></div>',
    css=(HERE / "handles.css").read_text(encoding="utf-8"),
    js=(HERE / "handles.js").read_text(encoding="utf-8"),
)
HOW = (
    "Drag a bar, or draw across several. On the keyboard, left and right choose a block, up and down change "
    "its sparsity."
)


def draw_editor(engine: BackgroundEngine, checked: Checked, model: ModelSummary | None) -> None:
    """Draw the editor if the recipe has a manual allocation and the model is known."""
    fields = checked.fields
    if model is None or fields["allocation"] != "manual" or not is_unstructured(fields["pattern"]):
        return
    with st.expander("Sparsity per block: manual allocation", expanded=True, icon=":material/equalizer:"):
        other = _automatic_run(engine, model.blocks)
        _draw_shapes(model.sizes, fields["sparsity"], other)
        ratios = _draw_bars(fields, model.sizes, other)
        valid = _draw_fixes(fields, ratios, model.sizes)
        label = "Prune with these ratios" if valid == ratios else "Rescale and prune"
        _draw_prune_buttons(engine, checked, model, label, valid)


def _automatic_run(engine: BackgroundEngine, blocks: int) -> RunRecord | None:
    """Return the last run on display whose allocation is not manual and not uniform."""
    for key in session.shown_keys():
        view = find_view(engine, key)
        record = view.record if view is not None else None
        if record is None or record.recipe is None or record.recipe.allocation == "manual":
            continue
        # else uniform, or not decided yet
        if len(record.allocation) == blocks and len(set(record.allocation)) > 1:
            return record
    return None


def _draw_shapes(sizes: Sequence[int], target: float, other: RunRecord | None) -> None:
    shapes = {
        "Flat": flat(sizes, target),
        "Ramp up": ramp(sizes, target),
        "Ramp down": ramp(sizes, target, falling=True),
        "Protect first and last": ends_spared(sizes, target),
    }
    if other is not None:
        shapes[f"Copy {_allocation_title(other)}"] = rescaled(other.allocation, sizes, target)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Start from", width="content")
        for label, ratios in shapes.items():
            key = f"shape.{label}"
            st.button(label, key=key, on_click=set_fields, args=({RATIOS: _rounded(ratios)},))


def _draw_bars(fields: Fields, sizes: Sequence[int], other: RunRecord | None) -> list[float]:
    """Draw the bars and return their ratios; ratios for another number of blocks are drawn as flat."""
    given, target = fields[RATIOS], fields["sparsity"]
    fits = isinstance(given, (list, tuple)) and len(given) == len(sizes)
    ratios = list(given) if fits else flat(sizes, target)
    ghost = list(other.allocation) if other is not None else None
    # read by `handles.js`
    data = {"ratios": ratios, "sizes": list(sizes), "target": target, "tolerance": TOLERANCE, "ghost": ghost}
    HANDLES(key="handles", data=data, on_ratios_change=_on_drag)
    dotted = f" Dotted: the allocation of {_allocation_title(other)} in its last run." if other else ""
    st.caption(
        f"{HOW} Dashed: the target of {percent(target)} for the whole model, in which a block counts by its "
        f"number of weights.{dotted}"
    )
    return ratios


def _draw_fixes(fields: Fields, ratios: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Offer to change the ratios or the target if they do not agree; return ratios that can run."""
    target, mean = fields["sparsity"], round(weighted_mean(ratios, sizes), 4)
    if abs(mean - target) <= TOLERANCE or fields["manual.rescale"] == "yes":
        return list(ratios)
    scaled = _rounded(rescaled(ratios, sizes, target))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"These ratios remove {percent(mean)}; the target is {percent(target)}.", width="content")
        st.button(
            f"Rescale to {percent(target)}",
            key="rescale",
            icon=":material/height:",
            on_click=set_fields,
            args=({RATIOS: scaled},),
        )
        st.button(
            f"Change the target to {percent(mean)}",
            key="ask",
            icon=":material/flag:",
            on_click=set_fields,
            args=({"sparsity": mean},),
        )
    return scaled


def _draw_prune_buttons(
    engine: BackgroundEngine, checked: Checked, model: ModelSummary, label: str, ratios: list[float]
) -> None:
    """Draw a button that runs the ratios, and one for each automatic allocation."""
    manual = {RATIOS: ratios}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            label,
            key="prune.manual",
            type="primary",
            disabled=check(checked.fields | manual, model).recipe is None,
            on_click=_prune_with,
            args=(engine, manual),
        )
        st.markdown("or the same recipe with", width="content")
        names = set(ALLOCATIONS) - {"manual"}
        # the uniform allocation first
        for name in sorted(names, key=lambda name: (not ALLOCATIONS[name].even, name)):
            method, fields = ALLOCATIONS[name], {"allocation": name}
            faults = check(checked.fields | fields, model).faults
            refusal = " ".join(message for messages in faults.values() for message in messages)
            st.button(
                method.title,
                key=f"prune.{name}",
                disabled=bool(refusal),
                help=refusal or method.explanation,
                on_click=_prune_with,
                args=(engine, fields),
            )


def _on_drag() -> None:
    set_fields({RATIOS: _rounded(st.session_state["handles"]["ratios"])})


def _prune_with(engine: BackgroundEngine, fields: Fields) -> None:
    set_fields(fields)
    session.prune(engine)  # reads the widgets, so they are set first


def _allocation_title(record: RunRecord) -> str:
    return "" if record.recipe is None else record.recipe.methods["allocation"].title


def _rounded(ratios: Sequence[float]) -> list[float]:
    """Round to four decimals: readable, and the mean stays within a tenth of the tolerance."""
    return [round(ratio, 4) for ratio in ratios]

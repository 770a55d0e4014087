"""The editor of a manual allocation: a handle for each block, shapes to begin with, and one click to run it
or an automatic one in its place.

It stands in the main area, for a bar a block does not fit beside a sentence. The ratios are the field
`manual.ratios` and nothing else, so they are in the address, and in the form as numbers to type. The handles
are a component of ours (`handles.js`), for Streamlit has no upright slider and runs the page at each touch of
its own: here the overall sparsity moves with the pointer, and the page runs once a drag.
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
from pages.widgets.explore import session
from pages.widgets.explore.allocation_trials import record_of
from pages.widgets.explore.controls import put
from pages.widgets.explore.fields import Checked, Fields, check, is_unstructured
from pages.widgets.explore.recipe_form import RATIOS

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.record import RunRecord

HERE = Path(__file__).parent
HANDLES = st.components.v2.component(
    "handles",
    html='<div class="handles" role="group" aria-label="Sparsity of each block: up and down to change it, left and right for another block"></div>',
    css=(HERE / "handles.css").read_text(encoding="utf-8"),
    js=(HERE / "handles.js").read_text(encoding="utf-8"),
)
HOW = "Drag a bar, or draw across several. With the keyboard: left and right choose a block, up and down change it."


def draw_editor(engine: BackgroundEngine, checked: Checked, summary: ModelSummary | None) -> None:
    """The editor, where the recipe has an allocation of one's own and the model's blocks are known."""
    fields = checked.fields
    if summary is None or fields["allocation"] != "manual" or not is_unstructured(fields["pattern"]):
        return
    with st.expander(
        "How much each block loses: your own choice", expanded=True, icon=":material/equalizer:"
    ):
        other = _automatic(engine, summary.blocks)
        _draw_shapes(summary.sizes, fields["sparsity"], other)
        ratios = _draw_handles(fields, summary.sizes, other)
        scaled = _draw_mending(fields, ratios, summary.sizes)
        _draw_runs(
            engine, checked, summary, "Prune with these" if scaled == ratios else "Rescale and prune", scaled
        )


def _draw_shapes(sizes: Sequence[int], target: float, other: RunRecord | None) -> None:
    """Something to begin with."""
    shapes = {
        "Flat": flat(sizes, target),
        "Ramp up": ramp(sizes, target),
        "Ramp down": ramp(sizes, target, falling=True),
        "Protect first and last": ends_spared(sizes, target),
    }
    if other is not None:
        shapes[f"As {_title(other)} did"] = rescaled(other.allocation, sizes, target)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Begin with", width="content")
        for label, ratios in shapes.items():
            st.button(label, key=f"shape.{label}", on_click=put, args=({RATIOS: _rounded(ratios)},))


def _draw_handles(fields: Fields, sizes: Sequence[int], other: RunRecord | None) -> list[float]:
    """The bars; the ratios that they show."""
    given, target = fields[RATIOS], fields["sparsity"]
    fits = isinstance(given, (list, tuple)) and len(given) == len(sizes)
    ratios = list(given) if fits else flat(sizes, target)
    ghost = list(other.allocation) if other is not None else None
    data = {"ratios": ratios, "sizes": list(sizes), "target": target, "tolerance": TOLERANCE, "ghost": ghost}
    HANDLES(key="handles", data=data, on_ratios_change=_take)
    dotted = "" if other is None else f" Dotted: what {_title(other)} gave each block in the run below."
    st.caption(
        f"{HOW} Dashed: the {percent(target)} that is asked of all blocks together; a block counts by its weights.{dotted}"
    )
    return ratios


def _draw_mending(fields: Fields, ratios: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Two ways out where the ratios and the sparsity asked do not agree: the ratios give way, or the sparsity
    does. The ratios that can be run.
    """
    target, mean = fields["sparsity"], round(weighted_mean(ratios, sizes), 4)
    if abs(mean - target) <= TOLERANCE or fields["manual.rescale"] == "yes":
        return list(ratios)
    scaled = _rounded(rescaled(ratios, sizes, target))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"These remove {percent(mean)}, and {percent(target)} is asked:", width="content")
        st.button(
            f"Rescale to {percent(target)}",
            key="rescale",
            icon=":material/height:",
            on_click=put,
            args=({RATIOS: scaled},),
        )
        st.button(
            f"Ask for {percent(mean)}",
            key="ask",
            icon=":material/flag:",
            on_click=put,
            args=({"sparsity": mean},),
        )
    return scaled


def _draw_runs(
    engine: BackgroundEngine, checked: Checked, summary: ModelSummary, label: str, ratios: list[float]
) -> None:
    """One click to run it, and one each for the same recipe with an automatic allocation."""
    own = {RATIOS: ratios}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        ready = check(checked.fields | own, summary).recipe is not None
        st.button(
            label,
            key="prune.manual",
            type="primary",
            disabled=not ready,
            on_click=_prune_with,
            args=(engine, own),
        )
        st.markdown("or the same with", width="content")
        for name in sorted(
            set(ALLOCATIONS) - {"manual"}, key=lambda name: (not ALLOCATIONS[name].even, name)
        ):
            method, choice = ALLOCATIONS[name], {"allocation": name}
            faults = check(checked.fields | choice, summary).faults
            why = " ".join(sentence for sentences in faults.values() for sentence in sentences)
            help = why or method.explanation
            st.button(
                method.title,
                key=f"prune.{name}",
                disabled=bool(why),
                help=help,
                on_click=_prune_with,
                args=(engine, choice),
            )


def _take() -> None:
    """What a drag or the keys left."""
    put({RATIOS: _rounded(st.session_state["handles"]["ratios"])})


def _prune_with(engine: BackgroundEngine, fields: Fields) -> None:
    put(fields)
    session.prune(engine)


def _automatic(engine: BackgroundEngine, blocks: int) -> RunRecord | None:
    """The run that is shown, where something else than a person gave its blocks different ratios."""
    record = record_of(engine, session.run_key())
    if (
        record is None
        or record.recipe is None
        or record.recipe.allocation == "manual"
        or len(record.allocation) != blocks
    ):
        return None
    return record if len(set(record.allocation)) > 1 else None


def _title(record: RunRecord) -> str:
    return "" if record.recipe is None else record.recipe.methods["allocation"].title


def _rounded(ratios: Sequence[float]) -> list[float]:
    """Four decimals are what a person can read, and keep the mean within a tenth of the tolerance."""
    return [round(ratio, 4) for ratio in ratios]

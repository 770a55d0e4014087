"""The strip beneath the sparsity slider: the sparsities at which runs of the form's recipe exist. A click on
one goes there; the slider itself never snaps.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from pages.widgets.explore.controls import set_fields

if TYPE_CHECKING:
    from engine.store.series import Series

HERE = Path(__file__).parent
HIGHEST = 99.0
"""End of the slider, in percent."""
MOST = 5
"""Sparsities that are listed one by one."""
MARKS = st.components.v2.component(
    "sparsity_marks",
    html='<div class="marks" role="group" aria-label="Computed sparsities"></div>',
    css=(HERE / "sparsity_marks.css").read_text(encoding="utf-8"),
    js=(HERE / "sparsity_marks.js").read_text(encoding="utf-8"),
)


def draw_marks(series: Series | None) -> None:
    """Draw the strip and a line that says the same in words; nothing if there are no such runs."""
    if series is None or not series.runs:
        return
    data = {
        "values": [_percent(share) for share in series.sparsities],
        "current": _percent(series.recipe.sparsity),
        "highest": HIGHEST,
    }
    MARKS(key="marks", data=data, on_to_change=_go)
    st.caption(hint(series))


def hint(series: Series) -> str:
    """Return which sparsities are computed, and between two of them, which is nearest."""
    words = f"Computed: {_listed([_percent(share) for share in series.sparsities])}."
    nearest = series.nearest
    if series.exact is None and nearest is not None and nearest.recipe is not None:
        words += f" Nearest: {numbers.short_percent(nearest.recipe.sparsity)}."
    return words.replace("%", " %")


def _listed(values: list[float]) -> str:
    """Return `10, 20 … 90%` for equal steps, else all or the first and the last values."""
    texts = [f"{value:g}" for value in values]
    steps = {round(after - before, 6) for before, after in pairwise(values)}
    if len(values) > MOST and len(steps) == 1:
        return f"{texts[0]}, {texts[1]} … {texts[-1]}%"
    if len(values) > MOST:
        return f"{len(values)} values from {texts[0]} to {texts[-1]}%"
    return f"{numbers.listed(texts, MOST)}%"


def _percent(share: float) -> float:
    return round(100 * share, 6)


def _go() -> None:
    chosen = st.session_state["marks"]["to"]
    if chosen is not None:
        set_fields({"sparsity": chosen / 100})

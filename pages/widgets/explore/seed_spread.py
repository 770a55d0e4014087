"""The same run with other calibration windows, on request: how much of its perplexity is luck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.comparison.seeds import Spread, over_seeds, spreads
from engine.errors import PrunescopeError
from engine.record import RunRecord
from pages.widgets.explore.allocation_trials import record_of
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

SEEDS, POLL = 5, 1.0


def draw_spread(engine: BackgroundEngine, record: RunRecord) -> None:
    """A button that starts the other seeds, then their perplexities as they come. Only for finished runs that
    measured something.
    """
    if record.recipe is None or not record.evaluations:
        return
    keys: list[str] = [recipe.key for recipe in over_seeds(record.recipe, SEEDS)]
    started = [key for key in keys if record_of(engine, key) is not None]
    if len(started) < SEEDS:
        words = f"The same recipe with seeds {record.recipe.seed + 1} to {record.recipe.seed + SEEDS - 1}: {SEEDS - len(started)} more runs"
        about = f"{words}, about {numbers.seconds((SEEDS - len(started)) * record.elapsed)}."
        st.button(
            f"Spread over {SEEDS} seeds",
            key="spread",
            icon=":material/casino:",
            help=about,
            on_click=_start,
            args=(engine, record),
        )
        return
    pending = any(_is_active(engine, key) for key in keys)
    st.fragment(_draw, run_every=POLL if pending else None)(engine, keys, pending)


def _start(engine: BackgroundEngine, record: RunRecord) -> None:
    assert record.recipe is not None, "drawn for runs with a recipe"
    try:
        for recipe in over_seeds(record.recipe, SEEDS)[1:]:
            engine.submit(recipe)
    except PrunescopeError as error:
        st.session_state["complaints"] = [str(error)]


def _is_active(engine: BackgroundEngine, key: str) -> bool:
    try:
        return engine.view(key).active
    except PrunescopeError:
        return False


def _draw(engine: BackgroundEngine, keys: list[str], was_pending: bool) -> None:
    records = [found for key in keys if (found := record_of(engine, key)) is not None]
    done = [found for found in records if found.state == "finished"]
    with st.container(border=True):
        st.markdown(f"**Spread over seeds** · {len(done)} of {len(keys)} runs finished")
        for corpus, spread in spreads(records).items():
            st.markdown(_sentence(corpus, spread))
        with st.expander("Seed by seed"):
            st.table(_table(records), hide_index=True, border="horizontal")
    if was_pending and not any(_is_active(engine, key) for key in keys):
        redraw_page("seeds")


def _sentence(corpus: str, spread: Spread) -> str:
    deviation = f" ± {numbers.perplexity(spread.deviation)}" if spread.deviation is not None else ""
    least, most = numbers.perplexity(min(spread.values)), numbers.perplexity(max(spread.values))
    count = len(spread.values)
    found = f"**{numbers.perplexity(spread.mean)}{deviation}**"
    return f"{Path(corpus).name}: pruned perplexity {found} (mean and standard deviation of {count}; {least} to {most})"


def _table(records: list[RunRecord]) -> pd.DataFrame:
    rows = []
    for record in records:
        scores = {item.corpus: numbers.perplexity(item.pruned.perplexity) for item in record.evaluations}
        rows.append(
            {"seed": str(record.recipe.seed if record.recipe else ""), "state": record.state, **scores}
        )
    return pd.DataFrame(rows).fillna(numbers.UNKNOWN)

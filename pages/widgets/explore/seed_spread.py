"""The same run with other calibration windows, on request: how much its perplexity varies with the seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.comparison.seeds import over_seeds, spreads
from engine.errors import PrunescopeError
from engine.jobs.views import RunView
from engine.record import RunRecord
from pages.widgets.engine_handle import find_view
from pages.widgets.explore import session
from pages.widgets.literal import literal
from pages.widgets.live import live

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.recipe import Recipe

SEEDS = 5
POLL = 1.0  # seconds


def draw_spread(engine: BackgroundEngine, record: RunRecord) -> None:
    """Draw a button that starts the other seeds, then their perplexities as they finish.

    Nothing is drawn for a run without an evaluation.
    """
    if record.recipe is None or not record.evaluations:
        return
    recipes = over_seeds(record.recipe, SEEDS)
    keys: list[str] = [recipe.key for recipe in recipes]
    # failed runs are not missing: the table lists them with their state
    missing = sum(find_view(engine, key) is None for key in keys)
    if missing:
        seeds = f"seeds {record.recipe.seed + 1} to {record.recipe.seed + SEEDS - 1}"
        took = numbers.seconds(missing * record.elapsed)
        st.button(
            f"Spread over {SEEDS} seeds",
            key="spread",
            icon=":material/casino:",
            help=f"Runs the same recipe with {seeds}: {missing} more runs, about {took}.",
            on_click=_start,
            # The first is the run itself, unless that was computed elsewhere.
            args=(engine, recipes if record.imported else recipes[1:]),
        )
        return
    live(
        "seeds",
        lambda: [view for key in keys if (view := find_view(engine, key)) is not None],
        _draw_spreads,
        left=lambda views: any(view.active for view in views),
        every=POLL,
    )


def _start(engine: BackgroundEngine, recipes: list[Recipe]) -> None:
    try:
        for recipe in recipes:
            engine.submit(recipe)
    except PrunescopeError as error:
        session.complain(error)


def _draw_spreads(views: list[RunView]) -> None:
    records = [view.record for view in views]
    finished = sum(record.state == "finished" for record in records)
    with st.container(border=True):
        st.markdown(f"**Spread over seeds** · {finished} of {SEEDS} runs finished")
        for corpus, spread in spreads(records).items():
            mean, count = numbers.perplexity(spread.mean), len(spread.values)
            deviation = f" ± {numbers.perplexity(spread.deviation)}" if spread.deviation is not None else ""
            least, most = (numbers.perplexity(value) for value in (min(spread.values), max(spread.values)))
            st.markdown(
                f"{literal(Path(corpus).name)}: pruned perplexity **{mean}{deviation}** (mean and standard "
                f"deviation of {count} runs, from {least} to {most})"
            )
        with st.expander("Per seed"):
            st.table(_table(records), hide_index=True, border="horizontal")


def _table(records: list[RunRecord]) -> pd.DataFrame:
    rows = []
    for record in records:
        seed = str(record.recipe.seed if record.recipe else "")
        # A table's header is Markdown.
        scores = {
            literal(item.corpus): numbers.perplexity(item.pruned.perplexity) for item in record.evaluations
        }
        rows.append({"seed": seed, "state": record.state, **scores})
    return pd.DataFrame(rows).fillna(numbers.UNKNOWN)

"""The same run with other calibration windows, or with the same ones in another order, on request: how much
its perplexity varies with the seed, and how much with rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.comparison.seeds import over_orders, over_seeds, spreads
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
ORDERS = 3
POLL = 1.0  # seconds


@dataclass(frozen=True)
class Repetition:
    """A way to repeat a run.

    Attributes:
        field: the recipe's field that differs.
        recipes: returns the recipe and the others.
        button, help, title: words on the page.
    """

    field: str
    recipes: Callable[[Recipe], list[Recipe]]
    icon: str
    button: str
    help: str
    title: str


REPETITIONS = (
    Repetition(
        "seed",
        lambda recipe: over_seeds(recipe, SEEDS),
        ":material/casino:",
        f"Spread over {SEEDS} seeds",
        "Runs the same recipe with other calibration windows",
        "Spread over seeds",
    ),
    Repetition(
        "order",
        lambda recipe: over_orders(recipe, ORDERS),
        ":material/swap_vert:",
        "Repeat with another order",
        f"Runs the same recipe with the same calibration windows in {ORDERS} orders, which changes only how "
        "sums round. Smaller differences between pruners mean nothing",
        "Spread over orders (rounding)",
    ),
)


def draw_spread(engine: BackgroundEngine, record: RunRecord) -> None:
    """Draw a button that starts the other runs, then their perplexities as they finish, for each repetition.

    Nothing is drawn for a run without an evaluation.
    """
    if record.recipe is None or not record.evaluations:
        return
    for repetition in REPETITIONS:
        _draw(engine, record, record.recipe, repetition)


def _draw(engine: BackgroundEngine, record: RunRecord, recipe: Recipe, repetition: Repetition) -> None:
    recipes = repetition.recipes(recipe)
    keys: list[str] = [one.key for one in recipes]
    # failed runs are not missing: the table lists them with their state
    missing = sum(find_view(engine, key) is None for key in keys)
    if missing:
        values = ", ".join(str(getattr(one, repetition.field)) for one in recipes[1:])
        took = numbers.seconds(missing * record.elapsed)
        st.button(
            repetition.button,
            key="spread" if repetition.field == "seed" else f"spread.{repetition.field}",
            icon=repetition.icon,
            help=f"{repetition.help} ({repetition.field} {values}): {missing} more runs, about {took}.",
            on_click=_start,
            # The first is the run itself, unless that was computed elsewhere.
            args=(engine, recipes if record.imported else recipes[1:]),
        )
        return
    live(
        f"{repetition.field}s",
        lambda: [view for key in keys if (view := find_view(engine, key)) is not None],
        lambda views: _draw_spreads(views, repetition, len(keys)),
        left=lambda views: any(view.active for view in views),
        every=POLL,
    )


def _start(engine: BackgroundEngine, recipes: list[Recipe]) -> None:
    try:
        for recipe in recipes:
            engine.submit(recipe)
    except PrunescopeError as error:
        session.complain(error)


def _draw_spreads(views: list[RunView], repetition: Repetition, count: int) -> None:
    records = [view.record for view in views]
    finished = sum(record.state == "finished" for record in records)
    with st.container(border=True):
        st.markdown(f"**{repetition.title}** · {finished} of {count} runs finished")
        for corpus, spread in spreads(records).items():
            mean, found = numbers.perplexity(spread.mean), len(spread.values)
            deviation = f" ± {numbers.perplexity(spread.deviation)}" if spread.deviation is not None else ""
            least, most = (numbers.perplexity(value) for value in (min(spread.values), max(spread.values)))
            st.markdown(
                f"{literal(Path(corpus).name)}: pruned perplexity **{mean}{deviation}** (mean and standard "
                f"deviation of {found} runs, from {least} to {most})"
            )
        with st.expander(f"Per {repetition.field}"):
            st.table(_table(records, repetition.field), hide_index=True, border="horizontal")


def _table(records: list[RunRecord], field: str) -> pd.DataFrame:
    rows = []
    for record in records:
        value = str(getattr(record.recipe, field) if record.recipe else "")
        # A table's header is Markdown.
        scores = {
            literal(item.corpus): numbers.perplexity(item.pruned.perplexity) for item in record.evaluations
        }
        rows.append({field: value, "state": record.state, **scores})
    return pd.DataFrame(rows).fillna(numbers.UNKNOWN)

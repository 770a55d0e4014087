"""Which model is pruned: the bundled one, those on this machine, the catalogue, or any hub id or directory
that is typed.

Beneath it stands what the chosen one is, for one of the catalogue. What the hub's cache holds is looked up at
most every `KNOWN_FOR` seconds, and never over the network. Tokens have no place here: a gated model is read
with the hub's own login.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.hub.cache import cached_models
from engine.hub.catalogue import Entry, catalogue
from engine.models.identity import DEMO
from pages.widgets.explore.controls import choice, put
from pages.widgets.explore.fields import Checked

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

KNOWN_FOR = 15.0
TABLE = "catalogue"
WIDTH, WHY = 760, 500  # pixels; the table scrolls


def draw_model_picker(checked: Checked, engine: BackgroundEngine) -> None:
    """The choice of the model, what is known of it at once, and the catalogue as a table to pick from."""
    here, entries = _here(), {entry.id: entry for entry in catalogue()}
    choice(
        "Prune",
        "model",
        [DEMO, *here, *(name for name in entries if name not in here)],
        checked,
        format_func=lambda name: _title(name, here, entries),
        accept_new_options=True,
        help=MODEL_HELP,
        placeholder="A directory or hub id",
    )
    chosen = entries.get(checked.fields["model"])
    if chosen is not None:
        _draw_entry(chosen, here, hint="model" not in checked.faults)
    _draw_catalogue(here, entries)


@st.cache_data(ttl=KNOWN_FOR, show_spinner=False)
def _here() -> dict[str, int]:
    """Bytes of the models that are complete in the hub's cache, by id."""
    return {model.id: model.bytes for model in cached_models() if model.complete}


def _title(name: str, here: Mapping[str, int], entries: Mapping[str, Entry]) -> str:
    if name == DEMO:
        return "the demo model (bundled)"
    title = entries[name].title if name in entries else name
    if name in here:
        return f"{title} · on this machine"
    return (
        f"{title} · {numbers.size(entries[name].bytes)}{' · gated' if entries[name].gated else ''}"
        if name in entries
        else title
    )


def _draw_entry(entry: Entry, here: Mapping[str, int], *, hint: bool) -> None:
    """Why one would take it; `hint`: how to get at a gated one, unless a fault says so already."""
    st.caption(f"{entry.why} Licence [{entry.licence}]({_page(entry)}).")
    if hint and entry.gated and entry.id not in here:
        st.caption(f":material/lock: {GATED.format(page=_page(entry))}")


def _draw_catalogue(here: Mapping[str, int], entries: Mapping[str, Entry]) -> None:
    """The catalogue behind a button; a click on a row picks that model."""
    if not entries:
        return
    with st.popover("Models worth starting with", icon=":material/list:", type="tertiary"):
        st.caption(CATALOGUE_HELP)
        st.dataframe(
            pd.DataFrame(map(_row, entries.values(), [entry.id in here for entry in entries.values()])),
            hide_index=True,
            key=TABLE,
            on_select=_picked,
            selection_mode="single-row",
            width=WIDTH,
            column_config={"What for": st.column_config.TextColumn(width=WHY)},
        )


def _row(entry: Entry, is_here: bool) -> dict[str, object]:
    return {
        "Model": entry.title,
        "Weights": numbers.count(entry.parameters),
        "Blocks": entry.blocks,
        "Size": "here" if is_here else numbers.size(entry.bytes),
        "Licence": _licence(entry),
        "What for": entry.why,
    }


def _picked() -> None:
    rows = st.session_state[TABLE]["selection"]["rows"]
    if rows:
        put({"model": catalogue()[rows[0]].id})


def _licence(entry: Entry) -> str:
    return f"{entry.licence}, gated" if entry.gated else entry.licence


def _page(entry: Entry) -> str:
    return f"https://huggingface.co/{entry.id}"


CATALOGUE_HELP = (
    "Pick a row; what the model is for stands beneath it then. "
    "Any other causal language model of the hub works too: type its id, or a directory, above."
)
MODEL_HELP = (
    "The bundled model runs at once and offline, and so do those on this machine (in the hub's cache). "
    "Type a hub id (for instance `bigscience/bloom-560m`) or a directory for any other causal language model with safetensors."
)
GATED = "Gated: accept its terms on [its page]({page}), then log in with `hf auth login` where the app runs, or set `HF_TOKEN` before it starts."

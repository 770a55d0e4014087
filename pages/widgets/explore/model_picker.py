"""The choice of the model: the bundled one, those on this machine, the catalogue, or any hub id, directory
or GGUF file that the user types.

Below it is a description of a model from the catalogue. The hub's cache is listed at most every `KNOWN_FOR`
seconds and never over the network. Access tokens are not entered here: a gated model is downloaded with the
login of the `hf` command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from engine import numbers
from engine.analysis.calibration_text import OF_REAL_MODEL
from engine.hub.cache import cached_models
from engine.hub.catalogue import Entry, catalogue
from engine.models.identity import DEMO
from engine.models.known_files import KNOWN_FILES, KnownFile
from engine.store.summary import RunSummary
from pages.widgets.explore import session
from pages.widgets.explore.controls import select, set_fields
from pages.widgets.explore.fields import Checked
from pages.widgets.known_model import draw_how_to_get
from pages.widgets.run_picker import finished_runs, labels, words

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

KNOWN_FOR = 15.0
TABLE = "catalogue"
OPENED = "catalogue.opened"
KNOWN_RUN = "known.run"
WIDTH, WHY = 760, 500  # pixels; the table scrolls


def draw_model_picker(checked: Checked, engine: BackgroundEngine) -> None:
    """Draw the choice of the model, its description, and the catalogue as a table to pick from."""
    # Visitors do not see which models are on this machine.
    here = {} if engine.public else _cached_bytes()
    entries = {entry.id: entry for entry in catalogue()}
    listed = [DEMO, *KNOWN_FILES, *here, *(name for name in entries if name not in here)]
    # A visitor cannot choose a file on this machine: for them it is a model that is not offered.
    file = KNOWN_FILES.get(checked.fields["model"]) if engine.public is None else None
    if file is not None and "model" in checked.faults:  # it is not here, which `_draw_known` explains
        checked = replace(checked, faults=checked.faults | {"model": []})
    select(
        "Model",
        "model",
        listed if engine.public is None else list(engine.public.policy.models),
        checked,
        format_func=lambda name: _title(name, here, entries),
        accept_new_options=engine.public is None,
        help=MODEL_HELP if engine.public is None else None,
        placeholder="Hub id, directory or GGUF file",
    )
    chosen = entries.get(checked.fields["model"])
    if file is not None:
        _draw_known(engine, file)
    if chosen is not None:
        _draw_entry(chosen, here, hint="model" not in checked.faults)
    if engine.public is None:
        _draw_catalogue(here, entries)


# Listing the cache reads many directories, and the form is drawn at every click; all tabs share the list.
@st.cache_data(ttl=KNOWN_FOR, show_spinner=False)
def _cached_bytes() -> dict[str, int]:
    """Return the size in bytes of each model that is complete in the hub's cache, by id."""
    return {model.id: model.bytes for model in cached_models() if model.complete}


def _title(name: str, here: Mapping[str, int], entries: Mapping[str, Entry]) -> str:
    if name == DEMO:
        return "Demo model (bundled)"
    if name in KNOWN_FILES:
        return KNOWN_FILES[name].title  # its bundled runs are counted below: this is all that fits
    title = entries[name].title if name in entries else name
    if name in here:
        return f"{title} · on this machine"
    return (
        f"{title} · {numbers.size(entries[name].bytes)}{' · gated' if entries[name].gated else ''}"
        if name in entries
        else title
    )


def _draw_known(engine: BackgroundEngine, file: KnownFile) -> None:
    """Draw the bundled runs of a model whose file may not be here, and how to get it."""
    runs = [run for run in finished_runs(engine.runs()) if run.recipe and run.recipe.model == file.name]
    st.caption(
        f":material/inventory_2: {len(runs)} run{' of it is' if len(runs) == 1 else 's of it are'} bundled, "
        f"without weights. To prune it yourself, get its file. {OF_REAL_MODEL}"
    )
    draw_how_to_get(file, "picker")
    if runs:
        st.selectbox(
            "Open a bundled run",
            [run.key for run in runs],
            None,
            format_func=labels(runs, _without_model).__getitem__,
            key=KNOWN_RUN,
            placeholder="Choose a run",
            on_change=_open_known,
        )


def _without_model(run: RunSummary) -> str:
    return words(run).replace(f" on {run.recipe.model_name}" if run.recipe else "", "")


def _open_known() -> None:
    if key := st.session_state[KNOWN_RUN]:
        session.watch(key)


def _draw_entry(entry: Entry, here: Mapping[str, int], *, hint: bool) -> None:
    """Say what the model is for, and with `hint` how to get access to a gated one."""
    st.caption(f"{entry.why} Licence [{entry.licence}]({_page(entry)}).")
    if hint and entry.gated and entry.id not in here:
        st.caption(f":material/lock: {GATED.format(page=_page(entry))}")


def _draw_catalogue(here: Mapping[str, int], entries: Mapping[str, Entry]) -> None:
    """Draw the catalogue in a popover, made while it is open; a click on a row picks that model."""
    if not entries:
        return
    with st.popover(
        "Recommended models", icon=":material/list:", type="tertiary", key=OPENED, on_change="rerun"
    ) as popover:
        if not popover.open:
            return
        st.caption(CATALOGUE_HELP)
        st.dataframe(
            pd.DataFrame(map(_row, entries.values(), [entry.id in here for entry in entries.values()])),
            hide_index=True,
            key=TABLE,
            on_select=_pick,
            selection_mode="single-row",
            width=WIDTH,
            column_config={"Use": st.column_config.TextColumn(width=WHY)},
        )


def _row(entry: Entry, is_here: bool) -> dict[str, object]:
    return {
        "Model": entry.title,
        "Weights": numbers.count(entry.parameters),
        "Blocks": entry.blocks,
        "Size": "on this machine" if is_here else numbers.size(entry.bytes),
        "Licence": f"{entry.licence}, gated" if entry.gated else entry.licence,
        "Use": entry.why,
    }


def _pick() -> None:
    rows = st.session_state[TABLE]["selection"]["rows"]
    if rows:
        # allowed: an `on_select` callback runs before the page
        set_fields({"model": catalogue()[rows[0]].id})


def _page(entry: Entry) -> str:
    return f"https://huggingface.co/{entry.id}"


CATALOGUE_HELP = (
    "Pick a row. Any other causal language model on the hub works too: type its id, or a path, above."
)
MODEL_HELP = (
    "The bundled model, and models in the hub's cache on this machine, run immediately and offline. "
    "For any other causal language model with safetensors, type a hub id (such as `bigscience/bloom-560m`) "
    "a directory, or the path of a GGUF file."
)
GATED = (
    "Gated: accept its terms on [its page]({page}), then log in with `hf auth login` on the app's machine, "
    "or set `HF_TOKEN` before starting the app."
)

"""The cost of the run before it starts: the model, where its files are, the memory and time that the run
takes, and whether they are available.

Everything comes from the model's configuration, which is all that is downloaded for it, and from the memory
that is free now. A run that does not fit is not blocked: the numbers are estimates, and the warning says what
would fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.cost.duration import DOWNLOAD_RATE
from engine.cost.estimate import HELD, NAMES, Cost, estimate
from engine.models.shape import ModelSummary
from pages.widgets.explore.fields import Checked
from pages.widgets.literal import literal
from pages.widgets.live import POLL, live, show_error

if TYPE_CHECKING:
    from engine.jobs.questions import Answer
    from engine.jobs.service import BackgroundEngine

NEARLY = 0.95
"""Share of a download that counts as all of it: the configuration is downloaded by then."""
NBSP = "\u00a0"
PARTS = {
    "weights": "the model's weights in memory",
    "text": "hidden states of the text",
    "block": "one block while it is pruned",
    "logits": "predictions while perplexity is measured",
    "search": "the search for the allocation",
    "loading": "the file while the weights are converted",
}
PLACES = {"bundled": "nothing to download", "directory": "nothing to download", "cache": "on this machine"}
STARTING_POLL = 1.5
"""Seconds between two looks while the engine starts, which takes ten: each takes the browser up to a tenth of
a second of processor time that the start needs.
"""


def draw_cost(engine: BackgroundEngine, checked: Checked, model: Answer[ModelSummary]) -> None:
    """Draw the cost, or why it is not known."""
    if model.pending:
        live(
            "cost",
            lambda: engine.summary(checked.fields["model"], checked.fields["revision"]),
            lambda _: _draw_waiting(engine),
            left=lambda answer: answer.pending,
            every=POLL if engine.status.state == "ready" else STARTING_POLL,
            seen=model,
        )
    elif engine.status.state == "failed":
        show_error(engine.status.message)
    elif model.value is None:
        st.caption(":material/help: The cost of the run is not known without the model.")
    else:
        _draw_estimate(engine, checked, model.value)


def _draw_waiting(engine: BackgroundEngine) -> None:
    starting = engine.status.state != "ready"
    doing = "The engine is starting" if starting else "Reading the model's configuration"
    st.caption(f":material/hourglass_top: {doing}; the cost of the run will appear here.")


def _draw_estimate(engine: BackgroundEngine, checked: Checked, model: ModelSummary) -> None:
    capacity = engine.capacity(checked.fields["device"])
    cost = estimate(checked.recipe, model, capacity.value) if checked.recipe is not None else None
    with st.container(border=True, gap="xsmall"):
        st.caption("  \n".join(_model_lines(model)))
        if cost is None:
            st.caption(":material/error: This recipe cannot run yet: fix the fields marked in red.")
        else:
            if cost.device_bytes is not None:
                _draw_bar("GPU memory", cost.device_bytes, cost.device_free)
            _draw_bar("memory", cost.host_bytes, cost.host_free)
            parts = [
                f"{_size(size)} {PARTS[part]}" for part, size in cost.parts.items() if size and part in PARTS
            ]
            detail = "Peak memory, in addition to the program's own:  \n" + "  \n".join(parts)
            if cost.reused_bytes:
                detail += f"  \nWhile it is free, {_size(cost.reused_bytes)} more speed up the next runs."
            st.caption("  \n".join(_run_lines(cost)), help=detail)
        if capacity.message:
            st.caption(f":material/help: {literal(capacity.message)}")
    if capacity.pending:
        live(
            "capacity",
            lambda: engine.capacity(checked.fields["device"]),
            lambda _: None,  # nothing to draw: it only has the page redrawn when the answer comes
            left=lambda answer: answer.pending,
            seen=capacity,
        )
    if cost is not None and not cost.fits:
        st.warning(literal(f"{cost.problem} {cost.advice}"), icon=":material/warning:")


def _model_lines(model: ModelSummary) -> Iterator[str]:
    """Yield lines on what the model is and where its files are."""
    share = numbers.percent(model.prunable / model.parameters, 0).replace(" ", NBSP)
    yield f"**{numbers.count(model.parameters)} weights**, {model.blocks} blocks, {share} prunable"
    storage = model.storage
    if storage.place != "hub":
        yield f":material/hard_drive: {_size(storage.total)}, {PLACES[storage.place]}"
        if storage.source is not None:
            yield f":material/compress: GGUF: {literal(storage.source.types)}"
    elif storage.missing is None:
        yield f":material/cloud_off: The size of the download is not known. {literal(storage.note)}"
    elif storage.missing:
        partly = storage.total and storage.missing < NEARLY * storage.total
        rest = f" of {_size(storage.total)}; the rest is on this machine" if partly else ""
        yield f":material/download: {_size(storage.missing)} to download{rest}"


def _run_lines(cost: Cost) -> Iterator[str]:
    """Yield lines on how the model is loaded and how long the run takes."""
    slower = ": slower, but needs less memory" if cost.residence == "streamed" else ""
    offload = "; hidden states are kept in the host's memory" if cost.offload else ""
    yield f":material/inventory_2: {HELD[cost.residence].capitalize()}{slower}{offload}"
    download = ""
    if cost.download_bytes:
        download = (
            f", plus {numbers.about(cost.download_seconds)} of download at {_size(int(DOWNLOAD_RATE))}/s"
        )
    device = NAMES.get(cost.device, cost.device)
    if cost.unpack_bytes:
        # once, and then the weights are in the cache
        download = f", plus {numbers.about(cost.unpack_seconds)} once to unpack {_size(cost.unpack_bytes)}"
    line = f":material/schedule: About {numbers.about(cost.seconds)} on {device}{download}"
    yield line.replace(" h ", f"{NBSP}h ")


def _draw_bar(kind: str, needed: int, free: int | None) -> None:
    """Draw memory needed of memory free."""
    words = f":material/memory: {_size(needed)} of {kind}"
    if free is None:
        st.caption(words)
    else:
        st.progress(min(1.0, needed / max(1, free)), text=f":small[:gray[{words}, {_size(free)} free]]")


def _size(count: int | None) -> str:
    """Format a size so that it does not break across lines."""
    return numbers.size(count).replace(" ", NBSP)

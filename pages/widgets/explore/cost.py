"""The plan before the click: what the model is, where its files are, what memory and time the run takes, and
whether that is there.

Everything comes from the model's configuration and from what is free now; nothing is downloaded for it but
that configuration. A run that does not fit is not forbidden: the numbers are estimates, and the warning says
what would fit. The download's rate is assumed, and said with its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import streamlit as st

from engine import numbers
from engine.cost.duration import DOWNLOAD_RATE
from engine.cost.estimate import HELD, NAMES, Cost, estimate
from engine.jobs.questions import Answer
from engine.models.shape import ModelSummary
from pages.widgets.explore.fields import Checked
from pages.widgets.live import redraw_page

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

POLL = 0.5
NEARLY = 0.95
"""Share of a download that counts as all of it: the configuration is there by then."""
NBSP = "\u00a0"
PARTS = {
    "weights": "the weights that are held",
    "text": "hidden states of the text",
    "block": "one block while it is pruned",
    "logits": "predictions while perplexity is measured",
    "search": "the allocation's search",
    "loading": "the file while the weights are converted",
}
PLACES = {"bundled": "nothing to download", "directory": "nothing to download", "cache": "on this machine"}


def draw_cost(engine: BackgroundEngine, checked: Checked, summary: Answer[ModelSummary]) -> Cost | None:
    """The plan, and the cost that it shows; while the model's shape is not known yet, why, looking again
    twice a second.
    """
    if summary.pending:
        st.fragment(_wait, run_every=POLL)(engine, checked)
    elif engine.status.state == "failed":
        st.error(engine.status.message, icon=":material/error:")
    elif summary.value is None:
        st.caption(":material/help: What the run would cost cannot be said without the model.")
    else:
        return _draw_plan(engine, checked, summary.value)
    return None


def _draw_plan(engine: BackgroundEngine, checked: Checked, summary: ModelSummary) -> Cost | None:
    free = engine.capacity(checked.fields["device"])
    cost = estimate(checked.recipe, summary, free.value) if checked.recipe is not None else None
    with st.container(border=True, gap="xsmall"):
        st.caption("  \n".join(_model(summary)))
        if cost is None:
            st.caption(":material/error: This recipe cannot run yet; what to mend is said in red.")
        else:
            _draw_memory(cost)
            st.caption("  \n".join(_run(cost)), help=_detail(cost))
        if free.message:
            st.caption(f":material/help: {free.message}")
    if free.pending:
        st.fragment(_wait_for_capacity, run_every=POLL)(engine, checked)
    if cost is not None and not cost.fits:
        st.warning(f"{cost.problem} {cost.advice}".strip(), icon=":material/warning:")
    return cost


def _model(summary: ModelSummary) -> Iterator[str]:
    """What it is and where it is."""
    share = numbers.percent(summary.prunable / summary.parameters, 0).replace(" ", NBSP)
    yield f"**{numbers.count(summary.parameters)} weights**, {summary.blocks} blocks, {share} prunable"
    storage = summary.storage
    if storage.place != "hub":
        yield f":material/hard_drive: {_size(storage.total)}, {PLACES[storage.place]}"
    elif storage.missing is None:
        yield f":material/cloud_off: How much has to be downloaded is not known. {storage.note}"
    elif storage.missing:
        partly = (
            f" of {_size(storage.total)}; the rest is here"
            if storage.total and storage.missing < NEARLY * storage.total
            else ""
        )
        yield f":material/download: {_size(storage.missing)} to download{partly}"


def _draw_memory(cost: Cost) -> None:
    """A bar each for the accelerator's and the host's memory: needed of free."""
    if cost.device_bytes is not None:
        _bar("on the GPU", cost.device_bytes, cost.device_free)
    _bar("in memory", cost.host_bytes, cost.host_free)


def _bar(where: str, needed: int, free: int | None) -> None:
    words = f":material/memory: {_size(needed)} {where}"
    if free is None:
        st.caption(words)
    else:
        st.progress(min(1.0, needed / max(1, free)), text=f":small[:gray[{words}, {_size(free)} free]]")


def _detail(cost: Cost) -> str:
    """What the memory is for."""
    parts = [f"{_size(size)} {PARTS[part]}" for part, size in cost.parts.items() if size and part in PARTS]
    return "Memory at its peak, beside what the program takes:  \n" + "  \n".join(parts)


def _run(cost: Cost) -> Iterator[str]:
    """How the model is held and how long it takes."""
    slower = ": slower, but needs only this" if cost.residence == "streamed" else ""
    waits = "; the text waits in the host's memory" if cost.offload else ""
    yield f":material/inventory_2: {HELD[cost.residence].capitalize()}{slower}{waits}"
    download = (
        f", and {numbers.about(cost.download_seconds)} of download at {_size(int(DOWNLOAD_RATE))}/s"
        if cost.download_bytes
        else ""
    )
    yield f":material/schedule: About {numbers.about(cost.seconds)} on {NAMES.get(cost.device, cost.device)}{download}".replace(
        " h ", f"{NBSP}h "
    )


def _size(count: int | None) -> str:
    """A size that stays on one line."""
    return numbers.size(count).replace(" ", NBSP)


def _wait(engine: BackgroundEngine, checked: Checked) -> None:
    if not engine.summary(checked.fields["model"], checked.fields["revision"]).pending:
        redraw_page("cost")
    if engine.status.state == "starting":
        st.caption(
            ":material/hourglass_top: The engine is starting; what the run will cost appears in a moment."
        )
    else:
        st.caption(
            ":material/hourglass_top: Looking at the model; what the run will cost appears in a moment."
        )


def _wait_for_capacity(engine: BackgroundEngine, checked: Checked) -> None:
    if not engine.capacity(checked.fields["device"]).pending:
        redraw_page("capacity")

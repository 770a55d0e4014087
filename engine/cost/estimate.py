"""What a run will cost and whether it fits, before it starts: memory, disk, download, time; and how the model
is held.

A model that fits with a margin is kept whole in memory, which is faster; else the text's hidden states wait
on the host (where there is an accelerator), else the model is read block by block from the disk. Where
nothing fits, `advice` says what would. The numbers are those of `footprint` and `duration`; without a
`Capacity` nothing is known about what is free, so everything fits and the model is kept whole.

Whether a recipe suits its model: asked before a run starts, from the model's configuration alone.
"""

from __future__ import annotations

from itertools import product

from pydantic import BaseModel, ConfigDict

from engine.cost.advice import advice
from engine.cost.duration import DOWNLOAD_RATE, duration
from engine.cost.footprint import Footprint, dtype_of, footprint
from engine.errors import RecipeError
from engine.hardware.batching import Residence
from engine.hardware.memory import Capacity, measure
from engine.hub.settings import hub_cache
from engine.models.shape import ModelSummary
from engine.models.summary import summarise
from engine.numbers import about, size
from engine.pruning.axes import UPDATES
from engine.recipe import Recipe
from engine.validation import faults_against

USED = 0.9
"""Share of what is free that a run may take."""
DISK_SPARE = 500_000_000
"""Bytes of a disk that stay free."""
NAMES = {"cpu": "the CPU", "cuda": "CUDA", "mps": "MPS"}
HELD = {"resident": "kept whole in memory", "streamed": "read block by block from the disk"}


class Cost(BaseModel):
    """An estimate.

    Attributes:
        device: where it runs.
        residence: how the model is held.
        offload: whether the text's hidden states wait on the host.
        seconds: time of the run.
        download_seconds: time of the download before it, at an assumed rate.
        host_bytes: memory at the peak, beyond what the program itself takes.
        device_bytes: the same on the accelerator, None where the run stays on the host.
        host_free, device_free: what is free of them, None where it is not known.
        parts: the memory by what it is for (on the device, where there is one).
        download_bytes: 0 for what is on the disk already, None where nobody could say.
        store_bytes: disk that the run's folder will take.
        fits: whether it can run here as it stands.
        problem: a sentence that says why not; empty where it fits.
        advice: what would fit, in sentences; empty where it fits.
        sentence: all of it in words.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    residence: Residence
    offload: bool = False
    seconds: float
    download_seconds: float = 0.0
    host_bytes: int
    device_bytes: int | None
    host_free: int | None = None
    device_free: int | None = None
    parts: dict[str, int] = {}
    download_bytes: int | None
    store_bytes: int = 0
    fits: bool = True
    problem: str = ""
    advice: str = ""
    sentence: str


def estimate(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None = None) -> Cost:
    """The cost of a recipe for a model of this shape, on a machine with so much free."""
    cost = plan(recipe, summary, capacity)
    if cost.fits or capacity is None:
        return cost
    return cost.model_copy(
        update={"advice": " ".join(advice(recipe, summary, lambda other, its: plan(other, its, capacity)))}
    )


def plan(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None) -> Cost:
    """`estimate` without advice: the first way to hold the model that fits, or the one that needs least."""
    device = summary.device if recipe.device == "auto" else recipe.device
    for residence, offload in ways(recipe, device):
        need = footprint(recipe, summary, device, residence, offload=offload)
        if capacity is None or not _too_much(need, capacity):
            break
    download = 0 if summary.local else summary.storage.missing
    store = (
        summary.prunable // 8
        + UPDATES[recipe.update].changes_kept * summary.bytes * summary.prunable // summary.parameters
    )
    problem = (
        "" if capacity is None else _too_much(need, capacity) or _too_large(download or 0, store, capacity)
    )
    cost = Cost(
        device=device,
        residence=residence,
        offload=offload,
        seconds=duration(recipe, summary, device, residence),
        download_seconds=(download or 0) / DOWNLOAD_RATE,
        host_bytes=need.host,
        device_bytes=need.device,
        host_free=capacity.host_free if capacity else None,
        device_free=capacity.device_free if capacity else None,
        parts=need.parts,
        download_bytes=download,
        store_bytes=store,
        fits=not problem,
        problem=problem,
        sentence="",
    )
    return cost.model_copy(update={"sentence": _sentence(cost, dtype_of(recipe, summary, device))})


def ways(recipe: Recipe, device: str) -> list[tuple[Residence, bool]]:
    """How the model may be held, and whether hidden states wait on the host: the fastest first."""
    residences: list[Residence] = (
        ["resident", "streamed"] if recipe.residence == "auto" else [recipe.residence]
    )
    return list(product(residences, (False, True) if device == "cuda" else (False,)))


def _too_much(need: Footprint, capacity: Capacity) -> str:
    """Why the memory does not suffice, empty where it does or where nobody knows."""
    if (
        need.device is not None
        and capacity.device_free is not None
        and need.device > USED * capacity.device_free
    ):
        return f"It does not fit on the GPU: {size(need.device)} of its memory are needed, {size(capacity.device_free)} are free."
    if capacity.host_free is not None and need.host > USED * capacity.host_free:
        return (
            f"It does not fit in memory: {size(need.host)} are needed, {size(capacity.host_free)} are free."
        )
    return ""


def _too_large(download: int, store: int, capacity: Capacity) -> str:
    """Why a disk does not suffice, empty where it does or where nobody knows."""
    free, kept = capacity.disk_free, capacity.store_free
    if free is not None and download and download + DISK_SPARE > free:
        return (
            f"The download does not fit on the disk: {size(download)} are needed in the hub's cache, {size(free)} are free there. "
            "Free some space, or start the app with HF_HOME on a larger disk."
        )
    if kept is not None and store + DISK_SPARE > kept:
        return (
            f"The result does not fit on the disk: the run's folder needs {size(store)}, {size(kept)} are free there. "
            "Free some space, or start the app with PRUNESCOPE_HOME on a larger disk."
        )
    return ""


def _sentence(cost: Cost, dtype: str) -> str:
    memory = f"{size(cost.host_bytes)} of memory"
    if cost.device_bytes is not None:
        memory = f"{size(cost.device_bytes)} of its memory and {memory}"
    held = f"the model {HELD[cost.residence]} in {dtype}"
    words = f"About {about(cost.seconds)} on {NAMES.get(cost.device, cost.device)}, {memory}, {held}"
    return f"{words}; {_download(cost)}.{f' {cost.problem}' if cost.problem else ''}"


def _download(cost: Cost) -> str:
    if cost.download_bytes is None:
        return "how much has to be downloaded is not known"
    if not cost.download_bytes:
        return "nothing to download"
    return f"{size(cost.download_bytes)} to download (about {about(cost.download_seconds)} if {size(int(DOWNLOAD_RATE))} come in a second)"


def require_fit(recipe: Recipe) -> None:
    """Refuse a recipe that its model cannot take.

    Raises:
        RecipeError: with every fault (widths that m does not divide, a ratio too few, windows too long).
        ModelError: the model cannot be found or read.
    """
    summary = summarise(recipe.model, recipe.revision)
    if faults := faults_against(recipe.model_dump(), summary.widths, summary.sizes, summary.longest):
        raise RecipeError(faults)


def shortage(recipe: Recipe) -> str:
    """Why this machine has no room for a recipe and what would fit, in sentences; empty where it has."""
    summary = summarise(recipe.model, recipe.revision)
    device = summary.device if recipe.device == "auto" else recipe.device
    cost = estimate(recipe, summary, measure(device, hub_cache()))
    return f"{cost.problem} {cost.advice}".strip()

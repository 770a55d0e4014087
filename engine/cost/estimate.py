"""Estimate a run before it starts: whether it fits, its memory, disk space, download and time.

The numbers come from `footprint` and `duration`, from the model's configuration alone: no
weights are read. If a run does not fit, `advice` says what would. If it is not known what is free, everything
fits.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from engine.cost.advice import advice
from engine.cost.duration import DOWNLOAD_RATE, duration, unpacking_seconds
from engine.cost.footprint import Footprint, dtype_of, exceeds, placement, reused
from engine.errors import Fault, ModelError, RecipeError
from engine.hardware.device import pick_device
from engine.hardware.memory import Capacity, measure_capacity
from engine.hardware.memory_plan import Residence
from engine.hub.settings import hub_cache
from engine.models.gguf.unpacked import is_content
from engine.models.shape import ModelSummary
from engine.numbers import about, size
from engine.pruning.axes import UPDATES
from engine.recipe import Recipe
from engine.recipe.validation import faults_against

DISK_SPARE = 500_000_000
"""Bytes of a disk that a run leaves free."""
NAMES = {"cpu": "the CPU", "cuda": "CUDA", "mps": "MPS"}
HELD = {"resident": "held in memory", "streamed": "read block by block from the disk"}


class Cost(BaseModel):
    """An estimate. Sizes are in bytes, times in seconds.

    Attributes:
        device: where the run computes.
        residence: whether the model is in memory (`resident`) or read block by block (`streamed`).
        offload: whether hidden states wait on the host between two blocks.
        seconds: time of the run, without the download.
        download_seconds: time of the download, at an assumed rate.
        host_bytes: peak memory, beyond what the program itself takes.
        device_bytes: peak memory on the accelerator; None if the run stays on the host.
        host_free, device_free: free memory; None if unknown.
        parts: the memory by purpose, on the device if there is one.
        reused_bytes: what the worker keeps in addition, while it is free, for later runs of the model.
        download_bytes: what has to be downloaded; None if unknown.
        unpack_bytes: what a GGUF file has to be unpacked to first; 0 if it was, and for other models.
        unpack_seconds: time of that.
        store_bytes: disk space of the run's folder.
        fits: whether the run can start on this machine.
        problem: a sentence that says why not; empty if it fits.
        advice: sentences that say what would fit; empty if it fits.
        sentence: the whole estimate in words.
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
    reused_bytes: int = 0
    download_bytes: int | None
    unpack_bytes: int = 0
    unpack_seconds: float = 0.0
    store_bytes: int = 0
    fits: bool = True
    problem: str = ""
    advice: str = ""
    sentence: str


def estimate(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None = None) -> Cost:
    """Return the cost of a recipe for a model of this shape.

    Args:
        capacity: what is free on the machine; None if unknown, and then everything fits.
    """
    cost = estimate_without_advice(recipe, summary, capacity)
    if cost.fits:
        return cost

    # Without advice, or each proposal would ask for further proposals.
    def attempt(other: Recipe, shape: ModelSummary) -> Cost:
        return estimate_without_advice(other, shape, capacity)

    return cost.model_copy(update={"advice": " ".join(advice(recipe, summary, attempt))})


def estimate_without_advice(recipe: Recipe, summary: ModelSummary, capacity: Capacity | None) -> Cost:
    """`estimate` without the advice."""
    placed = placement(recipe, summary, capacity)
    need = placed.footprint
    download = 0 if summary.local else summary.storage.missing
    # masks are stored as bits; the new weights only if the update changes the kept ones
    store = summary.prunable // 8
    if UPDATES[recipe.update].touches:
        # The prunable share of the weights in the files' dtype.
        store += summary.bytes * summary.prunable // summary.parameters
    unpack = summary.storage.unpacking
    opening = summary.storage.unpacking_memory
    problem = ""
    if capacity is not None:
        problem = _too_large_to_unpack(opening, capacity) or _problem(
            need, download or 0, store + unpack, capacity
        )
    cost = Cost(
        device=placed.device,
        residence=placed.residence,
        offload=placed.offload,
        seconds=duration(recipe, summary, placed.device, placed.residence),
        download_seconds=(download or 0) / DOWNLOAD_RATE,
        host_bytes=max(need.host, opening),
        device_bytes=need.device,
        host_free=capacity.host_free if capacity else None,
        device_free=capacity.device_free if capacity else None,
        parts=need.parts,
        reused_bytes=reused(recipe, summary, placed, capacity),
        download_bytes=download,
        unpack_bytes=unpack,
        unpack_seconds=unpacking_seconds(summary),
        store_bytes=store,
        fits=not problem,
        problem=problem,
        sentence="",
    )
    # Last, because the sentence quotes the other fields.
    return cost.model_copy(update={"sentence": _sentence(cost, dtype_of(recipe, summary, placed.device))})


def _problem(need: Footprint, download: int, store: int, capacity: Capacity) -> str:
    """Return why the run cannot start; empty if it can, or if it is unknown what is free."""
    if exceeds(need.device, capacity.device_free):
        return _too_little("on the GPU", need.device, capacity.device_free)
    if exceeds(need.host, capacity.host_free):
        return _too_little("in memory", need.host, capacity.host_free)
    if download and capacity.disk_free is not None and download + DISK_SPARE > capacity.disk_free:
        return (
            f"The download does not fit on the disk: the hub's cache needs {size(download)} more, and "
            f"{size(capacity.disk_free)} are free there. Free some space, or start the app with HF_HOME on a "
            "larger disk."
        )
    if capacity.store_free is not None and store + DISK_SPARE > capacity.store_free:
        return (
            f"The result does not fit on the disk: the run's folder needs {size(store)}, and "
            f"{size(capacity.store_free)} are free there. Free some space, or start the app with "
            "PRUNESCOPE_HOME on a larger disk."
        )
    return ""


def _too_large_to_unpack(needed: int, capacity: Capacity) -> str:
    if not exceeds(needed, capacity.host_free):
        return ""
    return (
        "Its weights do not fit in memory while they are unpacked from the GGUF file: "
        f"that needs {size(needed)}, and {size(capacity.host_free)} are free."
    )


def _too_little(where: str, needed: int | None, free: int | None) -> str:
    return f"It does not fit {where}: it needs {size(needed)}, and {size(free)} are free."


def _sentence(cost: Cost, dtype: str) -> str:
    memory = f"{size(cost.host_bytes)} of memory"
    if cost.device_bytes is not None:
        memory = f"{size(cost.device_bytes)} of GPU memory and {memory}"
    model = f"the model {HELD[cost.residence]} in {dtype}"
    words = f"About {about(cost.seconds)} on {NAMES.get(cost.device, cost.device)}, {memory}, {model}"
    if cost.unpack_bytes:
        words += (
            f"; {size(cost.unpack_bytes)} to unpack from the GGUF file (about {about(cost.unpack_seconds)})"
        )
    return f"{words}; {_download(cost)}.{f' {cost.problem}' if cost.problem else ''}"


def _download(cost: Cost) -> str:
    if cost.download_bytes is None:
        return "download size unknown"
    if not cost.download_bytes:
        return "nothing to download"
    rate = size(int(DOWNLOAD_RATE))
    return f"{size(cost.download_bytes)} to download (about {about(cost.download_seconds)} at {rate}/s)"


def require_fit(recipe: Recipe) -> None:
    """Check a recipe against this machine's devices and its model's configuration.

    Raises:
        RecipeError: with every fault (no such device; widths that m does not divide, too few ratios, windows
            that are too long; a GGUF file that cannot be read).
        ModelError: any other model cannot be found or read.
    """
    from engine.models.summary import summarise  # imports the model library, which the pages need not

    pick_device(recipe.device)  # first, before anything is read or downloaded
    try:
        summary = summarise(recipe.model, recipe.revision)
    except ModelError as error:
        if is_content(recipe.revision):  # like the faults of such a file that `pin` finds
            raise RecipeError([Fault("model", str(error))]) from error
        raise
    faults = faults_against(
        recipe.model_dump(),
        summary.widths,
        summary.sizes,
        summary.context_length,
        has_biases=summary.has_biases,
    )
    if faults:
        raise RecipeError(faults)


def shortage(recipe: Recipe) -> str:
    """Return why this machine cannot hold a run, and what would fit. Empty if it can."""
    from engine.models.summary import summarise  # as above

    summary = summarise(recipe.model, recipe.revision)
    device = summary.device if recipe.device == "auto" else recipe.device
    cost = estimate(recipe, summary, measure_capacity(device, hub_cache()))
    return f"{cost.problem} {cost.advice}".strip()

"""Size and speed of a finished run's model: masks counted, bytes compressed, passes timed, dense and pruned.

The whole model is loaded in the run's dtype on the run's device, with its prunable weights twice. The bundled
model takes about five seconds, most of it for timing. Models that are too large for that get an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.errors import ModelError
from engine.evaluation.size import (
    Compressed,
    LinearCount,
    SizeReport,
    count,
    packed_bytes,
    sample_share,
    sizes,
)
from engine.evaluation.speed import SECONDS, SpeedReport, Variant, put, speed, variant
from engine.events import Facts
from engine.hardware.device import device_name, pick_device, threads_for
from engine.hardware.memory import host_free
from engine.pruning.weights import BlockWeights, restore
from engine.recipe import Recipe

if TYPE_CHECKING:
    from engine.models.language_model import LanguageModel

SPARE = 1.2
"""Free memory that is required for the second copy of the prunable weights and for computing with it, in
sizes of that copy.
"""


class Measurement(Facts):
    """Size and speed of a run's model, dense and pruned.

    Attributes:
        device: its type; `device_name` is its product name.
        threads: number of threads of the timed passes, on a CPU.
        seconds: duration of the measurement.
    """

    size: SizeReport
    speed: SpeedReport
    device: str
    device_name: str
    threads: int
    seconds: float


def measure(recipe: Recipe, kept: Mapping[int, BlockWeights], *, seconds: float = SECONDS) -> Measurement:
    """Measure a recipe's dense model and the same model pruned.

    Args:
        recipe: a pinned recipe; its model is loaded.
        kept: the pruned weights of every block.
        seconds: how long each of the two timed stages may take.

    Raises:
        ModelError: the model cannot be loaded, or does not fit twice.
    """
    from engine.inputs import dense_model  # imports transformers, which charts of a measurement do not need

    start = time.perf_counter()
    device = pick_device(recipe.device)
    try:
        model = dense_model(recipe)
        # One thread for a small model, because the page and the browser run at the same time.
        with threads_for(small=model.is_small, alone=False):
            found = _measured(model, kept, seconds)
            threads = torch.get_num_threads()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(TOO_LARGE, kind="memory") from error
    size, timed = found
    return Measurement(
        size=size,
        speed=timed,
        device=device.type,
        device_name=device_name(device),
        threads=threads,
        seconds=time.perf_counter() - start,
    )


@torch.no_grad()
def _measured(
    model: LanguageModel, kept: Mapping[int, BlockWeights], seconds: float
) -> tuple[SizeReport, SpeedReport]:
    linears = list(model.linears.values())
    dense = variant(linears)
    # an accelerator raises an error when it is full, but a process on the CPU would be killed
    free = host_free() if model.device.type == "cpu" else None
    if free is not None and free < SPARE * _bytes(_tensors(dense)):
        raise MemoryError
    pruned, counts = _pruned(model, kept)
    own = {id(placed.parameter) for placed in dense}
    # `parameters()` yields a tied parameter once, as a file stores it.
    rest = [parameter for parameter in model.module.parameters() if id(parameter) not in own]
    size = sizes(
        counts,
        _bytes(_tensors(dense)) + _bytes(rest),
        linears[0].weight.dtype,
        _compressed(dense, pruned, rest),
    )
    return size, speed(model, dense, pruned, two_of_four=size.semi_structured is not None, seconds=seconds)


def _pruned(model: LanguageModel, kept: Mapping[int, BlockWeights]) -> tuple[Variant, list[LinearCount]]:
    """Return the pruned parameters, leaving the dense ones in the model, and the counts of the masks."""
    found: list[Variant] = []
    counts: list[LinearCount] = []
    for block in model.blocks:
        weights = kept[block.index]
        linears = list(block.linears.values())
        dense = variant(linears)
        # `restore` writes into the parameters in place, so it gets copies; `put` then exchanges them for the
        # dense ones.
        for placed in dense:
            setattr(
                placed.module,
                placed.name,
                nn.Parameter(placed.parameter.detach().clone(), requires_grad=False),
            )
        restore(block, weights)
        found.append(variant(linears))
        put(dense)
        counts += [count(pruned.keep) for pruned in weights.values()]
    return tuple(placed for one in found for placed in one), counts


def _compressed(dense: Variant, pruned: Variant, rest: list[nn.Parameter]) -> Compressed:
    # One share for all three parts, because the report has only one.
    share = sample_share(_bytes(_tensors(dense)) + _bytes(rest))
    return Compressed(
        dense=packed_bytes(_tensors(dense), share),
        pruned=packed_bytes(_tensors(pruned), share),
        rest=packed_bytes(rest, share),
        share=share,
    )


def _tensors(parameters: Variant) -> Iterator[nn.Parameter]:
    return (placed.parameter for placed in parameters)


def _bytes(tensors: Iterator[nn.Parameter] | list[nn.Parameter]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


TOO_LARGE = (
    "Size and speed could not be measured: the whole model and a second copy of its prunable weights do not "
    "fit in memory. Measure a smaller model, or this one on a machine with more memory."
)

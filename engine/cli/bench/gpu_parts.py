"""The parts of pruning that the choice between several kernels decides, each measured alone: thresholds, Gram
matrices, one linear's update, and copies to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from engine.hardware.device import Clock
from engine.hardware.transfers import HostCopies
from engine.pruning.axes import FrozenMask
from engine.pruning.patterns import SemiStructured
from engine.pruning.selection import count_th_lowest_by_bits
from engine.pruning.statistics import Need, Statistics
from engine.pruning.updates.obs import obs

ROUNDS = 3


def measure_parts(device: torch.device, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the milliseconds of each part, the best of three, for about `seconds` at most."""
    clock = Clock(device)
    end = clock.now() + seconds
    rows, columns, tokens = (4096, 11_008, 16_384) if device.type == "cuda" else (32, 64, 64)
    for name, work in _parts(device, rows, columns, tokens).items():
        if clock.now() > end:
            return
        try:
            yield {"part": name, "milliseconds": round(1e3 * min(_times(clock, work)), 3)}
        except Exception as error:
            yield {"part": name, "error": f"{type(error).__name__}: {error}"}


def _times(clock: Clock, work: Callable[[], object]) -> Iterator[float]:
    work()  # allocates, chooses kernels
    for _ in range(ROUNDS):
        start = clock.now()
        work()
        yield clock.now() - start


def _parts(device: torch.device, rows: int, columns: int, tokens: int) -> dict[str, Callable[[], object]]:
    score = torch.rand(rows, columns, device=device)
    layer = score.reshape(1, -1)
    counts = torch.full((rows,), columns // 2, device=device)
    inputs = torch.randn(1, tokens, columns, device=device)
    half = inputs.bfloat16()

    def statistics(given: Tensor) -> Statistics:
        collected = Statistics(columns, 1, {Need.HESSIAN}, device)
        collected.update(given)
        return collected

    seen = statistics(half)
    mask = score > 0.5

    def copied() -> None:
        copies = HostCopies(device)
        copies.add(mask)
        copies.wait()

    return {
        "threshold per row by bits": lambda: count_th_lowest_by_bits(score, columns // 2),
        "threshold per row by kthvalue": lambda: score.kthvalue(columns // 2, dim=1),
        "threshold per row by sort": lambda: score.sort(dim=1),
        "threshold of each row's own count by bits": lambda: count_th_lowest_by_bits(score, counts),
        "threshold of a layer by bits": lambda: count_th_lowest_by_bits(layer, layer.shape[1] // 2),
        "threshold of a layer by sort": lambda: layer.sort(dim=1),
        "2:4 mask": lambda: SemiStructured(2, 4).keep(score, 0.5),
        "Gram matrix of bfloat16": lambda: statistics(half),
        "Gram matrix of float32": lambda: statistics(inputs),
        "norms of bfloat16": lambda: Statistics(columns, 1, {Need.INPUT_NORM}, device).update(half),
        "inverse factor": lambda: statistics(half).factor,
        "OBS update with a mask": lambda: obs(score, seen, FrozenMask(mask)),
        "mask to the host, page-locked": copied,
        "mask to the host": mask.cpu,
    }

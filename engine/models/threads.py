"""How many CPU threads a model's arithmetic uses.

The matrix products of a small model are shorter than the synchronisation of the threads, and if another
process uses one of the cores (the page, a browser), the threads mostly wait for each other: with one of two
cores busy, the bundled model took 23 s on two threads and 5 s on one. So a small model computes on one
thread, and independent passes (calibration and evaluation) run in parallel instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from engine.models.language_model import LanguageModel

SMALL = 512 * 512
"""A model is small if none of its linears has more entries than this."""
MAX_PASSES = 8
"""Most passes of a small model that run in parallel."""


def is_small(model: LanguageModel) -> bool:
    """Return whether the model's products are fastest on one thread."""
    return (
        model.device.type == "cpu"
        and max(linear.weight.numel() for linear in model.linears.values()) <= SMALL
    )


@contextmanager
def threads_for(model: LanguageModel, *, alone: bool) -> Iterator[None]:
    """Set the number of threads for this model while the `with` lasts.

    It is one for a small model, unless its passes are `alone`, that is, nothing else runs in parallel.
    """
    with _threads(1 if is_small(model) and not alone else torch.get_num_threads()):
        yield


@contextmanager
def concurrently(work: Callable[[], None], *, enabled: bool) -> Iterator[Callable[[], None]]:
    """Do `work` in a second thread while the `with` lasts, if `enabled` and there is a second core.

    Otherwise it is done when it is waited for.

    Yields:
        A function that waits until the work is done; call it before the `with` ends.
    """
    if not enabled or (os.cpu_count() or 1) < 2:
        yield work
        return
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(torch.no_grad()(work))  # grad mode is per thread, so it is switched off there too
        yield done.result


@contextmanager
def parallel_passes(model: LanguageModel) -> Iterator[int]:
    """Yield how many passes may run in parallel, each on one thread.

    That is one per core for a small model in memory, and one otherwise.
    """
    if not is_small(model) or model.residence == "streamed":
        yield 1
        return
    with _threads(1):
        yield min(os.cpu_count() or 1, MAX_PASSES)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

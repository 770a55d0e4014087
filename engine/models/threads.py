"""How many threads a model's arithmetic is spread over on a CPU.

A small model's matrix products take less time than it takes threads to meet, and where another process has a
core (the page, a browser) they wait for each other most of the time: on two cores with one of them busy the
bundled model took 23 s on two threads and 5 s on one. So a small model computes on one thread where
independent passes (calibration and evaluation) can go side by side instead.
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
"""Entries of the largest linear up to which a model is small."""
MOST_SIDES = 8
"""Copies of a small model at most."""


def is_small(model: LanguageModel) -> bool:
    """Whether one thread is the best that a model's products can use."""
    return (
        model.device.type == "cpu"
        and max(linear.weight.numel() for linear in model.linears.values()) <= SMALL
    )


@contextmanager
def threads_for(model: LanguageModel, *, alone: bool) -> Iterator[None]:
    """The right number of threads for this model, while the `with` lasts: one for a small model, unless its
    passes are `alone`.
    """
    before = torch.get_num_threads()
    if is_small(model) and not alone:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def beside(work: Callable[[], None], *, at_once: bool) -> Iterator[Callable[[], None]]:
    """Do `work` in a second thread while the `with` lasts, where `at_once` and there is a second core; else
    when it is waited for.

    Yields:
        A function that waits for the work to be done. It has to be called before the `with` ends.
    """
    if not at_once or (os.cpu_count() or 1) < 2:
        yield work
        return
    with ThreadPoolExecutor(1) as pool:  # gradients are off by thread, so they are switched off in there too
        done = pool.submit(torch.no_grad()(work))
        yield done.result


@contextmanager
def side_by_side(model: LanguageModel) -> Iterator[int]:
    """How many passes may go side by side, each on one thread, while the `with` lasts: one a core for a small
    model in memory, else one.
    """
    if not is_small(model) or model.residence == "streamed":
        yield 1
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield min(os.cpu_count() or 1, MOST_SIDES)
    finally:
        torch.set_num_threads(before)

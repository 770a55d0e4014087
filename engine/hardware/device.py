"""The device, the dtype and the number of CPU threads that a model computes with, and a clock.

By default the device is the first available of cuda, mps and cpu. The dtype is float32 on a CPU, and on an
accelerator the dtype of the model's file.

The matrix products of a small model are shorter than the synchronisation of the threads, and if another
process uses one of the cores (the page, a browser), the threads mostly wait for each other: with one of two
cores busy, the bundled model took 23 s on two threads and 5 s on one. So a small model computes on one
thread, and batches of windows (calibration and evaluation) pass in parallel instead.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

from engine.errors import Fault, RecipeError

Item = TypeVar("Item")
Value = TypeVar("Value")

SMALL = 512 * 512
"""A model is small if none of its linears has more entries than this."""
SMALL_THREADS = 2
"""Most threads that a run of a small model keeps busy."""
MAX_PASSES = 8
"""Most passes of a small model that run in parallel."""
_numbers_before = set[int]()
"""The numbers of threads that `threads` has found before it changed them."""


class Clock:
    """Accumulates seconds per phase.

    Accelerators execute asynchronously, so the clock waits for queued work before it reads the time.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.device = device

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside the `with` to the phase `name`."""
        start = self.now()
        try:
            yield
        finally:
            self.seconds[name] += self.now() - start

    def now(self) -> float:
        """Return the time in seconds, after all queued work has finished."""
        wait_for(self.device)
        return time.perf_counter()


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute products of float32 in float32 while the `with` lasts, whatever the process allows elsewhere:
    TF32 keeps 10 bits of each factor.
    """
    # PyTorch has an old and a new interface for this, and refuses to read the old one after the new one was
    # used. Writing the old one sets both.
    allowed = torch.backends.cuda.matmul.fp32_precision == "tf32"
    if allowed:
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if allowed:
            torch.set_float32_matmul_precision("high")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of this name, or for `auto` the best available one.

    Raises:
        RecipeError: this machine does not have it.
    """
    # In order of preference.
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    available = [device for device in present if present[device]]
    if fault := missing_device(name, available):
        raise RecipeError([fault])
    return torch.device(available[0] if name == "auto" else name)


def missing_device(name: str, available: Collection[str]) -> Fault | None:
    """Return what is wrong with a recipe's device on a machine that has the `available` ones, None if it is
    one of them.
    """
    if name == "auto" or name in available:
        return None
    message = f"{name} was requested, but this machine has only {' and '.join(available)}; "
    return Fault("device", f"{message}choose {', '.join(available)} or auto.")


def pick_dtype(name: str, device: torch.device, stored: torch.dtype | None) -> torch.dtype:
    """Return the dtype of this name, or for `auto` the default on the device.

    Args:
        stored: the dtype of the model's file.
    """
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    # On a CPU half precision is often slower than float32, and its sums are less exact.
    if stored in (torch.bfloat16, torch.float16) and device.type != "cpu":
        assert stored is not None
        return stored
    return torch.float32


def device_name(device: torch.device) -> str:
    """Return the marketing name of a GPU, or the processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()  # often empty on Linux


def available_threads() -> int:
    """Return how many threads a model may compute with.

    That is PyTorch's number only in the main thread: a thread that first computes while another one has set
    the number to 1, as `threads_for` does, would keep 1 for ever.
    """
    own = torch.get_num_threads()
    return own if threading.current_thread() is threading.main_thread() else max({own} | _numbers_before)


@contextmanager
def threads_for(*, small: bool, alone: bool) -> Iterator[None]:
    """Set the number of threads for a model while the `with` lasts.

    It is one for a small model, unless its passes are `alone`, that is, nothing else runs in parallel.
    """
    with threads(1 if small and not alone else available_threads()):
        yield


@contextmanager
def pass_threads(*, small: bool) -> Iterator[Executor | None]:
    """Yield the threads in which windows pass through a small model; None if they pass in the caller's, as
    for any other model and on a machine with one core.
    """
    if not small or (os.cpu_count() or 1) < 2:
        yield None
        return
    with ThreadPoolExecutor(SMALL_THREADS) as pool:
        yield pool


@contextmanager
def concurrently(work: Callable[[], None], pool: Executor | None) -> Iterator[Callable[[], None]]:
    """Do `work` in one of the pool's threads while the `with` lasts; without a pool, when it is waited for.

    Yields:
        A function that waits until the work is done; call it before the `with` ends.
    """
    if pool is None:
        yield work
        return
    done = pool.submit(torch.no_grad()(work))  # grad mode is per thread, so it is switched off there too
    try:
        yield done.result  # raises what `work` raised
    finally:
        wait([done])  # also after an error in the `with`


def in_order(
    pool: Executor, work: Callable[[Item], Value], items: Iterable[Item], *, ahead: int
) -> Iterator[Value]:
    """Yield `work(item)` for each item, in order, while the pool's threads work on those that follow.

    Args:
        ahead: how many results may wait.
    """
    done: deque[Future[Value]] = deque()
    try:
        for item in items:
            done.append(pool.submit(torch.no_grad()(work), item))
            if len(done) > ahead:
                yield done.popleft().result()
        while done:
            yield done.popleft().result()
    finally:
        for future in done:  # after an error
            future.cancel()
        wait(done)


@contextmanager
def parallel_passes(*, small: bool) -> Iterator[int]:
    """Yield how many passes may run in parallel, each on one thread.

    That is one per core for a small model in memory, and one otherwise.
    """
    if not small:
        yield 1
        return
    with threads(1):
        yield min(os.cpu_count() or 1, MAX_PASSES)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with this number of threads while the `with` lasts."""
    before = torch.get_num_threads()
    _numbers_before.add(before)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def share_threads(work: Callable[[Item], None], items: Iterable[Item], workers: int) -> None:
    """Do `work` on each item, `workers` at a time, with torch's threads divided among them."""
    if workers == 1:
        for item in items:
            work(item)
        return
    # Set before the pool starts: a thread takes over the number when it first runs a parallel operation.
    with threads(max(1, torch.get_num_threads() // workers)), ThreadPoolExecutor(workers) as pool:
        # Grad mode is per thread. The deque consumes the results, so that an exception in a thread is raised
        # here.
        deque(pool.map(torch.no_grad()(work), items), maxlen=0)

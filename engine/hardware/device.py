"""Which device and dtype a model runs in, and a clock that measures phases on it.

By default the device is the first available of cuda, mps and cpu. The dtype is float32 on a CPU, and on an
accelerator the dtype of the model's file.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine.errors import ModelError


class Clock:
    """Accumulates seconds per phase.

    Accelerators execute asynchronously, so the clock waits for queued work before it reads the time.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

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
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of this name, or for `auto` the best available one.

    Raises:
        ModelError: this machine does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    names = [device for device, present in available.items() if present]
    if name == "auto":
        return torch.device(names[0])
    if name not in names:
        raise ModelError(
            f"The device {name} was requested, but this machine has only {' and '.join(names)}. Choose one "
            "of these, or auto."
        )
    return torch.device(name)


def pick_dtype(name: str, device: torch.device, stored: torch.dtype | None) -> torch.dtype:
    """Return the dtype of this name, or for `auto` the default on the device.

    Args:
        stored: the dtype of the model's file.
    """
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if stored in (torch.bfloat16, torch.float16) and device.type != "cpu":
        assert stored is not None
        return stored
    return torch.float32


def device_name(device: torch.device) -> str:
    """Return the marketing name of a GPU, or the processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()

"""Which device and dtype a model runs in: cuda, then mps, then cpu; float32 on a CPU, on an accelerator what
the model's file holds.

Seconds by phase, counted where the work is done.
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
    """Adds up the seconds of each phase; on an accelerator it waits for queued work before it reads the time."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside the `with` towards `name`."""
        start = self.now()
        try:
            yield
        finally:
            self.seconds[name] += self.now() - start

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


def pick_device(asked: str = "auto") -> torch.device:
    """The device that is asked for, or the best there is.

    Raises:
        ModelError: it is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if not present[asked]:
        there = " and ".join(name for name, here in present.items() if here)
        raise ModelError(
            f"The device {asked} was asked for, but this machine has only {there}. Choose that, or auto."
        )
    return torch.device(asked)


def pick_dtype(asked: str, device: torch.device, stored: torch.dtype | None) -> torch.dtype:
    """The dtype that is asked for, or the right one for the device."""
    if asked != "auto":
        dtype: torch.dtype = getattr(torch, asked)
        return dtype
    half = stored in (torch.bfloat16, torch.float16)
    return stored if half and stored is not None and device.type != "cpu" else torch.float32


def device_name(device: torch.device) -> str:
    """What a person calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()

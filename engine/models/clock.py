"""Seconds by phase, counted where the work is done."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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

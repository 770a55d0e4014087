"""The workers of the embedded engine: one per GPU, or on a machine without GPUs one, and a second for small
runs.

The first starts with the app. It sees all GPUs and uses the first, which is what `cuda` means. It says
what it computes on, and from that follows which others there may be. Those start when a run waits for them,
and end when there has been no run for a while:

- a worker for each further GPU, pinned to it by `CUDA_VISIBLE_DEVICES`;
- on a machine with GPUs, a worker without one, so that runs whose device is `cpu` keep no GPU busy;
- on a machine without GPUs and with two cores or more, a second worker for runs that compute on one thread
  per operation anyway (`engine.jobs.dispatch`). The number of threads changes the last bits of some results
  (SparseGPT's, measured with 1, 2 and 3 threads), so no run gets other threads because of its neighbours.

`PRUNESCOPE_WORKERS` limits the number of workers, or raises the number of those without a GPU.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.hardware.gpus import CUDA
from engine.jobs.dask_settings import CPU, DEVICE, QUESTION
from engine.jobs.questions import AT_ONCE

VARIABLE = "PRUNESCOPE_WORKERS"
START = 180.0  # seconds until a worker that was started counts as failed
REST = 600.0  # seconds without a run after which the further workers end, which frees their memory
SIDE_BY_SIDE = 2
"""Small runs at the same time on a machine without GPUs and with at least as many cores."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """What a worker computes on, as it says itself.

    Attributes:
        kind: cuda, mps or cpu.
        label: for people, such as "GPU 1 · NVIDIA H100" or "CPU, 2 threads".
        gpus: labels of all GPUs that its process sees, by the value of `CUDA_VISIBLE_DEVICES` that selects
            each.
    """

    kind: str
    label: str
    gpus: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerState:
    """A worker that is there.

    Attributes:
        resources: Dask resources, what it takes.
        device: what it computes on; None until it has said so.
    """

    address: str
    name: str
    resources: Mapping[str, int]
    device: Device | None


@dataclass(frozen=True)
class WorkerSpec:
    """A worker to start.

    Attributes:
        environment: variables of its process.
        resources: Dask resources, what it takes.
    """

    name: str
    resources: Mapping[str, int] = field(default_factory=lambda: {DEVICE: 1})
    environment: Mapping[str, str] = field(default_factory=dict)


FIRST = WorkerSpec("1", {DEVICE: 1, QUESTION: AT_ONCE})
"""The worker that is there from the start. It alone answers questions: the models that they load would
otherwise be in memory several times.
"""


class Host(Protocol):
    """Where workers run: `engine.jobs.embedded.Embedded`."""

    def start(self, spec: WorkerSpec) -> None: ...

    def end(self, name: str) -> None: ...


class Fleet:
    """Which workers of the embedded engine exist, and which may be started.

    Args:
        host: the process of the workers.
        cores: those that the engine may use.
    """

    def __init__(self, host: Host, cores: int) -> None:
        self._host, self._cores = host, cores
        self._possible: list[WorkerSpec] = []
        self._busy_at = time.monotonic()  # when there was last a run
        self._starting: dict[str, tuple[WorkerSpec, float]] = {}  # by name, since when (monotonic)
        self._present: set[str] = set()  # resources of the workers that are there
        self._first: Device | None = None
        self._further: list[WorkerSpec] = []  # all that there may be besides the first

    def update(self, workers: Collection[WorkerState]) -> None:
        """Note which workers are there, and decide which others there may be once the first has said what it
        computes on.
        """
        self._present = {resource for worker in workers for resource in worker.resources}
        for worker in workers:
            self._starting.pop(worker.name, None)
            if worker.name == FIRST.name and worker.device is not None and self._first is None:
                self._first = worker.device
                self._further = further_workers(worker.device, self._cores, workers_wanted())
                self._possible = list(self._further)

    @property
    def shares_cpu(self) -> bool:
        """Whether its runs compute on the same cores."""
        return self._first is None or self._first.kind != "cuda"

    @property
    def places(self) -> list[str]:
        """What runs can be computed on, also by workers that have not been started, in words."""
        if self._first is None:
            return []
        more = [spec for spec in self._further if DEVICE in spec.resources]
        if self._first.kind == "cuda":
            return [self._first.label, *(self._first.gpus[spec.environment[CUDA]] for spec in more)]
        several = f" (up to {1 + len(more)} small runs at the same time)" if more else ""
        return [f"{self._first.label}{several}"]

    def resource(self, device: str) -> str | None:
        """Return which resource a run needs, given its recipe's device; None if it is not known yet."""
        if device != "cpu":
            return DEVICE
        if self._first is None:
            return None
        # Without a worker of its own, such as one that could not be started, it takes any.
        own = CPU in self._present or self.is_starting(CPU) or self.can_grow(CPU)
        return CPU if own else DEVICE

    def can_grow(self, resource: str) -> bool:
        """Whether another worker with a resource could be started now."""
        return self._next(resource) is not None and not self.is_starting(resource)

    def grow(self, resource: str) -> None:
        """Start another worker with a resource, if there may be one and none is starting."""
        spec = self._next(resource)
        if spec is not None and not self.is_starting(resource):
            self._possible.remove(spec)
            self._starting[spec.name] = spec, time.monotonic()
            self._host.start(spec)

    def rest(self, *, busy: bool) -> None:
        """End the further workers when there has been no run for `REST` seconds.

        Args:
            busy: whether there is a run now.
        """
        now = time.monotonic()
        if busy:
            self._busy_at = now
        elif now - self._busy_at > REST and len(self._possible) < len(self._further):
            for spec in self._further:
                if spec not in self._possible:
                    self._host.end(spec.name)
            self._possible, self._starting = list(self._further), {}

    def is_starting(self, resource: str) -> bool:
        """Whether a worker with a resource was started and is still expected."""
        now = time.monotonic()
        return any(
            resource in spec.resources and now - since < START for spec, since in self._starting.values()
        )

    def _next(self, resource: str) -> WorkerSpec | None:
        return next((spec for spec in self._possible if resource in spec.resources), None)


def further_workers(first: Device, cores: int, wanted: int | None) -> list[WorkerSpec]:
    """Return the workers that there may be besides the first.

    Args:
        first: what the first one computes on.
        wanted: how many there may be in all; None if the user has not said.
    """
    needs: list[tuple[str, dict[str, str]]] = []
    if first.kind == "cuda":
        needs = [*((DEVICE, {CUDA: gpu}) for gpu in list(first.gpus)[1:]), (CPU, {CUDA: ""})]
    elif first.kind == "cpu":
        needs = [(DEVICE, {})] * ((wanted or min(SIDE_BY_SIDE, cores)) - 1)
    return [
        WorkerSpec(str(number), {resource: 1}, environment)
        for number, (resource, environment) in enumerate(needs[: wanted and wanted - 1], start=2)
    ]


def workers_wanted() -> int | None:
    """Return the value of `PRUNESCOPE_WORKERS`; None if it is not set, or no whole number above 0."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    _log.warning("%s=%s is not a whole number above 0; it is ignored.", VARIABLE, text)
    return None

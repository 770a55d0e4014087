"""Clusters that compute nothing: they remember what was sent where, and start workers at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.jobs import worker
from engine.jobs.dask_settings import DEVICE
from engine.jobs.fleet import FIRST, Device, Fleet, WorkerSpec, WorkerState
from engine.jobs.job import Needs
from engine.jobs.questions import Answer

GPUS = {str(number): f"GPU {number} · imitated" for number in range(3)}
THREADS = Device("cpu", "CPU, 2 threads")


def gpu_worker(name: str, number: int = 0) -> WorkerState:
    return WorkerState(f"tcp://{name}", name, {DEVICE: 1}, Device("cuda", GPUS[str(number)], GPUS))


@dataclass
class Sent:
    """A task; `answer` is None while it runs."""

    key: str
    worker: str | None
    resource: str | None
    answer: Answer[Any] | None = None
    status: str = "pending"

    def done(self) -> bool:
        return self.answer is not None


class Elsewhere:
    """An existing cluster."""

    fleet: Fleet | None = None

    def __init__(self, workers: Sequence[WorkerState]) -> None:
        self.present = list(workers)
        self.sent: list[Sent] = []
        self.others: dict[str, Collection[str]] = {}  # what other apps compute, by address

    @property
    def labels(self) -> Mapping[str, str]:
        return {one.address: one.device.label for one in self.present if one.device}

    def workers(self) -> list[WorkerState]:
        return self.present

    def holders(self) -> Mapping[str, Collection[str]]:
        return self.others

    def sightings(self, tasks: Collection[str]) -> dict[str, Any]:
        return {}

    def submit(
        self, function: Callable[..., Any], *args: Any, resource: str | None = None, worker: str | None = None
    ) -> Sent:
        task = Sent(f"{function.__name__}-{len(self.sent)}", worker, resource)
        self.sent.append(task)
        return task

    def result(self, task: Sent) -> Answer[Any] | None:
        return task.answer

    def abort(self, task: Sent, *, kill: bool) -> None:
        task.status = "cancelled"


class Here(Elsewhere):
    """The embedded cluster of a machine on which the first worker computes on `first`.

    Args:
        needs: returns what a run needs, given the fields of its recipe; by default it is small.
    """

    def __init__(
        self, first: Device | None, needs: Callable[[dict[str, Any]], Needs] = lambda fields: Needs(True, 1)
    ) -> None:
        super().__init__([])
        self.fleet = Fleet(self, cores=4)
        self.first, self.needs = first, needs
        self.started: list[WorkerSpec] = []
        self.start(FIRST)

    def start(self, spec: WorkerSpec) -> None:
        self.started.append(spec)
        device = self.first if spec is FIRST else Device("cuda", f"of {spec.name}")
        self.present.append(WorkerState(f"tcp://{spec.name}", spec.name, dict(spec.resources), device))

    def end(self, name: str) -> None:
        self.present = [one for one in self.present if one.name != name]

    def workers(self) -> list[WorkerState]:
        assert self.fleet is not None
        self.fleet.update(self.present)
        return list(self.present)

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> Sent:
        task = super().submit(function, *args, **options)
        if function is worker.weigh:
            task.answer = Answer(self.needs(args[-1]))
        return task

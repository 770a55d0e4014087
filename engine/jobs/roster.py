"""The workers of a cluster, as its scheduler lists them, and what each says that it computes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.jobs import worker
from engine.jobs.dask_settings import DEVICE
from engine.jobs.fleet import Device, WorkerState
from engine.jobs.questions import Answer

if TYPE_CHECKING:
    from engine.jobs.dask_client import Task

UNKNOWN = Device("cpu", "device unknown")
"""Of a worker that could not say it."""


class Roster:
    """Who is there. Each new worker is asked once what it computes on, next to its run.

    Args:
        submit, result: those of `engine.jobs.cluster.Cluster`.
        named: whether the names of the workers mean something to the user.
    """

    def __init__(
        self, submit: Callable[..., Task], result: Callable[[Task], Answer[Any] | None], *, named: bool
    ) -> None:
        self._submit, self._result, self._named = submit, result, named
        self._descriptions: dict[str, Task] = {}  # by address
        self._workers: list[WorkerState] = []
        self.labels: Mapping[str, str] = {}  # replaced as a whole, so any thread may read it

    def update(self, known: Mapping[str, Any]) -> list[WorkerState]:
        """Return the workers, in the order of their names.

        Args:
            known: what the scheduler knows about each, by address.
        """
        self._descriptions = {
            address: self._descriptions.get(address) or self._submit(worker.describe, worker=address)
            for address in known
        }
        found = [
            WorkerState(address, str(each["name"]), dict(each["resources"]), self._device(address))
            for address, each in known.items()
        ]
        found.sort(key=lambda one: (len(one.name), one.name))  # "2" before "10"
        self._workers = found
        self.labels = {one.address: " · ".join(self._words(one, len(found))) for one in found if one.device}
        return found

    @property
    def places(self) -> list[str]:
        """What runs can be computed on, without the names of the workers, which may be addresses."""
        return [one.device.label for one in self._workers if one.device and DEVICE in one.resources]

    def _words(self, one: WorkerState, workers: int) -> Iterator[str]:
        assert one.device is not None
        if self._named:
            yield one.name
        elif workers > 1 and one.device.kind == "cpu":
            yield f"worker {one.name}"
        yield one.device.label

    def _device(self, address: str) -> Device | None:
        """Return what a worker has said; None if it has not yet."""
        task = self._descriptions[address]
        if not task.done():
            return None
        answer = self._result(task)
        return UNKNOWN if answer is None or answer.value is None else answer.value

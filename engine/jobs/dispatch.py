"""Which waiting run goes to which worker, and when another worker is worth starting.

Runs start in the order of the queue, each on a free worker, if possible on the one whose last run had the
same model, which is still loaded there. On an existing cluster every worker has a machine, or a part of one,
to itself. The workers of the embedded engine share this one's memory, and without GPUs its cores:

- All runs together take at most what was free before the first of them, by estimate. So no run starts with
  the whole memory in view that another one is about to take; its worker then decides alone whether the model
  is held in memory or read block by block.
- Without GPUs, only runs that compute on one thread per operation run side by side; any other has the cores
  to itself.

A run that must wait lets none overtake it, so it waits for those before it only.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.hardware.memory import PROGRAM, USED, host_free
from engine.jobs import worker
from engine.jobs.dask_settings import DEVICE
from engine.jobs.fleet import Fleet, WorkerState
from engine.jobs.job import Job, Needs
from engine.recipe import Recipe

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster

MANY = 6
"""Waiting small runs for which a second process on the same cores is worth its start and its memory. It takes
about 1 s of processor time where workers are forked, and 8 s elsewhere.
"""
AHEAD = 4
"""Waiting runs whose needs are asked for before their turn, so that none waits for the answer."""
WEIGHING = "It is being checked whether it can run next to the others."
ALL_CORES = "It starts when the runs before it have ended, because one of them or itself uses all cores."
MEMORY = "It starts when runs before it have ended: together they need more memory than is free."


@dataclass(frozen=True)
class Choice:
    """A run that starts now.

    Attributes:
        worker: the address of the worker; empty if Dask is to choose one.
        resource: the Dask resource that it needs.
    """

    job: Job
    worker: str
    resource: str


class Dispatcher:
    """Chooses workers for runs, for the engine's thread."""

    def __init__(self) -> None:
        self._models: dict[str, Hashable] = {}  # by worker: what it computed last
        self._free: int | None = None  # the host's free bytes before the first of the runs that are running
        self.devices = 1  # how many runs can be computed at the same time, as of the last choice

    def choose(self, cluster: Cluster, sent: Sequence[Job], waiting: Sequence[Job]) -> list[Choice]:
        """Return which of the waiting runs start now, and where. May start a worker for a later choice.

        Args:
            sent: the runs that workers have.
            waiting: those that may start, in order.

        Raises:
            TimeoutError: the scheduler does not answer.
        """
        workers = cluster.workers()
        self._models = {one.address: self._models.get(one.address) for one in workers}
        self.devices = sum(one.resources.get(DEVICE, 0) for one in workers)
        choose = self._choose_elsewhere if cluster.fleet is None else self._choose_here
        return list(choose(cluster, workers, sent, waiting))

    def _choose_elsewhere(
        self, cluster: Cluster, workers: Sequence[WorkerState], sent: Sequence[Job], waiting: Sequence[Job]
    ) -> Iterator[Choice]:
        """Yield the choices on an existing cluster, which other apps may use, too."""
        free = self.devices - len(sent)
        if free <= 0:
            return
        computing = {
            address
            for address, keys in cluster.holders().items()
            if any(key.startswith(worker.compute.__name__) for key in keys)
        }
        taken = computing | {job.worker for job in sent}
        idle = [one for one in workers if DEVICE in one.resources and one.address not in taken]
        for job in waiting[:free]:
            yield Choice(job, self._take(job.recipe, idle), DEVICE)

    def _choose_here(
        self, cluster: Cluster, workers: Sequence[WorkerState], sent: Sequence[Job], waiting: Sequence[Job]
    ) -> Iterator[Choice]:
        """Yield the choices on this machine, for the embedded engine."""
        fleet, running = cluster.fleet, list(sent)
        assert fleet is not None
        free = [one for one in workers if one.address not in {job.worker for job in sent}]
        if running and (len(workers) > 1 or fleet.can_grow(DEVICE)):
            for job in (*running, *waiting[:AHEAD]):
                _weighed(cluster, job)
        full = set[str | None]()
        for job in waiting:
            resource = fleet.resource(job.recipe.device)
            idle = [one for one in free if resource in one.resources]
            if resource is None or resource in full:
                continue
            job.obstacle = ""
            if not idle:
                full.add(resource)
                if self._is_worth_a_worker(cluster, fleet, job, running, len(waiting), resource):
                    fleet.grow(resource)
            elif running and (obstacle := self._obstacle(cluster, fleet, job, running)):
                job.obstacle = obstacle
                return
            else:
                if not running:
                    self._free = host_free()
                choice = Choice(job, self._take(job.recipe, idle), resource)
                free = [one for one in free if one.address != choice.worker]
                running.append(job)
                yield choice

    def _take(self, recipe: Recipe, idle: list[WorkerState]) -> str:
        """Remove the best worker for a recipe from the idle ones and return its address; empty if none is."""
        if not idle:
            return ""
        model: Hashable = (recipe.model, recipe.revision, recipe.dtype)
        preference = {model: 0, None: 1}  # it has the model; it has none to lose; any other
        best = min(idle, key=lambda one: preference.get(self._models[one.address], 2))
        idle.remove(best)
        self._models[best.address] = model
        return best.address

    def _is_worth_a_worker(
        self, cluster: Cluster, fleet: Fleet, job: Job, running: Sequence[Job], waiting: int, resource: str
    ) -> bool:
        if not fleet.can_grow(resource):
            return False
        if not fleet.shares_cpu:
            return True
        return waiting >= MANY and not self._obstacle(cluster, fleet, job, running, PROGRAM)

    def _obstacle(
        self, cluster: Cluster, fleet: Fleet, job: Job, running: Sequence[Job], program: int = 0
    ) -> str:
        """Return why a run cannot start next to others on this machine; empty if it can.

        Args:
            program: bytes of a process that has to be started for it.
        """
        needs = [_weighed(cluster, each) for each in (job, *running)]
        if None in needs:
            return WEIGHING
        known = [each for each in needs if each is not None]
        if fleet.shares_cpu and not all(each.one_thread for each in known):
            return ALL_CORES
        # All against what was free before them, since it is not known how much of it the others have taken
        # yet; and this one against what is free now, which other programs may have taken.
        together, alone = sum(each.host for each in known) + program, known[0].host + program
        if _exceeds(together, self._free) or _exceeds(alone, host_free()):
            return MEMORY
        return ""


def _exceeds(needed: int, free: int | None) -> bool:
    return free is not None and needed > USED * free


def _weighed(cluster: Cluster, job: Job) -> Needs | None:
    """Return what a run needs; None until a worker has said it."""
    if job.needs is None and job.weighing is None:
        home = str(job.folder.path.parents[1])
        job.weighing = cluster.submit(worker.weigh, home, job.recipe.model_dump(mode="json"))
    elif job.needs is None and job.weighing is not None and job.weighing.done():
        answer = cluster.result(job.weighing)
        # Not known, for instance because the model is not: it runs alone on the cores, and says why it fails.
        job.needs = Needs() if answer is None or answer.value is None else answer.value
        job.weighing = None
    return job.needs

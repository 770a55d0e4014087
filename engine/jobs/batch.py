"""Many runs on a cluster, for a caller that waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence

from engine.errors import EngineError
from engine.jobs.cluster import Cluster
from engine.jobs.embedded import Embedded
from engine.jobs.exposure import exposures
from engine.jobs.queue import NO_DEVICE, RunQueue
from engine.jobs.silence import Silence
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.runs import Store

GRACE = 5.0  # seconds for a run to stop after its block when the caller does
PAUSE = 1.0  # seconds between two looks at the cluster; the end of a run is noticed immediately
QUICK = 0.1  # the same while runs are being stopped


def compute(
    recipes: Sequence[Recipe], scheduler: str | None, store: Store, notify: Callable[[str], None]
) -> Generator[RunRecord, None, None]:
    """Compute pinned recipes on all workers of a cluster, and yield the record of each as it ends, or
    immediately if it is in the store. If the caller stops, the runs are cancelled.

    Args:
        scheduler: the address of a Dask scheduler, whose workers see the store; None starts workers here.
        notify: receives sentences about what the runs wait for.

    Raises:
        EngineError: the scheduler or its workers cannot be used, or the scheduler ended.
        StoreError: the store cannot take a run.
    """
    for sentence in exposures(store.home, scheduler):
        notify(sentence)
    wake = threading.Event()
    cluster = Cluster(store.home, scheduler or Embedded(), wake.set)
    queue = RunQueue(store, GRACE, wake.set)
    try:
        for recipe in recipes:
            queue.submit(recipe)
        waiting, said = [recipe.key for recipe in recipes], set[Silence]()
        told = False  # that there is no worker
        while True:
            queue.drive(cluster)
            active = queue.active()
            for key in [key for key in waiting if key not in active]:
                waiting.remove(key)
                yield queue.view(key).record
            if not waiting:
                return
            if not cluster.alive:
                ended = "The process with the workers has ended. Repeat"
                if scheduler:
                    ended = f"The scheduler {scheduler} has ended. Start it and its workers again, and repeat"
                raise EngineError(f"{ended} the command: finished runs are kept, the others resume.")
            if not (queue.devices or told):
                told = True
                notify(NO_DEVICE)
            for silence in queue.silences() - said:
                notify(silence.sentence)
                said.add(silence)
            wake.wait(PAUSE)
            wake.clear()
    finally:
        _stop(queue, cluster)
        queue.close()
        cluster.close()


def _stop(queue: RunQueue, cluster: Cluster) -> None:
    """Cancel what has not ended, and wait for it."""
    for key in queue.active():
        queue.cancel(key)
    while queue.active():
        if not cluster.alive:
            return queue.lost("The scheduler ended.")
        queue.drive(cluster)
        time.sleep(QUICK)

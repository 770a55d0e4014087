"""The process of the embedded cluster: a scheduler, and a nanny that restarts the worker when it dies.

Started by `engine.jobs.cluster` as `python -m engine.jobs.serve`; the first line of its input is the
credentials (see `engine.jobs.tls`), the first line of its output the scheduler's address. It ends, and its
worker with it, as soon as its standard input is closed: by the app, or because the app was killed.

While nothing runs, the cluster takes well under 1 % of a core; with Dask's defaults it takes 5 %, for health
checks and statistics meant for clusters of many machines (`tests.benchmarks.idle` measures it).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import dask
from distributed import Nanny, Scheduler

from engine.jobs.tls import Credentials

THREADS = 3  # one for the run, which holds the device, and `engine.jobs.questions.AT_ONCE` for questions
PATIENCE = 4.0  # seconds for an orderly shutdown
HEARTBEAT = 30.0  # seconds between the worker's reports; the nanny notices its death, so they are not urgent

SETTINGS = {
    # Dask gives each of its workers one computing thread; ours is the only one on the machine.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": None,
        "MKL_NUM_THREADS": None,
        "OPENBLAS_NUM_THREADS": None,
    },
    "distributed.worker.daemon": True,
    # Checks whether the event loop is responsive, 50 times a second. Importing torch holds the interpreter
    # for seconds, which would be reported as a fault.
    "distributed.admin.tick.interval": "1 h",
    "distributed.admin.tick.cycle": "1 h",
    "distributed.admin.tick.limit": "2 h",
    # Pages about the cluster that anybody on the machine could read; Dask starts their server in any case.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Statistics for Dask's dashboard, which is off.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "1 h",
    "distributed.admin.system-monitor.gil.enabled": False,
    # Moving work and data between workers; there is only one.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}


class QuietScheduler(Scheduler):
    """A scheduler without Dask's frequent checks, whose intervals are fixed in its code."""

    def heartbeat_worker(self, **report: Any) -> dict[str, Any]:
        """Take a worker's report and say when the next one is due; Dask would ask for two a second."""
        reply: dict[str, Any] = super().heartbeat_worker(**report)
        return reply | {"heartbeat-interval": HEARTBEAT}

    def start_periodic_callbacks(self) -> None:
        """Start the periodic checks except two that run four times a second for timeouts that are not set."""
        for name in ("idle-timeout", "no-workers-timeout"):
            self.periodic_callbacks.pop(name, None)
        super().start_periodic_callbacks()  # type: ignore[no-untyped-call]


async def serve(credentials: Credentials) -> None:
    """Run until standard input is closed; only clients with the same credentials are accepted."""
    closed = asyncio.Event()
    threading.Thread(target=_watch, args=(asyncio.get_running_loop(), closed), daemon=True).start()
    local: dict[str, Any] = {
        "host": "127.0.0.1",
        "protocol": "tls",
        "security": credentials,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    worker: dict[str, Any] = {
        "nthreads": THREADS,
        "resources": {"DEVICE": 1},
        "memory_limit": 0,  # no limit; also switches off two memory checks
        "silence_logs": logging.ERROR,
    }
    async with QuietScheduler(**local, port=0, allowed_failures=0) as scheduler:
        print(scheduler.address, flush=True)
        # nothing reads standard output from here on, and the worker must not block on a full pipe
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        async with Nanny(scheduler.address, **local, **worker) as nanny:
            await closed.wait()
            # the worker has nothing to save: a run's folder is consistent at any moment
            await nanny.close(timeout=0.2)


def _watch(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    """Wait until standard input is closed, then for an orderly shutdown, but not forever."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    loop.call_soon_threadsafe(closed.set)
    time.sleep(PATIENCE)
    os._exit(1)  # the worker watches this process and ends with it


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.ERROR)
    # An empty line: the app ended before it could send them.
    if line := sys.stdin.readline():
        # On a busy machine the worker may not end in time; it ends with this process.
        with dask.config.set(SETTINGS), suppress(TimeoutError):
            asyncio.run(serve(Credentials.from_line(line)))

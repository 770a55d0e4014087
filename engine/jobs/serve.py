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

from engine.jobs.dask_settings import DEVICE, SCHEDULER, THREADS, WORKER
from engine.jobs.tls import Credentials

PATIENCE = 4.0  # seconds for an orderly shutdown
HEARTBEAT = 5.0  # seconds between the worker's reports; the app notices by them that it has stopped answering


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
        "resources": {DEVICE: 1},
        "memory_limit": 0,  # no limit; also switches off two memory checks
        "silence_logs": logging.CRITICAL,
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
        with dask.config.set(WORKER | SCHEDULER), suppress(TimeoutError):
            asyncio.run(serve(Credentials.from_line(line)))

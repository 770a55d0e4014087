"""The embedded cluster: a scheduler, and a nanny per worker, which restarts it when it dies.

It runs in a process of its own, see `engine.jobs.serve`. The first line of its input is the credentials (see
`engine.jobs.tls`), the first line of its output the scheduler's address. Each further line of its input is an
order of `engine.jobs.embedded`, to start or end a worker besides the first. It ends, and its workers with it,
as soon as its standard input is closed: by the app, or because the app was killed.

While nothing runs, the cluster takes well under 1 % of a core; with Dask's defaults it takes 5 %, for health
checks and statistics meant for clusters of many machines (`tests.benchmarks.idle` measures it).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import dask
import distributed.utils
from distributed import Nanny, Scheduler

from engine.jobs.dask_settings import SCHEDULER, THREADS, WORKER
from engine.jobs.fleet import FIRST, WorkerSpec
from engine.jobs.tls import Credentials
from engine.jobs.worker_process import Ready

PATIENCE = 4.0  # seconds for an orderly shutdown
HEARTBEAT = 5.0  # seconds between a worker's reports; the app notices by them that it has stopped answering

_log = logging.getLogger(__name__)


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
    lines: asyncio.Queue[str] = asyncio.Queue()
    threading.Thread(target=_read, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    local: dict[str, Any] = {
        "host": "127.0.0.1",
        "protocol": "tls",
        "security": credentials,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }
    async with QuietScheduler(**local, port=0, allowed_failures=0) as scheduler:
        print(scheduler.address, flush=True)
        # nothing reads standard output from here on, and the worker must not block on a full pipe
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        nannies = {FIRST.name: _nanny(scheduler.address, local, FIRST)}
        await nannies[FIRST.name]
        tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds its tasks weakly
        while line := await lines.get():
            order = json.loads(line)
            if "start" in order:
                spec = WorkerSpec(**order["start"])
                # Warm before the scheduler learns of it, so that no run waits for it.
                nanny = nannies[spec.name] = _nanny(scheduler.address, local, spec, plugins=(Ready(),))
                tasks.add(asyncio.create_task(_start(nanny)))
            else:
                tasks.add(asyncio.create_task(_close(nannies.pop(order["end"]))))
        await asyncio.gather(*map(_close, nannies.values()))


def _nanny(address: str, local: dict[str, Any], spec: WorkerSpec, **options: Any) -> Nanny:
    return Nanny(
        address,
        name=spec.name,
        nthreads=THREADS,
        resources=dict(spec.resources),
        memory_limit=0,  # no limit; also switches off two memory checks
        env=dict(spec.environment),
        silence_logs=logging.CRITICAL,
        **local,
        **options,
    )


async def _start(nanny: Nanny) -> None:
    """Start a worker besides the first, without which the engine works as well."""
    try:
        await nanny
    except Exception as error:  # whatever its process raised
        _log.warning("A further worker could not start (%s: %s).", type(error).__name__, error)


async def _close(nanny: Nanny) -> None:
    """End a worker. It has nothing to save: a run's folder is consistent at any moment."""
    with suppress(Exception):  # it may be starting, or have ended
        await nanny.close(timeout=0.2)


def _read(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """Pass the lines of standard input on; then wait for an orderly shutdown, but not forever."""
    while True:
        line = sys.stdin.readline()  # empty at the end
        loop.call_soon_threadsafe(lines.put_nowait, line)
        if not line:
            break
    time.sleep(PATIENCE)
    os._exit(1)  # the workers watch this process and end with it


def main(method: str) -> None:
    """Read the credentials and run.

    Args:
        method: how workers are started, one of `multiprocessing`'s methods.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    # What a fork server imports is chosen already; Dask would import pandas here to choose it.
    distributed.utils._forkserver_preload_set = True
    # An empty line: the app ended before it could send them.
    if line := sys.stdin.readline():
        settings = {**WORKER, **SCHEDULER, "distributed.worker.multiprocessing-method": method}
        # On a busy machine the workers may not end in time; they end with this process.
        with dask.config.set(settings), suppress(TimeoutError):
            asyncio.run(serve(Credentials.from_line(line)))

"""The process of the embedded cluster: a scheduler, and a nanny that starts the worker process anew whenever
it dies.

Started by `engine.jobs.cluster` as `python -m engine.jobs.serve`; the first line of its output is the
scheduler's address. It ends, and its worker with it, as soon as its standard input does: when the app closes
that, and also when the app is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from typing import Any

import dask
from distributed import Nanny, Scheduler

THREADS = 3  # one for the run, which holds the device, and two for short questions beside it (see `answers`)
PATIENCE = 4.0  # seconds for an orderly end

SETTINGS = {
    # Dask gives its workers one computing thread each; ours is alone and has the machine.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": None,
        "MKL_NUM_THREADS": None,
        "OPENBLAS_NUM_THREADS": None,
    },
    "distributed.worker.profile.enabled": False,
    # importing torch holds the interpreter for seconds, which is no fault
    "distributed.admin.tick.limit": "1 h",
    "distributed.worker.daemon": True,
}


async def serve() -> None:
    """Run until the standard input ends."""
    gone = asyncio.Event()
    threading.Thread(target=_watch, args=(asyncio.get_running_loop(), gone), daemon=True).start()
    local: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    alone: dict[str, Any] = {
        "nthreads": THREADS,
        "resources": {"DEVICE": 1},
        "memory_limit": 0,
        "silence_logs": logging.ERROR,
    }
    async with Scheduler(**local, port=0, allowed_failures=0) as scheduler:
        print(scheduler.address, flush=True)
        os.dup2(
            sys.stderr.fileno(), sys.stdout.fileno()
        )  # nobody reads on, and a worker must not stop at a full pipe
        async with Nanny(scheduler.address, **local, **alone) as nanny:
            await gone.wait()
            await nanny.close(
                timeout=0.2
            )  # the worker has nothing to save: a run folder is whole at any moment


def _watch(loop: asyncio.AbstractEventLoop, gone: asyncio.Event) -> None:
    """Wait for the end of the standard input, then for an orderly end, but not forever."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    loop.call_soon_threadsafe(gone.set)
    time.sleep(PATIENCE)
    os._exit(1)  # the worker watches this process and ends with it


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(SETTINGS):
        asyncio.run(serve())

"""A worker of an existing cluster: `python -m engine worker ADDRESS`.

This process is a nanny, which starts the worker as a process of its own and restarts it when it dies. The
worker computes one run at a time and answers questions next to it, as the app's own worker does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import resource_tracker

import dask
from distributed import Nanny, Security, Worker, WorkerPlugin, rpc

from engine.errors import EngineError
from engine.jobs import dask_settings
from engine.jobs.versions import PRUNESCOPE, current, difference
from engine.jobs.worker import warm_up

CONNECT = 15.0  # seconds until the scheduler answers
START = 180.0  # seconds until the worker's process is connected, mostly for imports
CLOSE = 2.0  # seconds until a run that is being computed is killed; its finished blocks are kept
ROLES = {"tls_ca_file": "tls_ca_file", "tls_cert": "tls_worker_cert", "tls_key": "tls_worker_key"}
"""Options, as `dask worker` has them -> fields of `Security`."""


class Ready(WorkerPlugin):
    """Warms a worker process up before the scheduler learns of it, so that no run waits for it."""

    async def setup(self, worker: Worker) -> None:
        await asyncio.to_thread(warm_up)


def run_worker(
    address: str, *, name: str | None, environment: Mapping[str, str], tls: Mapping[str, str]
) -> None:
    """Run a worker until Ctrl-C or SIGTERM.

    Args:
        address: the scheduler's.
        name: shown where the worker is mentioned; None for its address.
        environment: variables of the worker's process, for instance `OMP_NUM_THREADS`.
        tls: files by option (see `ROLES`); what is missing comes from Dask's own configuration.

    Raises:
        EngineError: the scheduler does not answer or has another version, or it ended.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in sentences
    with dask.config.set(dask_settings.WORKER):
        try:
            security = Security(**{ROLES[option]: file for option, file in tls.items()})  # type: ignore[no-untyped-call]
            asyncio.run(_serve(address, name, environment, security))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        # TypeError: a tls:// address without certificates
        except (OSError, TypeError, ValueError, TimeoutError) as error:
            reason = str(error) or f"no answer for {CONNECT:.0f} s"
            raise EngineError(
                f"The scheduler {address} cannot be used ({reason}). Start it with `dask scheduler`, or "
                "correct the address or the TLS files."
            ) from error


async def _serve(address: str, name: str | None, environment: Mapping[str, str], security: Security) -> None:
    async with asyncio.timeout(CONNECT):
        await _check_versions(address, security)
    task = asyncio.current_task()
    assert task is not None
    _cancel_on_signals(task)
    nanny = Nanny(
        address,
        name=name,
        nthreads=dask_settings.THREADS,
        resources={dask_settings.DEVICE: 1},
        memory_limit=0,  # no limit: a run needs what it needs, and says before if that is too much
        env=dict(environment),
        security=security,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        plugins=(Ready(),),
    )
    try:
        await _start(nanny)
        print(f"The worker is connected to {address}. Ctrl-C ends it.", file=sys.stderr, flush=True)
        await nanny.finished()  # type: ignore[no-untyped-call]
    finally:
        await nanny.close(timeout=CLOSE)
    raise EngineError(f"The scheduler {address} has ended, so this worker ends as well.")


def _cancel_on_signals(task: asyncio.Task[None]) -> None:
    """Cancel a task on SIGTERM and Ctrl-C."""
    loop = asyncio.get_running_loop()
    if not hasattr(signal, "pthread_sigmask"):  # on Windows, where Ctrl-C cancels the main task
        return
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    # Now, because it unblocks the signal in the thread that starts it: later, in that of the worker.
    resource_tracker.ensure_running()
    # A terminal sends Ctrl-C to all its processes. Blocked in this one, it is blocked in the worker, too,
    # which would write a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        loop.call_soon_threadsafe(task.cancel)

    threading.Thread(target=wait, daemon=True).start()


async def _start(nanny: Nanny) -> None:
    """Wait until the worker is connected.

    Raises:
        EngineError: it is not.
    """
    try:
        async with asyncio.timeout(START):
            await nanny
    except Exception as error:  # whatever its process raised, for instance because its name is taken
        cause = error.__cause__ or error
        raise EngineError(f"The worker could not start ({type(cause).__name__}: {cause}).") from error


async def _check_versions(address: str, security: Security) -> None:
    """Check that this worker can work for the scheduler, and for the app that uses it.

    Raises:
        EngineError: a version differs.
        OSError: the scheduler does not answer.
        ValueError: the address is none.
    """
    arguments = security.get_connection_args("worker")  # type: ignore[no-untyped-call]
    async with rpc(address, connection_args=arguments) as scheduler:  # type: ignore[no-untyped-call]
        packages = (await scheduler.versions())["packages"]
        app = await scheduler.get_metadata(keys=[PRUNESCOPE], default=None)
    if what := difference(packages):
        raise EngineError(f"The scheduler {address} has {what}. Install the same version on both.")
    if app not in (None, current()):
        raise EngineError(
            f"The app that uses the scheduler {address} is Prunescope {app}, but this worker is "
            f"{current()}, so results may differ. Install the same version here; if it is the app that is "
            "old, update and start it first."
        )

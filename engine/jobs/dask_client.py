"""What the connection needs of Dask: a client, the warm-up of workers, tasks, and calls that only workers
unpickle.

Nothing heavy is imported: a nanny that is to kill its worker imports this module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from distributed import Client, Nanny, Worker, WorkerPlugin

from engine.jobs import worker
from engine.jobs.worker import read_ahead, warm_up


class WarmUp(WorkerPlugin):
    """Warms a worker process up as soon as it starts, in a thread next to its tasks.

    Args:
        home: of the store that the worker sees.
    """

    name = "prunescope-warm-up"

    def __init__(self, home: str) -> None:
        self._home = home

    def setup(self, worker: Worker) -> None:
        # A daemon thread, so that a slow import does not keep an ending worker process alive.
        threading.Thread(target=self._warm_up, name=self.name, daemon=True).start()

    def _warm_up(self) -> None:
        warm_up()
        read_ahead(self._home)


class ClosingClient(Client):
    """A client that closes if it cannot connect. Dask's own does so for some errors only; after the others,
    such as an unknown protocol, the process would wait half a minute for it at its end.
    """

    async def _start(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._start(*args, **options)  # type: ignore[no-untyped-call]
        except Exception:
            await self._close()
            raise


async def kill_worker(dask_worker: Nanny) -> None:
    """Kill a nanny's worker process; the nanny starts another. Dask passes its nanny under this name."""
    process = dask_worker.process and dask_worker.process.process
    if process is not None:
        await process.kill()


class Call:
    """A call of `engine.jobs.worker.call` that happens when it is unpickled, which a worker does."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._parts = function, *args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return worker.call, self._parts


class Task(Protocol):
    """The part of `distributed.Future` that is used."""

    key: str
    status: str

    def done(self) -> bool: ...

    def cancel(self) -> object: ...

    def result(self, timeout: float) -> Any: ...

    def add_done_callback(self, fn: Callable[[Task], object]) -> object: ...

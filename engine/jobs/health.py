"""Whether the engine works, for health checks: its workers are asked, whatever was last heard of them.

The sentences name no path and no address, because the app shows them to everyone who reaches it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine import VERSION

if TYPE_CHECKING:
    from engine.jobs.cluster import Cluster
    from engine.jobs.views import EngineStatus

PATIENCE = 5.0  # seconds for a worker to answer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """Whether the engine works.

    Attributes:
        state: `starting` also if the engine was not needed yet.
        message: a sentence that says so.
        version: of the worker that answered, otherwise of the app.
        places: what runs can be computed on, as far as the workers have said so.
    """

    state: Literal["starting", "ok", "failed"]
    message: str
    version: str = VERSION
    places: tuple[str, ...] = ()


NOT_STARTED = Health("starting", "The app answers. The background engine starts with the first visit.")
STARTING = Health("starting", "The background engine is starting.")
FAILED = Health("failed", "The background engine could not be started. The app's log says why.")
ENDED = Health("failed", "The background engine ended unexpectedly. It restarts with the next run.")
STOPPED = Health("failed", "The background engine has stopped for good. Restart the app.")
SILENT = Health("failed", f"No worker of the background engine answers within {PATIENCE:g} seconds.")


def check(status: EngineStatus, cluster: Cluster | None) -> Health:
    """Return whether the engine with this status and cluster works; takes up to `PATIENCE` seconds."""
    if status.state == "starting":
        return STARTING
    if status.state == "failed":
        return FAILED
    if cluster is None or not cluster.alive:
        return ENDED
    try:
        version = cluster.version(PATIENCE)
        return Health("ok", "The background engine works.", version, tuple(cluster.places))
    except Exception as error:  # the cluster may end or be closed meanwhile, which Dask reports in many ways
        _log.warning("Health check: %s (%s: %s)", SILENT.message, type(error).__name__, error)
        return SILENT

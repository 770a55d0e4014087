"""How our scheduler and workers differ from Dask's defaults, which are meant for many machines and many small
tasks.
"""

from typing import Any

DEVICE = "DEVICE"
"""A Dask resource: each worker has one, and each run needs one."""
CPU = "CPU"
"""What the embedded engine's worker without a GPU has instead, on a machine with GPUs."""
QUESTION = "QUESTION"
"""What each question to the embedded engine needs, and only its first worker has."""
THREADS = 4
"""Of a worker: one for the run, which holds the device, and `engine.jobs.questions.AT_ONCE` for questions."""

ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "65536",  # Dask's own choice: freed memory goes back to the system
    "DASK_LOGGING__DISTRIBUTED": "critical",  # our tasks log their own errors
}
"""Variables of a worker's process, read when it begins."""

WORKER: dict[str, Any] = {
    # Dask gives each of its workers one computing thread; ours has the machine, or what the user gives it.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": None,
        "MKL_NUM_THREADS": None,
        "OPENBLAS_NUM_THREADS": None,
        **ENVIRONMENT,
    },
    "distributed.worker.daemon": True,
    # Checks whether the event loop is responsive, 50 times a second. Importing torch holds the interpreter
    # for seconds, which would be reported as a fault.
    "distributed.admin.tick.interval": "1 h",
    "distributed.admin.tick.cycle": "1 h",
    "distributed.admin.tick.limit": "2 h",
    # Pages about the worker that anybody on the machine could read; Dask starts their server in any case.
    "distributed.worker.http.routes": [],
    # Statistics for Dask's dashboard, which is off.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "1 h",
    "distributed.admin.system-monitor.gil.enabled": False,
}

SCHEDULER: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    # A silent worker, perhaps on a machine that was asleep, may continue; the nanny notices its death.
    "distributed.scheduler.worker-ttl": None,
    # Moving work and data between workers; `engine.jobs.dispatch` chooses the worker.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}

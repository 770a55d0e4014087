"""The process of the embedded cluster, `python -m engine.jobs.serve`: it runs `engine.jobs.local_cluster`.

On Linux the workers are forked from a process that has imported everything (`multiprocessing`'s fork server),
so a further worker, or one that replaces a killed one, is there in less than a second instead of several.
That process computes nothing: it has no threads, and CUDA is not in use, so it can be forked safely. It
imports while this one imports Dask.

Each worker runs this module, too, so it imports little.
"""

import os
import sys

from engine.jobs.dask_settings import ENVIRONMENT

PRELOADED = "engine.jobs.preloaded"

if __name__ == "__main__":
    # Before 3.11.1, other users of the machine could reach a fork server (CVE-2022-42919).
    forked = sys.platform == "linux" and sys.version_info >= (3, 11, 1)
    if forked:
        from multiprocessing import forkserver, set_forkserver_preload

        os.environ.update({**ENVIRONMENT, **os.environ})  # Dask sets them for the processes that it spawns
        set_forkserver_preload([PRELOADED])
        forkserver.ensure_running()

    from engine.jobs.local_cluster import main

    main("forkserver" if forked else "spawn")

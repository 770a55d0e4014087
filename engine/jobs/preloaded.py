"""What the process imports from which the embedded cluster forks its workers, see `engine.jobs.serve`.

It must compute nothing, not even once: a thread of OpenMP or CUDA would not exist in a forked process, which
waits for it forever.
"""

import gc
from contextlib import suppress

gc.disable()  # looking for garbage among what is being imported would take a tenth of the time
with suppress(Exception):  # a worker tries it again, and says what is missing
    import engine.jobs.local_cluster  # noqa: F401
    from engine.jobs.worker import import_libraries

    import_libraries()
# What the workers share with this process stays shared: looking for garbage in it would write to it.
gc.freeze()
gc.enable()

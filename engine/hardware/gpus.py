"""The GPUs that a process sees, and how another process is pinned to one of them.

torch counts them, because it decides what can be used: a driver's own list also has GPUs that this torch was
not built for. So this is asked in a worker, never in the app's process, which does without torch.
"""

from __future__ import annotations

import os
from itertools import takewhile

CUDA = "CUDA_VISIBLE_DEVICES"
MIG = "MIG-"


def visible_gpus() -> tuple[str, ...]:
    """Return for each visible GPU the value of `CUDA_VISIBLE_DEVICES` with which a process sees it alone.

    Those are entries of the variable as the user has set it (numbers, or names of GPUs or their MIG parts),
    and otherwise numbers from 0.
    """
    import torch

    count, seen = torch.cuda.device_count(), os.environ.get(CUDA)
    if seen is None:
        return tuple(map(str, range(count)))
    entries = [entry.strip() for entry in seen.split(",")]
    if count and entries[0].startswith(MIG):
        # CUDA shows a process only the first MIG part, however many it may use.
        return tuple(dict.fromkeys(takewhile(lambda entry: entry.startswith(MIG), entries)))
    # CUDA ignores what follows an entry that names no GPU, so the first `count` are the visible ones.
    return tuple(entries[:count])


def gpu_labels() -> dict[str, str]:
    """Return a label for people for each visible GPU, such as "GPU 1 · NVIDIA H100", by its name in
    `visible_gpus`.
    """
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    gpus = visible_gpus()
    names += names[:1] * (len(gpus) - len(names))  # MIG parts that CUDA does not show here
    return {gpu: f"{_short(gpu)} · {name}" for gpu, name in zip(gpus, names, strict=True)}


def _short(gpu: str) -> str:
    return f"GPU {gpu}" if gpu.isdecimal() else gpu[:12]  # of a name such as GPU-8932f937-d72c-...

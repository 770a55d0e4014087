"""What this machine has free now: memory of the host and of the accelerator, and disk.

An accelerator that shares the host's memory (MPS) has none of its own. Cost: a few small files; the first question to CUDA makes a context there.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from engine.free import device_free, disk_free, host_free


class Capacity(BaseModel):
    """What is free, in bytes.

    Attributes:
        host_free: memory of the host, None where the system does not say.
        device_free: memory of the accelerator, None on a CPU and where it is the host's.
        disk_free: of the disk that downloads go to.
        store_free: of the disk that runs are kept on, None where that was not asked.
        device: what `device_free` is about: cuda, mps or cpu.
    """

    model_config = ConfigDict(frozen=True)

    host_free: int | None
    device_free: int | None = None
    disk_free: int | None = None
    store_free: int | None = None
    device: str = "cpu"


def measure(device: str, downloads: Path, store: Path | None = None) -> Capacity:
    """What is free for a run on this device (cuda, mps or cpu), downloads into one directory and results in another; neither need be there yet."""
    return Capacity(
        host_free=host_free(),
        device_free=device_free() if device == "cuda" else None,
        disk_free=disk_free(downloads),
        store_free=None if store is None else disk_free(store),
        device=device,
    )

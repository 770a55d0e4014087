"""Which device and dtype a model runs in: cuda, then mps, then cpu; float32 on a CPU, on an accelerator what the model's file holds."""

from __future__ import annotations

import platform

import torch

from engine.errors import ModelError


def pick_device(asked: str = "auto") -> torch.device:
    """The device that is asked for, or the best there is.

    Raises:
        ModelError: it is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if not present[asked]:
        there = " and ".join(name for name, here in present.items() if here)
        raise ModelError(f"The device {asked} was asked for, but this machine has only {there}. Choose that, or auto.")
    return torch.device(asked)


def pick_dtype(asked: str, device: torch.device, stored: torch.dtype | None) -> torch.dtype:
    """The dtype that is asked for, or the right one for the device."""
    if asked != "auto":
        dtype: torch.dtype = getattr(torch, asked)
        return dtype
    half = stored in (torch.bfloat16, torch.float16)
    return stored if half and stored is not None and device.type != "cpu" else torch.float32


def device_name(device: torch.device) -> str:
    """What a person calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()

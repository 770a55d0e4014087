"""Why a model's numbers are NaN or infinite: its files, the dtype, or what it computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import ModelError, NonFiniteError, NumericsError
from engine.models.checkpoint import RELOAD, Checkpoint

WIDER = "Choose bfloat16 or float32 (--dtype)."


def with_cause(error: NonFiniteError, directory: Path, name: str, dtype: torch.dtype) -> NumericsError:
    """Return an error that also says why a model's numbers are not finite, and what to do.

    Args:
        directory: the model's files, all of which are read.
        name: what error messages call the model.
        dtype: in which it was computed.
    """
    return NumericsError(f"{error} {_cause(directory, name, dtype)}")


def _cause(directory: Path, name: str, dtype: torch.dtype) -> str:
    """Return what makes the numbers of a model not finite, and what to do."""
    kind, largest = str(dtype).removeprefix("torch."), torch.finfo(dtype).max
    for tensor, file, weight in _weights(directory, name):
        wrong = weight.numel() - int(weight.isfinite().sum())
        if wrong:
            return (
                f"The cause is the file {file} of {name}: {wrong:,} of the {weight.numel():,} numbers in "
                f"{tensor} are NaN or infinite. {RELOAD}"
            )
        if weight.numel() and (most := float(weight.abs().max())) > largest:
            return (
                f"The cause is the dtype: {tensor} holds numbers up to {most:,.0f}, but {kind} ends at "
                f"{largest:,.0f}. {WIDER}"
            )
    if dtype == torch.float16:
        return (
            f"The weights in the files are finite, so the cause is the dtype: the activations exceed "
            f"{largest:,.0f}, the largest number in float16. {WIDER}"
        )
    return (
        f"The weights in the files are finite, and {kind} holds numbers up to {largest:.1e}, so the cause is "
        "what this model makes of this text. Choose another text or another model."
    )


def _weights(directory: Path, name: str) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the name, the file and the values of every tensor of real numbers, one at a time, in float32 or
    wider; nothing if the files cannot be read.
    """
    try:
        for path in Checkpoint(directory, name).paths:
            with safe_open(path, framework="pt") as file:
                for tensor in sorted(file.keys()):
                    weight = file.get_tensor(tensor)
                    if weight.is_floating_point():
                        # also because an 8-bit float has no `isfinite`
                        yield tensor, path.name, weight if weight.dtype == torch.float64 else weight.float()
    except (ModelError, SafetensorError, OSError):
        return

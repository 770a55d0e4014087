"""Results of an accelerator on the host, without waiting for it at every step.

An accelerator computes what is queued, and reading a number waits for everything before it. So numbers that
belong together are read in one transfer (`numbers`), conditions are checked together (`checked_together`),
and large tensors travel on a stream of their own into page-locked memory while the next ones are computed
(`HostCopies`). On a CPU there is nothing to wait for: conditions are checked where they are stated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from engine.hardware.device import wait_for

if TYPE_CHECKING:
    from torch import Tensor


def numbers(tensors: Sequence[Tensor]) -> list[Any]:
    """Return the values of tensors without dimensions as Python numbers, in one transfer per dtype."""
    places: dict[tuple[torch.dtype, torch.device], list[int]] = defaultdict(list)
    for place, tensor in enumerate(tensors):
        places[tensor.dtype, tensor.device].append(place)
    found: list[Any] = [None] * len(tensors)
    for alike in places.values():
        for place, value in zip(alike, torch.stack([tensors[at] for at in alike]).tolist(), strict=True):
            found[place] = value
    return found


_Stated: TypeAlias = "list[tuple[Tensor, Callable[[], Exception]]]"
_stated: ContextVar[_Stated | None] = ContextVar("stated", default=None)


def require(condition: Tensor, error: Callable[[], Exception]) -> None:
    """Raise `error()` unless `condition`, a bool without dimensions, is true.

    Inside `checked_together` a condition on an accelerator is checked at the end.
    """
    stated = _stated.get()
    if stated is not None and condition.device.type != "cpu":
        stated.append((condition, error))
    elif not condition:
        raise error()


@contextmanager
def checked_together() -> Iterator[None]:
    """Check what is required inside the `with` at its end, in one transfer; the first condition that is false
    decides the error. Until then the results may be meaningless.
    """
    stated: _Stated = []
    before = _stated.set(stated)
    try:
        yield
    finally:
        _stated.reset(before)
    for holds, (_, error) in zip(numbers([condition for condition, _ in stated]), stated, strict=True):
        if not holds:
            raise error()


def parked(tensor: Tensor) -> Tensor:
    """Return a copy on the host, to be moved back by `returned`: neither waits for a GPU, because both copies
    are queued there. Reading numbers from it needs a transfer in between.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def returned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a parked tensor on its device; one that is there already as it is."""
    return tensor.to(device, non_blocking=True)


class HostCopies:
    """Copies of tensors of one device on the host, made while it computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def add(self, tensor: Tensor) -> Tensor:
        """Return a copy that may be read after `wait`; until then `tensor` must not be changed. On a CPU it
        is the tensor itself.
        """
        if self._side is None:
            return tensor.to("cpu", non_blocking=True)
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            # Only a copy into page-locked memory leaves the host free.
            copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            copy.copy_(tensor, non_blocking=True)
        tensor.record_stream(self._side)  # its memory is reused only after the copy
        return copy

    def wait(self) -> None:
        """Wait until all copies are complete."""
        if self._side is not None:
            self._side.synchronize()
        else:
            wait_for(self._device)

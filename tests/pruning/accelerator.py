"""An accelerator that a machine without one can have: tensors that compute on the CPU but are on the device
`meta`, which no code takes for a CPU.

Whatever would make the host wait is counted: reading a number, an operation whose result has a size that
depends on the data, and copies in either direction that are not `non_blocking`. An operation on tensors of
both sides fails, as it does on a GPU. Threads do not see the device: methods that use some run in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.hardware import transfers

DEVICE = torch.device("meta")
aten = torch.ops.aten
SIZED_BY_DATA = (
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.unique_consecutive.default,
    aten._unique2.default,
    aten.repeat_interleave.Tensor,
)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
READING = ("__bool__", "__float__", "__int__", "__index__", "item", "tolist")
ON_BOTH_SIDES = (aten._to_copy.default, aten.copy_.default, *INDEXING)
"""Operations that accept tensors of both sides; an index may be on the host."""

waits: Counter[str] = Counter()
"""How often the host waited, by what for."""


class DeviceTensor(Tensor):
    """A tensor on the simulated device; `held` is what it computes with."""

    is_meta = False  # it has data
    __torch_function__ = torch._C._disabled_torch_function_impl
    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> DeviceTensor:
        made: DeviceTensor = Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _reading(name: str) -> Any:
    read = getattr(Tensor, name)

    def counted(tensor: DeviceTensor, *args: Any) -> Any:
        waits[name] += 1
        return read(tensor.held, *args)

    return counted


for _name in READING:
    setattr(DeviceTensor, _name, _reading(_name))


class _Factories(TorchDispatchMode):
    """Makes new tensors on the simulated device if they are requested there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors: list[Tensor] = []
    plain_args, plain_kwargs = _on_host(args, tensors), _on_host(kwargs, tensors)
    there = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
    target = kwargs.get("device")
    if there and func not in ON_BOTH_SIDES:
        # A number in a host tensor without dimensions may meet tensors of a device.
        assert all(isinstance(tensor, DeviceTensor) or tensor.ndim == 0 for tensor in tensors), (
            f"{func} on both sides"
        )
    _count(func, args, kwargs, there)
    if target is not None:
        plain_kwargs["device"] = "cpu"
    result = func(*plain_args, **plain_kwargs)
    on_host = torch.device(target).type == "cpu" if target is not None else not there
    if on_host or (func is aten.copy_.default and not isinstance(args[0], DeviceTensor)):
        return result
    same = {id(tensor.held): tensor for tensor in there}  # operations in place return their argument

    def wrapped(made: Any) -> Any:
        if isinstance(made, Tensor):
            return same[id(made)] if id(made) in same else DeviceTensor(made)
        return type(made)(map(wrapped, made)) if isinstance(made, list | tuple) else made

    return wrapped(result)


def _on_host(given: Any, tensors: list[Tensor]) -> Any:
    """Return an operation's arguments with the data of tensors of the device; note all tensors.

    PyTorch's own function for this takes longer than the operations here.
    """
    if isinstance(given, Tensor):
        tensors.append(given)
        return given.held if isinstance(given, DeviceTensor) else given
    if isinstance(given, dict):
        return {name: _on_host(value, tensors) for name, value in given.items()}
    return (
        type(given)(_on_host(value, tensors) for value in given) if isinstance(given, list | tuple) else given
    )


def _count(func: Any, args: Any, kwargs: dict[str, Any], there: list[Tensor]) -> None:
    if func in SIZED_BY_DATA and there:
        waits[str(func)] += 1
    if func in INDEXING and there:
        waits["index by a mask"] += sum(index is not None and index.dtype == torch.bool for index in args[1])
        waits["index on the host"] += sum(
            index is not None and not isinstance(index, DeviceTensor) for index in args[1]
        )
    if func is aten._to_copy.default and "device" in kwargs and not kwargs.get("non_blocking"):
        crosses = isinstance(args[0], DeviceTensor) == (torch.device(kwargs["device"]).type == "cpu")
        waits["copy"] += crosses and (bool(there) or torch.device(kwargs["device"]) == DEVICE)
    if func is aten.copy_.default and not (len(args) > 2 and args[2]) and not kwargs.get("non_blocking"):
        waits["copy"] += isinstance(args[0], DeviceTensor) != isinstance(args[1], DeviceTensor)


@contextmanager
def simulated() -> Iterator[None]:
    """Provide the device inside the `with`, and begin to count."""
    waits.clear()
    with _Factories(), torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfers, "wait_for", lambda device: waits.update(["copies"]))
        yield


def move(module: nn.Module) -> None:
    """Put a module's parameters and buffers on the device."""
    for child in module.modules():
        for name, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[name] = nn.Parameter(DeviceTensor(parameter.data), requires_grad=False)
        for name, buffer in child._buffers.items():
            if buffer is not None:
                child._buffers[name] = DeviceTensor(buffer)

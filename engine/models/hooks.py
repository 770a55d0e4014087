"""Standing beside the calls of linears: seeing what goes in and out, replacing it, or leaving the product
out.

A linear with a module of its own is called as a module, and hooks see it. An expert's slice of a fused
parameter has no module: it is seen where `torch.nn.functional.linear` is given a weight that is a view of
that slice. So experts have to be computed one after the other (`compute_experts_separately`), in all of this project's
passes, for the grouped product differs in its last bits. On one CPU thread an OLMoE layer takes 1.3 to 1.5 s
of processor time for 1,024 tokens in float32, with the grouped product 1.5 to 2.0 s; on a GPU this was not
measured. Listening costs about 1.2 microseconds for each torch function, in blocks with experts alone.
Nothing outlives the `with`. Does not cover experts that are stored transposed or multiplied all at once:
those are never seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear as product
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function

from engine.models.block import Linear

Before = Callable[[str, Tensor], None]
"""Is told the name of the linear and its inputs `[..., in]`."""

After = Callable[[str, Tensor, Tensor, Tensor | None], Tensor | None]
"""Is told the name, the inputs, the outputs `[..., out]` and the bias; what it returns takes the outputs'
place, unless it is None.
"""

_Around = Callable[[str, Callable[..., Tensor], Tensor, Tensor, Tensor | None], Tensor]


def compute_experts_separately(model: nn.Module) -> None:
    """Let the model compute its experts one after the other, not in one grouped product, from now on."""
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # type: ignore[operator]


@contextmanager
def hooked(
    linears: Mapping[str, Linear], *, before: Before | None = None, after: After | None = None
) -> Iterator[None]:
    """Be told of the calls that this thread makes of `linears` while the `with` lasts; other windows may pass
    in another thread.
    """
    with ExitStack() as undo:
        for name, linear in linears.items():
            if linear.expert is None:
                _hook(undo, name, linear.module, before, after)
        if any(linear.expert is not None for linear in linears.values()):
            undo.enter_context(_Slices(linears, partial(_told, before, after)))
        yield


@contextmanager
def zeroed(linears: Iterable[Linear]) -> Iterator[None]:
    """Let linears be called, and seen to be called, but give zeros instead of a product, while the `with`
    lasts.

    It has to stand inside the `listening` that is to see the calls. A module is silenced for all threads, an
    expert for this one.
    """
    with ExitStack() as undo:
        experts = {}
        for linear in linears:
            if linear.expert is not None:
                experts[linear.path] = linear
                continue
            linear.module.forward = partial(_zeros, linear.shape[0])
            undo.callback(delattr, linear.module, "forward")
        if experts:
            undo.enter_context(_Slices(experts, lambda name, compute, *given: _silent(*given)))
        yield


def _hook(undo: ExitStack, name: str, module: nn.Module, before: Before | None, after: After | None) -> None:
    mine = threading.get_ident()
    if before is not None:

        def see(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if threading.get_ident() == mine:
                before(name, args[0])

        undo.callback(module.register_forward_pre_hook(see).remove)
    if after is not None:

        def see_output(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            return (
                after(name, args[0], output, getattr(module, "bias", None))
                if threading.get_ident() == mine
                else None
            )

        undo.callback(module.register_forward_hook(see_output).remove)


def _told(
    before: Before | None,
    after: After | None,
    name: str,
    compute: Callable[..., Tensor],
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
) -> Tensor:
    if before is not None:
        before(name, inputs)
    output = compute(inputs, weight, bias)
    replaced = after(name, inputs, output, bias) if after is not None else None
    return output if replaced is None else replaced


class _Slices(TorchFunctionMode):
    """Hands products with a slice of a fused parameter to `around`; a mode is its thread's own."""

    def __init__(self, linears: Mapping[str, Linear], around: _Around) -> None:
        super().__init__()
        self._around = around
        self._fused: dict[tuple[int, str], tuple[Linear, dict[int, str]]] = {}
        for name, linear in linears.items():
            if linear.expert is not None:
                _, names = self._fused.setdefault((id(linear.module), linear.parameter), (linear, {}))
                names[linear.expert] = name

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is product or func is _silent:
            inputs, weight, bias = _arguments(*args, **(kwargs or {}))
            name = self._name(weight)
            if name is not None:
                return self._around(name, func, inputs, weight, bias)
        return func(*args, **(kwargs or {}))

    def _name(self, weight: Tensor) -> str | None:
        """The linear whose slice this weight is a view of: same storage, shape and strides, and an offset
        that is whole slices.
        """
        for one, names in self._fused.values():
            stored = one.stored
            if weight.shape != stored.shape[1:] or weight.stride() != stored.stride()[1:]:
                continue
            if weight.untyped_storage().data_ptr() == stored.untyped_storage().data_ptr():
                expert, rest = divmod(
                    int(weight.storage_offset()) - int(stored.storage_offset()), stored.stride(0)
                )
                return names.get(expert) if rest == 0 else None
        return None


def _arguments(
    input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias


def _silent(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Zeros in the place of a product; modes that were entered before see it as the product that it stands
    for.
    """
    if has_torch_function((inputs, weight)):
        return handle_torch_function(_silent, (inputs, weight), inputs, weight, bias)
    return _zeros(len(weight), inputs)


def _zeros(width: int, inputs: Tensor) -> Tensor:
    return inputs.new_zeros(*inputs.shape[:-1], width)  # real memory, for some models add to it in place

"""A model seen as `blocks[i].linears[name]` with every weight `[out, in]`, whatever the class underneath, and
hooks on those linears, which observe inputs and outputs, replace outputs, or skip the product.

A linear that is a module is observed with module hooks. An expert's slice of a fused parameter is not a
module: it is recognised when `torch.nn.functional.linear` receives a weight that is a view of that slice. So
experts must be computed one after the other (`compute_experts_separately`), and in every pass of this
project, because the grouped product differs in its last bits. On one CPU thread an OLMoE layer takes 1.3 to
1.5 s of processor time for 1,024 tokens in float32, and 1.5 to 2.0 s with the grouped product; this was not
measured on a GPU. Observing costs about 1.2 microseconds per torch function, and only in blocks with experts.
Every hook is removed at the end of its `with`. Does not cover experts that are stored transposed or
multiplied together: those are never observed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Place(NamedTuple):
    """Where in a model a linear is.

    Attributes:
        path: its name within the model.
        attention: whether it is part of its block's attention.
        block: the index of its block, from 0.
        depth: the place of its block in the model, from 0 for the first to 1 for the last.
    """

    path: str = ""
    attention: bool = True
    block: int = 0
    depth: float = 0.0


NOWHERE = Place()
"""For a weight that belongs to no model."""


@dataclass(frozen=True)
class Linear:
    """One prunable linear layer of a block: a module, or one expert's slice of a fused parameter.

    Attributes:
        name: its name within the block, for instance `self_attn.q_proj` or `mlp.experts.3.gate_up_proj`.
        path: its name within the model, for instance `model.layers.0.self_attn.q_proj`.
        module: the module that holds its parameter; for a slice, the module of all experts.
        transposed: whether its weight is stored as `[in, out]` (a `Conv1D`).
        attention: whether it is part of the block's attention.
        expert: the expert whose slice it is, None if it has a parameter to itself.
        parameter: the parameter's name within the module.
        block, depth: see `Place`.
    """

    name: str
    path: str
    module: nn.Module
    transposed: bool = False
    attention: bool = False
    expert: int | None = None
    parameter: str = "weight"
    block: int = 0
    depth: float = 0.0

    @property
    def place(self) -> Place:
        return Place(self.path, self.attention, self.block, self.depth)

    @property
    def stored(self) -> nn.Parameter:
        """The parameter that holds the weight, `[experts, out, in]` for a slice.

        It is looked up each time, because a streamed model replaces it.
        """
        parameter: nn.Parameter = getattr(self.module, self.parameter)
        return parameter

    @property
    def stored_path(self) -> str:
        """The name of `stored` within the model."""
        # An expert's path ends with its number and the parameter's name.
        module = self.path if self.expert is None else self.path.rsplit(".", 2)[0]
        return f"{module}.{self.parameter}"

    @property
    def weight(self) -> Tensor:
        """The weight as `[out, in]`: a view of the stored parameter, never a copy."""
        # `.data`, because `write` modifies it in place, which autograd forbids on a parameter.
        return self.slice_of(self.stored.data)

    def slice_of(self, stored: Tensor) -> Tensor:
        """Return this linear's part of a tensor in the shape of `stored`, as a view `[out, in]`."""
        part = stored if self.expert is None else stored[self.expert]
        return part.T if self.transposed else part

    @property
    def shape(self) -> tuple[int, int]:
        """`(out, in)`."""
        rows, columns = self.weight.shape
        return rows, columns

    def write(self, weight: Tensor) -> None:
        """Replace the weight by `weight`, `[out, in]`, keeping the parameter's dtype, layout and device."""
        self.weight.copy_(weight)

    @property
    def bias(self) -> Tensor | None:
        """The bias `[out]`, None if there is none; an expert's bias is not known here."""
        found: Tensor | None = None if self.expert is not None else getattr(self.module, "bias", None)
        return None if found is None else found.data

    def write_bias(self, bias: Tensor | None) -> None:
        """Give the module this bias, `[out]`, in the dtype and on the device of the weight, or none.

        A module without one gets the parameter, so the model's class must be one that adds it
        (`engine.models.biases`).
        """
        assert self.expert is None, "experts have no module of their own"
        new = None if bias is None else torch.nn.Parameter(bias.to(self.weight), requires_grad=False)
        self.module.register_parameter("bias", new)


@dataclass(frozen=True)
class Call:
    """All arguments except the hidden states that one batch passes to one block, recorded for replay."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One decoder layer.

    Attributes:
        index: its position, from 0.
        path: its name within the model.
        module: the module underneath.
        linears: its linears by their name within the block, in the order of registration.
    """

    index: int
    path: str
    module: nn.Module
    linears: dict[str, Linear]

    def __call__(self, hidden: Tensor, call: Call) -> Tensor:
        """Return the block's output for hidden states `[windows, tokens, width]`, in the same shape.

        If the class returns a tuple or a list, its first element is the output.
        """
        output = self.module(hidden, *call.args, **call.kwargs)
        # older classes return `(hidden, attentions, cache)`
        return output[0] if isinstance(output, (tuple, list)) else output


Before: TypeAlias = "Callable[[str, Tensor], None]"
"""Called with the name of the linear and its inputs `[..., in]`."""

After: TypeAlias = "Callable[[str, Tensor, Tensor, Tensor | None], Tensor | None]"
"""Called with the name, the inputs, the outputs `[..., out]` and the bias.

What it returns replaces the outputs, unless it is None.
"""


def compute_experts_separately(model: nn.Module) -> None:
    """Make the model compute its experts one after the other, from now on, not in one grouped product."""
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # type: ignore[operator]


@contextmanager
def hooked(
    linears: Mapping[str, Linear],
    *,
    before: Before | None = None,
    after: After | None = None,
    every_thread: bool = False,
) -> Iterator[None]:
    """Call `before` and `after` for each call of `linears` while the `with` lasts.

    Args:
        every_thread: whether the calls of modules by all threads count. Otherwise only those by this one do:
            other windows may pass through the same modules in another thread.
    """
    thread = None if every_thread else threading.get_ident()
    with ExitStack() as undo:
        for name, linear in linears.items():
            if linear.expert is None:
                _hook(undo, name, linear.module, before, after, thread)
        # One mode for all experts: each further mode would intercept every torch function once more.
        if any(linear.expert is not None for linear in linears.values()):
            from engine.models.expert_slices import Slices

            undo.enter_context(Slices(linears, partial(_observe, before, after)))
        yield


@contextmanager
def zeroed(linears: Iterable[Linear]) -> Iterator[None]:
    """Make linears return zeros instead of a product while the `with` lasts; hooks still observe the calls.

    Enter it inside the `hooked` whose hooks are to be called. A module returns zeros in all threads, an
    expert only in this one.
    """
    from engine.models.expert_slices import Slices, zero_product, zeros

    with ExitStack() as undo:
        experts = {}
        for linear in linears:
            if linear.expert is not None:
                experts[linear.path] = linear
                continue
            # On the instance, where it shadows the class's method: `__call__` still runs the hooks.
            linear.module.forward = partial(zeros, linear.shape[0])
            undo.callback(delattr, linear.module, "forward")
        if experts:
            undo.enter_context(Slices(experts, lambda name, compute, *given: zero_product(*given)))
        yield


def _hook(
    undo: ExitStack,
    name: str,
    module: nn.Module,
    before: Before | None,
    after: After | None,
    thread: int | None,
) -> None:
    """Hook a module's calls by a thread, or by all."""
    if before is not None:

        def call_before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if thread in (None, threading.get_ident()):
                before(name, args[0])

        undo.callback(module.register_forward_pre_hook(call_before).remove)
    if after is not None:

        def call_after(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            return (
                after(name, args[0], output, getattr(module, "bias", None))
                if thread in (None, threading.get_ident())
                else None
            )

        undo.callback(module.register_forward_hook(call_after).remove)


def _observe(
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

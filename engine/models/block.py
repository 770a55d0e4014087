"""A model seen as `blocks[i].linears[name]`, with the weight always `[out, in]`, whatever the class
underneath.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Linear:
    """One prunable linear layer of a block: a module of its own, or one expert's slice of a fused parameter.

    Attributes:
        name: its name inside the block, for instance `self_attn.q_proj` or `mlp.experts.3.gate_up_proj`.
        path: its name in the whole model, for instance `model.layers.0.self_attn.q_proj`.
        module: the module that holds its parameter; for a slice that of all the experts.
        transposed: whether its weight is stored `[in, out]` (a `Conv1D`).
        attention: whether it is part of the block's attention.
        expert: the expert whose slice it is, None where the parameter is its own.
        parameter: the parameter's name in the module.
    """

    name: str
    path: str
    module: nn.Module
    transposed: bool = False
    attention: bool = False
    expert: int | None = None
    parameter: str = "weight"

    @property
    def stored(self) -> nn.Parameter:
        """The parameter that holds the weight, `[experts, out, in]` for a slice. Asked for each time, for a
        streamed model exchanges it.
        """
        parameter: nn.Parameter = getattr(self.module, self.parameter)
        return parameter

    @property
    def weight(self) -> Tensor:
        """The weight as `[out, in]`: a view of the stored parameter, never a copy."""
        stored = self.stored.data if self.expert is None else self.stored.data[self.expert]
        return stored.T if self.transposed else stored

    @property
    def shape(self) -> tuple[int, int]:
        """`(out, in)`."""
        rows, columns = self.weight.shape
        return rows, columns

    def write(self, weight: Tensor) -> None:
        """Replace the weight by `weight`, `[out, in]`, in the parameter's own dtype, layout and device."""
        self.weight.copy_(weight)


@dataclass(frozen=True)
class Call:
    """Everything but the hidden states that one batch passes to one block: recorded once, replayed as it was."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One decoder layer.

    Attributes:
        index: its place, from 0.
        path: its name in the whole model.
        module: the module underneath.
        linears: its linears by the name inside the block, in the order of registration.
    """

    index: int
    path: str
    module: nn.Module
    linears: dict[str, Linear]

    def __call__(self, hidden: Tensor, call: Call) -> Tensor:
        """Hidden states `[windows, tokens, width]` through the block; a tuple's first element where the class
        returns one.
        """
        output = self.module(hidden, *call.args, **call.kwargs)
        return output[0] if isinstance(output, tuple) else output


def share(new: Any, old: Any) -> Any:
    """`old` where `new` holds the same values (tensors compared entry by entry), so that equal call arguments
    are kept once.
    """
    if isinstance(new, Tensor) and isinstance(old, Tensor):
        same = new.shape == old.shape and new.dtype == old.dtype and torch.equal(new, old)
        return old if same else new
    if isinstance(new, tuple) and isinstance(old, tuple) and len(new) == len(old):
        return tuple(share(left, right) for left, right in zip(new, old, strict=True))
    if isinstance(new, dict) and isinstance(old, dict) and new.keys() == old.keys():
        return {key: share(value, old[key]) for key, value in new.items()}
    return new

"""A model seen as `blocks[i].linears[name]`, with every weight `[out, in]`, whatever the class underneath."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


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
        """The parameter that holds the weight, `[experts, out, in]` for a slice.

        It is looked up each time, because a streamed model replaces it.
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
        """Replace the weight by `weight`, `[out, in]`, keeping the parameter's dtype, layout and device."""
        self.weight.copy_(weight)


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

        If the class returns a tuple, its first element is the output.
        """
        output = self.module(hidden, *call.args, **call.kwargs)
        return output[0] if isinstance(output, tuple) else output

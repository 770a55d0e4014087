"""The linears of experts: slices of a fused parameter, recognised when `torch.nn.functional.linear` receives
a view of one as its weight. Apart from `engine.models.block`, which pages import without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn.functional import linear as product
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function

if TYPE_CHECKING:
    from engine.models.block import Linear

Around = Callable[[str, Callable[..., Tensor], Tensor, Tensor, Tensor | None], Tensor]
"""Called in place of a product, with the linear's name, the product, and its arguments."""


class Slices(TorchFunctionMode):
    """Passes products with a slice of a fused parameter to `around`. A mode applies to one thread only."""

    def __init__(self, linears: Mapping[str, Linear], around: Around) -> None:
        super().__init__()
        self._around = around
        # By (module, parameter): one of its linears, to look the parameter up, and all names by expert.
        self._fused: dict[tuple[int, str], tuple[Linear, dict[int, str]]] = {}
        for name, linear in linears.items():
            if linear.expert is not None:
                _, names = self._fused.setdefault((id(linear.module), linear.parameter), (linear, {}))
                names[linear.expert] = name

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Linears that are modules come through here as well; their weights are no expert's slice.
        if func is product or func is zero_product:
            inputs, weight, bias = _arguments(*args, **(kwargs or {}))
            name = self._name(weight)
            if name is not None:
                # a mode is off while it handles a function: no recursion
                return self._around(name, func, inputs, weight, bias)
        return func(*args, **(kwargs or {}))

    def _name(self, weight: Tensor) -> str | None:
        """Return the linear whose slice this weight is a view of, None if there is none.

        Such a view has the same storage, shape and strides, and its offset is a whole number of slices.
        """
        for linear, names in self._fused.values():
            stored = linear.stored
            if weight.shape != stored.shape[1:] or weight.stride() != stored.stride()[1:]:
                continue
            if weight.untyped_storage().data_ptr() == stored.untyped_storage().data_ptr():
                # offset and stride both count elements, not bytes
                expert, rest = divmod(
                    int(weight.storage_offset()) - int(stored.storage_offset()), stored.stride(0)
                )
                return names.get(expert) if rest == 0 else None
        return None


def _arguments(
    input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    return input, weight, bias


def zero_product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return zeros in place of a product. Modes that were entered earlier observe it as that product."""
    if has_torch_function((inputs, weight)):  # also true while a mode is active
        return handle_torch_function(zero_product, (inputs, weight), inputs, weight, bias)
    return zeros(len(weight), inputs)  # weight: `[out, in]`


def zeros(width: int, inputs: Tensor) -> Tensor:
    """Return what a linear with `width` outputs returns for these inputs if its weight is zero."""
    # allocated, not expanded: some models add to it in place
    return inputs.new_zeros(*inputs.shape[:-1], width)

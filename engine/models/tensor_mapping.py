"""Which parameters of a model the tensors of a checkpoint fill, and the way back from parameters to tensors.

transformers renames, merges and splits tensors while it loads them: the experts of a mixture are separate in
the files and fused in the model. These are its own rules, applied to names alone, so no weights are read.
They are internal to the library, so they are imported lazily, and used by this file and the loader only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Filling:
    """Tensors of a checkpoint that fill parameters together.

    Attributes:
        tensors: their names in the files.
        target: the name that transformers gives them.
        parameters: the parameters and buffers that they fill, by name; empty if the model does not use them.
        converted: whether they are merged, split or transposed, not just renamed.
    """

    tensors: tuple[str, ...]
    target: str
    parameters: tuple[str, ...]
    converted: bool = False


def fillings(module: nn.Module, names: Collection[str]) -> list[Filling]:
    """Return what the tensors with these names fill in `module`, whose parameters may be on the meta device.

    Also tells the model which conversions its files need, for `reverted`.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    model: Any = module
    rules = get_model_conversion_mapping(model)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    prefix, state = model.base_model_prefix, model.state_dict()
    found: dict[tuple[str, bool], tuple[list[str], list[str]]] = {}
    for name in sorted(names, key=dot_natural_key):  # the loader's order, on which some rules depend
        target, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if target not in state and name in state:
            target, pattern = name, None
        targets = [target]
        if pattern is not None:
            first, *others = by_pattern[pattern].target_patterns
            targets += [target.replace(first, other) for other in others]
        parameters = [target for target in targets if target in state]
        tensors, _ = found.setdefault((target, pattern is not None), ([], parameters))
        tensors.append(name)
    model._weight_conversions = [rule for rule in rules if rule.was_used()]
    return [
        Filling(tuple(tensors), target, tuple(parameters), converted)
        for (target, converted), (tensors, parameters) in found.items()
    ]


def reverted(module: nn.Module, filling: Filling, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `parameters`, which are all those of the filling, as the tensors that fill them.

    Args:
        module: the model that was given to `fillings`.
        parameters: values in the shape of the parameters, of any dtype: only their places change.

    Raises:
        LookupError: transformers cannot invert the conversion, or gives other tensors than the filling's.
    """
    if not filling.converted:
        (value,) = parameters.values()
        return dict.fromkeys(filling.tensors, value)
    from transformers.core_model_loading import revert_weight_conversion

    values = revert_weight_conversion(module, dict(parameters))  # type: ignore[arg-type]
    # The way back always has the model's own prefix, which the files may lack.
    found = {
        name: value
        for name in filling.tensors
        for other, value in values.items()
        if f".{name}".endswith(f".{other}") or f".{other}".endswith(f".{name}")
    }
    if not len(found) == len(filling.tensors) == len(values):
        raise LookupError(f"{filling.parameters[0]} cannot be split into the tensors of the checkpoint")
    return found

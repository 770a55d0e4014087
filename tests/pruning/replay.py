"""The inputs that each block of a pruned model had: its own blocks before it, applied again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.pruning.weights import BlockWeights


@dataclass(frozen=True)
class Linear:
    """One linear of a block: its dense weight `[out, in]`, its inputs `[windows, tokens, in]`, the run's mask
    and weight."""

    weight: Tensor
    inputs: Tensor
    keep: Tensor
    pruned: Tensor


@contextmanager
def inputs_of(linears: dict[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that receives the input of each linear when it is called."""
    inputs: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, part in linears.items():
            hook = part.register_forward_pre_hook(
                lambda part, args, name=name: inputs.__setitem__(name, args[0])
            )
            hooks.callback(hook.remove)
        yield inputs


@torch.no_grad()
def replayed(model: nn.Module, ids: Tensor, weights: dict[int, BlockWeights]) -> Iterator[dict[str, Linear]]:
    """Yield the linears of each block with the inputs that the run's pruned blocks before it produce."""
    model = deepcopy(model)
    calls: list[dict[str, Any]] = []
    with ExitStack() as hooks:
        for layer in model.model.layers:
            hook = layer.register_forward_pre_hook(
                lambda layer, args, kwargs: calls.append({"args": args, **kwargs}), with_kwargs=True
            )
            hooks.callback(hook.remove)
        model(input_ids=ids, use_cache=False)
    hidden = calls[0].pop("args")[0]
    for index, layer in enumerate(model.model.layers):
        call = {name: value for name, value in calls[index].items() if name != "args"}
        linears = {name: part for name, part in layer.named_modules() if isinstance(part, nn.Linear)}
        with inputs_of(linears) as inputs:
            layer(hidden, **call)
        found = {}
        for name, part in linears.items():
            given, dense = weights[index][name], part.weight.data.clone()
            part.weight.data = given.weight if given.weight is not None else dense * given.keep
            found[name] = Linear(dense, inputs[name], given.keep, part.weight.data)
        yield found
        output = layer(hidden, **call)
        hidden = output[0] if isinstance(output, tuple) else output

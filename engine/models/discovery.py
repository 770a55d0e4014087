"""Finding the blocks of a model and the linears in them, by structure, never by the name of a class.

Does not cover fused expert parameters (three-dimensional): they are counted as not prunable by the coverage.
"""

from __future__ import annotations

from torch import nn
from transformers.pytorch_utils import Conv1D

from engine.models.block import Block, Linear


def find_blocks(model: nn.Module) -> list[Block]:
    """The blocks of a model: the outermost `nn.ModuleList` that holds the most parameters.

    Raises:
        LookupError: the model has no module list.
    """
    lists = _outermost_lists(model)
    if not lists:
        raise LookupError("no list of blocks")
    path, modules = max(lists, key=lambda item: sum(parameter.numel() for parameter in item[1].parameters()))
    return [_block(index, f"{path}.{index}", module) for index, module in enumerate(modules)]


def _outermost_lists(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():  # parents come before their children
        inside = any(path.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not inside:
            found.append((path, module))
    return found


def _block(index: int, path: str, module: nn.Module) -> Block:
    attention = [name for name, child in module.named_modules() if name and "attention" in type(child).__name__.lower()]
    linears = {
        name: Linear(
            name,
            f"{path}.{name}",
            child,
            transposed=isinstance(child, Conv1D),
            attention=any(name.startswith(f"{outer}.") for outer in attention),
        )
        for name, child in module.named_modules()
        if isinstance(child, (nn.Linear, Conv1D))
    }
    return Block(index, path, module, linears)

"""Where a model's blocks are: all in memory, or on the disk until their turn comes.

A streamed model is built without weights (parameters on the meta device, buffers real, for those that no file
holds are computed by the class). What stands outside the block list is read once and stays; a block is read
when it is present and dropped behind. Cost: the disk is read once for each time that a block is present. Does
not cover models whose blocks share weights with each other or with what stands outside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from engine.errors import ModelError
from engine.hardware.memory import release_large_allocations, trim_heap
from engine.models.block import Block
from engine.models.checkpoint import Checkpoint


class Streamer:
    """Brings blocks in from the files and drops them again.

    Args:
        module: the model, built `without_weights`.
        blocks: its blocks.

    Raises:
        ModelError: the model cannot be held in this way, or a file is damaged.
    """

    def __init__(
        self,
        module: nn.Module,
        blocks: list[Block],
        checkpoint: Checkpoint,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._module, self._checkpoint, self._dtype, self._device = module, checkpoint, dtype, device
        self._list = blocks[0].path.rpartition(".")[0]
        self._lock = threading.Lock()
        release_large_allocations()
        self._refuse_shared(blocks)
        self._fill_outside(blocks)

    @contextmanager
    def present(self, block: Block) -> Iterator[None]:
        """The block's weights are in memory while the `with` lasts; what was written to them is lost behind
        it.
        """
        names = self._checkpoint.of_block(self._list, block.index)
        with self._lock:  # the loader touches the model as a whole
            self._checkpoint.fill(self._module, names, self._dtype, self._device)
        self._require_whole(block.module, block.path)
        try:
            yield
        finally:
            _drop(block.module)
            trim_heap()

    def _refuse_shared(self, blocks: list[Block]) -> None:
        seen: set[int] = set()
        for block in blocks:
            mine = {id(parameter) for parameter in block.module.parameters()}
            if mine & seen:
                raise ModelError(
                    f"Blocks of {self._checkpoint.name} share weights, so it can only be held whole in memory (residence resident)."
                )
            seen |= mine

    def _fill_outside(self, blocks: list[Block]) -> None:
        self._checkpoint.fill(self._module, self._checkpoint.outside(self._list), self._dtype, self._device)
        self._module.tie_weights()  # type: ignore[operator]
        inside = {id(parameter) for block in blocks for parameter in block.module.parameters()}
        missing = [
            name
            for name, parameter in self._module.named_parameters()
            if parameter.is_meta and id(parameter) not in inside
        ]
        if missing:
            raise _missing(self._checkpoint.name, missing[0])
        for module in self._module.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(self._device)

    def _require_whole(self, module: nn.Module, path: str) -> None:
        missing = next((name for name, parameter in module.named_parameters() if parameter.is_meta), None)
        if missing is not None:
            _drop(module)
            raise _missing(self._checkpoint.name, f"{path}.{missing}")


def _missing(model: str, name: str) -> ModelError:
    return ModelError(
        f"The files of {model} do not hold {name}, so they are not complete. Fetch or save the model anew.",
        kind="damaged",
    )


def _drop(module: nn.Module) -> None:
    """Free the parameters' memory."""
    for child in module.modules():
        for name, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[name] = nn.Parameter(
                    torch.empty_like(parameter, device="meta"), requires_grad=False
                )


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules that are built inside get parameters on the meta device, which take no memory and no time, and
    real buffers.
    """
    register = nn.Module.register_parameter

    def light(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
        register(module, name, parameter)

    nn.Module.register_parameter = light  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]

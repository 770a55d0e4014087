"""Streaming: reading each block from the disk only while it is in use.

A streamed model is built without weights: parameters are on the meta device, while buffers are real, because
those that no file contains are computed by the class. Weights outside the block list are read once and remain
in memory. A block is read each time it is used, and dropped afterwards. Does not cover models whose blocks
share weights with each other or with other parts of the model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.errors import ModelError
from engine.hardware.memory import trim_heap
from engine.models.block import Block

if TYPE_CHECKING:
    from engine.models.checkpoint import Checkpoint

BUILDING = threading.Lock()
"""transformers changes process-wide settings while it builds a model (it makes `tie_weights` do nothing, for
instance), so only one thread at a time may build a model or tie its weights.
"""


class Streamer:
    """Reads blocks from the files and drops them again.

    Args:
        module: the model, built inside `without_weights`.
        blocks: its blocks.
        checkpoint: its weight files, checked against the model.
        dtype: of the weights in memory.
        device: of the weights in memory.

    Raises:
        ModelError: the model cannot be streamed, or a file is damaged.
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
        self._list = blocks[0].path.rpartition(".")[0]  # `model.layers.0` -> `model.layers`
        self._lock = threading.Lock()
        self._refuse_shared(blocks)
        self._fill_outside(blocks)

    @contextmanager
    def present(self, block: Block) -> Iterator[None]:
        """Hold the block's weights in memory while the `with` lasts; whatever is written to them is lost
        then.
        """
        names = self._checkpoint.of_block(self._list, block.index)
        with self._lock:  # the loader works on the model as a whole
            self._checkpoint.fill(self._module, names, self._dtype, self._device)
        self._require_complete(block.module, block.path)
        empty = [
            (module, name)
            for module in block.module.modules()
            for name, parameter in module._parameters.items()
            if parameter is None
        ]
        try:
            yield
        finally:
            for module, name in empty:  # a bias that pruning added is in no file
                module._parameters[name] = None
            _drop(block.module)
            if self._device.type == "cpu":
                trim_heap()

    def _refuse_shared(self, blocks: list[Block]) -> None:
        earlier: set[int] = set()
        for block in blocks:
            # Dropping one block would untie the weights that it shares with another.
            parameters = {id(parameter) for parameter in block.module.parameters()}
            if parameters & earlier:
                raise ModelError(
                    f"Blocks of {self._checkpoint.name} share weights, so it cannot be streamed. Choose the "
                    "residence `resident`."
                )
            earlier |= parameters

    def _fill_outside(self, blocks: list[Block]) -> None:
        self._checkpoint.fill(self._module, self._checkpoint.outside(self._list), self._dtype, self._device)
        # A tied head is usually in no file, and takes the embedding. As in `from_pretrained`, a head of its
        # own that differs from the embedding stays, whatever the configuration says.
        absent = {
            name
            for name, parameter in self._module.named_parameters(remove_duplicate=False)
            if parameter.is_meta
        }
        with BUILDING:
            self._module.tie_weights(missing_keys=absent, recompute_mapping=False)  # type: ignore[operator]
        inside = {id(parameter) for block in blocks for parameter in block.module.parameters()}
        missing = [
            name
            for name, parameter in self._module.named_parameters()
            if parameter.is_meta and id(parameter) not in inside
        ]
        if missing:
            raise _missing(self._checkpoint.name, missing[0])
        for module in self._module.modules():
            # `module.to` would fail on the parameters without data
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(self._device)

    def _require_complete(self, module: nn.Module, path: str) -> None:
        missing = next((name for name, parameter in module.named_parameters() if parameter.is_meta), None)
        if missing is not None:
            _drop(module)
            raise _missing(self._checkpoint.name, f"{path}.{missing}")


def _missing(model: str, name: str) -> ModelError:
    return ModelError(
        f"The files of {model} do not contain {name}, so they are incomplete. Download or save the model "
        "again.",
        kind="damaged",
    )


def _drop(module: nn.Module) -> None:
    """Replace the parameters by empty ones on the meta device, which frees their memory."""
    for child in module.modules():
        # Values are replaced under existing keys, which is safe while iterating.
        for name, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[name] = nn.Parameter(  # keeps shape and dtype, which are read at any time
                    torch.empty_like(parameter, device="meta"), requires_grad=False
                )


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules with parameters on the meta device and real buffers while the `with` lasts.

    Parameters on the meta device take no memory and are not initialised. `torch.device("meta")` would put the
    buffers there as well.
    """
    register = nn.Module.register_parameter
    builder = threading.get_ident()

    def register_on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        # Replaced for the whole process, but other threads keep the weights that they read meanwhile.
        building = threading.get_ident() == builder
        if building and parameter is not None and not parameter.is_meta:
            # Classes register a parameter before they initialise it, so initialising costs nothing here.
            parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
        register(module, name, parameter)

    # The caller holds `BUILDING`: two threads would restore each other's replacement.
    nn.Module.register_parameter = register_on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]

"""The weights of an exported model: a copy of the source's files in which the pruned linears are overwritten.

Names, shapes, dtypes, shards and metadata are those of the source, and so is every byte of every other
tensor, whether the pruned class uses it or not (a vision tower, for instance). Fused experts are split back
into the tensors of the source. A linear without new weights keeps the source's own values under its mask. New
weights are rounded to the dtype of the source, which is lossy if the run computed in a wider one. Biases that
the dense model does not have are appended to the first file. Takes the memory of one block's masks and new
weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from engine.errors import ModelError
from engine.models.block import Block, Linear
from engine.models.checkpoint import FLOATS, Checkpoint
from engine.models.tensor_mapping import Filling, fillings, reverted
from engine.pruning.weights import BlockWeights, PrunedLinear, masked

LENGTH_BYTES = 8  # a safetensors file begins with its header's length, a little-endian integer


@dataclass(frozen=True)
class Edit:
    """What becomes of one parameter or of one tensor, all in its shape.

    Attributes:
        keep: False for entries that become zero, unless they are updated.
        updated: True for entries that take the new value.
        weight: the new values; None if no entry is updated.
    """

    keep: Tensor
    updated: Tensor
    weight: Tensor | None

    def applied(self, dense: Tensor) -> Tensor:
        """Return the pruned tensor in the dtype of the dense one."""
        pruned = masked(dense, self.keep)
        return (
            pruned if self.weight is None else torch.where(self.updated, self.weight.to(dense.dtype), pruned)
        )

    @property
    def values(self) -> Tensor:
        """The new values of a tensor that is new as a whole."""
        assert self.weight is not None and self.updated.all(), "it has no dense values"
        return self.weight

    def is_lossy(self, dtype: torch.dtype) -> bool:
        """Whether rounding to this dtype may change the new values."""
        return self.weight is not None and torch.promote_types(self.weight.dtype, dtype) != dtype


def write_weights(
    module: nn.Module,
    blocks: Sequence[Block],
    pruned: Mapping[int, BlockWeights],
    checkpoint: Checkpoint,
    source: Path,
    directory: Path,
    added: Mapping[str, int],
) -> tuple[bool, dict[str, str]]:
    """Copy the weight files from `source` to `directory`, pruned; return whether new weights were rounded,
    and the files of tensors that the source does not have, by the tensor's name.

    Args:
        added: biases that the pruned model has and the dense one has not, by parameter, with their lengths.
        module: the model without its weights.
        blocks: its blocks.
        pruned: the run's pruned blocks by index.
        checkpoint: the weight files in `source`.

    Raises:
        ModelError: the pruned blocks do not fit the source's files.
        OSError, SafetensorError: a file cannot be read or written.
    """
    filled = {
        name: filling for filling in fillings(module, checkpoint.tensors) for name in filling.parameters
    }
    rounded = False
    biases = {name: torch.zeros(length) for name, length in added.items()}
    with ExitStack() as stack:
        copies = [
            stack.enter_context(_Copy(path, directory / path.relative_to(source)))
            for path in checkpoint.paths
        ]
        for block in blocks:
            edits = _of_parameters(block, pruned[block.index]) | _of_biases(block, pruned[block.index])
            for name in edits.keys() & added.keys():
                biases[name] = edits.pop(name).values
            if missing := edits.keys() - filled.keys():
                raise ModelError(f"The model's files do not contain {min(missing)}, which the run pruned.")
            for filling in dict.fromkeys(filled[name] for name in edits):
                for name, edit in _of_tensors(module, filling, edits).items():
                    # A tensor may be in several files.
                    for copy in copies:
                        rounded |= name in copy.names and copy.edit(name, edit)
    if not biases:
        return rounded, {}
    new = {}
    for parameter, values in biases.items():
        name, dtype = _stored_like(parameter, filled, checkpoint)
        edit = Edit(torch.ones(values.shape, dtype=torch.bool), values.new_ones(len(values)).bool(), values)
        new[name] = _pruned(name, edit, torch.zeros(values.shape, dtype=dtype))
        rounded |= edit.is_lossy(dtype)
    first = directory / checkpoint.paths[0].relative_to(source)
    append_tensors(first, new)
    return rounded, {name: str(first.relative_to(directory)) for name in new}


def _stored_like(bias: str, filled: Mapping[str, Filling], checkpoint: Checkpoint) -> tuple[str, torch.dtype]:
    """Return the name and dtype in the files of a bias that they do not have, by the weight next to it."""
    filling = filled[f"{bias.removesuffix('bias')}weight"]
    name = filling.tensors[0]
    if filling.converted or not name.endswith("weight"):
        raise ModelError(
            f"The pruned model cannot be written in the format of its source: {bias} has no place in its "
            "files."
        )
    return f"{name.removesuffix('weight')}bias", FLOATS[checkpoint.tensors[name].dtype]


def append_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file again with further tensors after its own."""
    names = {dtype: name for name, dtype in FLOATS.items()}
    temporary = path.with_name(f".{path.name}.new")
    with path.open("rb") as old, temporary.open("wb") as new:
        entries = json.loads(old.read(int.from_bytes(old.read(LENGTH_BYTES), "little")))
        end = max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
        for name, tensor in tensors.items():
            begin, end = end, end + tensor.nbytes
            entries[name] = {
                "dtype": names[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [begin, end],
            }
        header = json.dumps(entries).encode()
        header += b" " * (-len(header) % LENGTH_BYTES)  # the format aligns the data
        new.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        shutil.copyfileobj(old, new)
        for tensor in tensors.values():
            new.write(tensor.contiguous().view(torch.uint8).numpy().data)
    temporary.replace(path)


def _pruned(name: str, edit: Edit, dense: Tensor) -> Tensor:
    if edit.keep.shape != dense.shape:
        raise ModelError(
            f"The tensor {name} cannot be exported: it has the shape {tuple(dense.shape)} in the model's "
            f"files, but the run pruned it as {tuple(edit.keep.shape)}."
        )
    result = edit.applied(dense)
    if edit.is_lossy(dense.dtype) and not result.isfinite().all():
        raise ModelError(
            f"The tensor {name} cannot be exported: its new values are too large for the dtype of the model's"
            f" files ({dense.dtype}). Use this dtype for the run."
        )
    return result


def _of_parameters(block: Block, weights: BlockWeights) -> dict[str, Edit]:
    """Return the edits of a block by the name of the parameter, in the layout of the parameters."""
    # One dtype for the block: parameters that a conversion joins need new values together.
    dtype = next((linear.weight.dtype for linear in weights.values() if linear.weight is not None), None)
    by_parameter: dict[str, list[tuple[Linear, PrunedLinear]]] = {}
    for name, linear in weights.items():
        place = block.linears[name]
        by_parameter.setdefault(place.stored_path, []).append((place, linear))
    return {parameter: _of_parameter(linears, dtype) for parameter, linears in by_parameter.items()}


def _of_biases(block: Block, weights: BlockWeights) -> dict[str, Edit]:
    """Return the edits of the block's biases by the name of the parameter."""
    edits = {}
    for name, linear in weights.items():
        if linear.bias is not None:
            whole = torch.ones(linear.bias.shape, dtype=torch.bool)
            edits[f"{block.linears[name].path}.bias"] = Edit(whole, whole, linear.bias)
    return edits


def _of_parameter(linears: Sequence[tuple[Linear, PrunedLinear]], dtype: torch.dtype | None) -> Edit:
    """Return the edit of one parameter: of one linear, or of experts that are fused."""
    first, _ = linears[0]
    edit = _unchanged(first.stored, dtype)
    for linear, pruned in linears:
        linear.slice_of(edit.keep).copy_(pruned.keep)
        if pruned.weight is not None and edit.weight is not None:
            linear.slice_of(edit.weight).copy_(pruned.weight)
            linear.slice_of(edit.updated).fill_(True)
    return edit


def _unchanged(parameter: Tensor, dtype: torch.dtype | None) -> Edit:
    """Return an edit that changes nothing, with room for new values if a dtype is given."""
    keep = torch.ones(parameter.shape, dtype=torch.bool)
    return Edit(keep, ~keep, None if dtype is None else torch.zeros(parameter.shape, dtype=dtype))


def _of_tensors(module: nn.Module, filling: Filling, edits: Mapping[str, Edit]) -> dict[str, Edit]:
    """Return the edits of a filling's parameters as edits of its tensors."""
    dtype = next((edit.weight.dtype for edit in edits.values() if edit.weight is not None), None)
    given = {
        name: edits.get(name) or _unchanged(module.get_parameter(name), dtype) for name in filling.parameters
    }
    try:
        keep = reverted(module, filling, {name: edit.keep for name, edit in given.items()})
        updated = reverted(module, filling, {name: edit.updated for name, edit in given.items()})
        new = {name: edit.weight for name, edit in given.items() if edit.weight is not None}
        weight: Mapping[str, Tensor] = reverted(module, filling, new) if new else {}
    except LookupError as error:
        raise ModelError(
            f"The pruned model cannot be written in the format of its source: {error}."
        ) from error
    return {name: Edit(keep[name], updated[name], weight.get(name)) for name in filling.tensors}


class _Copy:
    """A copy of a safetensors file whose tensors are edited in place.

    Attributes:
        names: of its tensors.
    """

    def __init__(self, source: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        self._stack = ExitStack()
        self._dense: Any = self._stack.enter_context(safe_open(source, framework="pt"))
        self._file = self._stack.enter_context(path.open("r+b"))
        self._begin = LENGTH_BYTES + int.from_bytes(self._file.read(LENGTH_BYTES), "little")
        self._entries: dict[str, Any] = json.loads(self._file.read(self._begin - LENGTH_BYTES))
        self.names = self._entries.keys()

    def __enter__(self) -> _Copy:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def edit(self, name: str, edit: Edit) -> bool:
        """Overwrite a tensor; return whether new values were rounded."""
        dense: Tensor = self._dense.get_tensor(name)
        # Through a view as bytes, because numpy has no bfloat16.
        data = _pruned(name, edit, dense).contiguous().reshape(-1).view(torch.uint8).numpy().data
        begin, end = self._entries[name]["data_offsets"]
        assert len(data) == end - begin, "a tensor of the same shape and dtype"
        self._file.seek(self._begin + begin)
        self._file.write(data)
        return edit.is_lossy(dense.dtype)

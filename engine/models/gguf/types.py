"""The types of the tensors in a GGUF file: how many there are of each, and what they become."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from engine.events import WeightSource
from engine.models.gguf.header import Header

PLAIN = {"F32": torch.float32, "F64": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The types that are not quantised."""
QUANTISED = torch.bfloat16
"""What quantised weights become: its range is float32's, and its precision is higher than 8 bits with a
scale."""


def source_of(header: Header, file: Path) -> WeightSource:
    """Return the number of tensors of each type, the type with the most weights first."""
    weights, tensors = Counter[str](), Counter[str]()
    for tensor in header.tensors:
        kind = type_name(tensor.kind)
        weights[kind] += tensor.weights
        tensors[kind] += 1
    return WeightSource(file=file.name, tensors={kind: tensors[kind] for kind, _ in weights.most_common()})


def dtype_of(header: Header) -> torch.dtype:
    """Return the dtype of the unpacked model: that of the type with the most weights."""
    weights = Counter[str]()
    for tensor in header.tensors:
        weights[type_name(tensor.kind)] += tensor.weights
    (main, _), *_ = weights.most_common(1)
    return PLAIN.get(main, QUANTISED)


def type_name(kind: int) -> str:
    """Return ggml's name of a type, for instance `Q4_1`."""
    from gguf import GGMLQuantizationType

    return str(GGMLQuantizationType(kind).name)

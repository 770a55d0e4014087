"""Short names of linears, for the rows of a chart: the last part of the name, with as much before it as tells two apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.record import RunRecord


def short_names(names: Sequence[str]) -> dict[str, str]:
    """`self_attn.q_proj` becomes `q_proj`; GPT-2's two `c_proj` become `attn.c_proj` and `mlp.c_proj`."""
    short = {name: _tail(name, 1) for name in names}
    for parts in range(2, 1 + max((name.count(".") + 1 for name in names), default=1)):
        twice = {label for label, times in Counter(short.values()).items() if times > 1}
        if not twice:
            break
        short = {name: _tail(name, parts) if label in twice else label for name, label in short.items()}
    return short


def linear_names(record: RunRecord) -> list[str]:
    """The names of all linears inside the blocks, in the model's order; blocks may differ."""
    shapes = record.model.linears if record.model else ()
    return list(dict.fromkeys(shape.name for block in shapes for shape in block))


def _tail(name: str, parts: int) -> str:
    return ".".join(name.split(".")[-parts:])

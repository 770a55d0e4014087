"""The names of a model's linears, and short labels for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.record import RunRecord


def linear_names(record: RunRecord) -> list[str]:
    """Return the names of all linears inside the blocks, in the model's order; blocks may differ."""
    shapes = record.model.linears if record.model else ()
    return list(dict.fromkeys(shape.name for block in shapes for shape in block))


def short_labels(names: Sequence[str]) -> dict[str, str]:
    """Return a unique short label for each name: its last part, preceded by as many as tell two apart.

    `self_attn.q_proj` becomes `q_proj`; GPT-2's two `c_proj` become `attn.c_proj` and `mlp.c_proj`.
    """

    def tail(name: str, parts: int) -> str:
        return ".".join(name.split(".")[-parts:])

    short = {name: tail(name, 1) for name in names}
    # Lengthens only the labels that still clash; full names are unique, so it ends.
    for parts in range(2, 1 + max((name.count(".") + 1 for name in names), default=1)):
        ambiguous = {label for label, times in Counter(short.values()).items() if times > 1}
        if not ambiguous:
            break
        short = {name: tail(name, parts) if label in ambiguous else label for name, label in short.items()}
    return short

"""Which linears of a model have a bias, or get one if its configuration says so.

Classes differ in what the entry is called and which linears it covers (`attention_bias` and `mlp_bias` of
Llama), so every known entry that is off is tried: the model is built on the meta device with it, and the
entry counts if nothing but biases of prunable linears comes with it. A skeleton takes 0.02 to 0.2 s. Biases
of fused experts are not covered.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.models.block import Block
from engine.models.discovery import find_blocks
from engine.models.loading import build_skeleton

ENTRIES = (
    "attention_bias",
    "mlp_bias",
    "use_bias",
    "bias",
    "use_qkv_bias",
    "qkv_bias",
    "enable_bias",
    "add_bias_linear",
)
"""What configurations call the switch of their linears' biases."""


@dataclass(frozen=True)
class Biases:
    """The biases that a model can have.

    Attributes:
        entries: entries of the configuration that have to be true for all of them; empty if it has them
            already.
        added: the parameters that come with these entries, by name, with their lengths.
    """

    entries: tuple[str, ...]
    added: dict[str, int]

    def of(self, blocks: list[Block]) -> frozenset[str]:
        """Return the paths of the linears in `blocks` that have a bias or can get one."""
        return frozenset(
            linear.path
            for block in blocks
            for linear in block.linears.values()
            if linear.expert is None and (linear.bias is not None or f"{linear.path}.bias" in self.added)
        )


def possible_biases(config: Any, name: str, skeleton: nn.Module | None = None) -> Biases:
    """Return the biases that models with this configuration can have.

    Args:
        name: what error messages call the model.
        skeleton: the model without its weights, if it is built already.

    Raises:
        ModelError: the model cannot be built.
    """
    dense = _shapes(build_skeleton(config, name) if skeleton is None else skeleton)
    entries: list[str] = []
    added: dict[str, int] = {}
    for entry in ENTRIES:
        if getattr(config.get_text_config(), entry, None) is not False:
            continue
        changed = deepcopy(config)
        setattr(changed.get_text_config(), entry, True)
        other = build_skeleton(changed, name)
        shapes = _shapes(other)
        new = {parameter: shape for parameter, shape in shapes.items() if parameter not in dense}
        linears = (linear for block in find_blocks(other) for linear in block.linears.values())
        biases = {f"{linear.path}.bias" for linear in linears}
        if new and new.keys() <= biases and all(shapes.get(known) == dense[known] for known in dense):
            entries.append(entry)
            added |= {parameter: shape[0] for parameter, shape in new.items()}
    return Biases(tuple(entries), added)


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}

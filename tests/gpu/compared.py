"""Prune a tiny model on a device and on the CPU, and compare what was decided."""

from __future__ import annotations

from typing import Any

import torch

from engine.models.language_model import LanguageModel
from engine.pruning.plan import Plan
from tests.models.families import Pruned, built, pruned

SAME, SAME_ROUTED = 0.995, 0.95
"""Share of the mask that has to be equal: sums in another order move a score across a cut now and then. With
experts, such a difference may also send a token to another expert.
"""


def on(device: torch.device, family: str, **choices: Any) -> tuple[LanguageModel, Pruned]:
    model = built(family)
    model.module.to(device)
    sparsity = choices.pop("sparsity", 0.5)
    return model, pruned(model, Plan.of(**choices), sparsity)


def agreement(one: Pruned, other: Pruned) -> float:
    """The share of equal mask entries; the counts of each linear have to be equal."""
    equal = total = 0
    for index, block in one.kept.items():
        for name, linear in block.items():
            keep = other.kept[index][name].keep
            assert keep.device.type == "cpu" and int(keep.sum()) == int(linear.keep.sum()), f"{index} {name}"
            equal += int((keep == linear.keep).sum())
            total += keep.numel()
    return equal / total


def least(family: str) -> float:
    routed = any(linear.expert is not None for linear in built(family).linears.values())
    return SAME_ROUTED if routed else SAME

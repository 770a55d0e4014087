"""Perplexities on a tiny and on a real model, for the reference: an order on one need not hold on another.

They are those of the bundled runs, with which a test compares them: the bundled model on the bundled stories,
and SmolLM2-135M on WikiText-2, both calibrated on the bundled stories.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.numbers import perplexity
from engine.pruning.axes import Allocation
from engine.pruning.presets import Preset
from engine.pruning.recommendations import Shape, in_words
from engine.registry import Method

SPARSITY = 0.6
MODELS = ("the bundled model and other stories", "SmolLM2-135M and WikiText-2")
DENSE = (37.33, 32.88)
Pair = tuple[float, float]
"""On the bundled model, and on the real one."""

PRUNERS: Mapping[str, tuple[Shape, Pair]] = {
    "magnitude": (SPARSITY, (79.81, 3316.72)),
    "wanda": (SPARSITY, (63.57, 225.18)),
    "ria": (SPARSITY, (64.24, 242.14)),
    "stochria": (SPARSITY, (69.61, 268.48)),
    "symwanda": (SPARSITY, (63.93, 386.86)),
    "multiflow": (SPARSITY, (67.89, 236.66)),
    "stade": (SPARSITY, (58.96, 299.43)),
    "sparsegpt": (SPARSITY, (52.98, 318.93)),
    "apt-sm": (SPARSITY, (47.57, 387.71)),
    "apt-mm": ("2:4", (45.27, 377.88)),
    "apt-ms": ("2:4", (48.06, 311.87)),
    "admm": (SPARSITY, (43.61, 211.04)),
    "alps": (SPARSITY, (42.93, 301.26)),
    "thanos": (SPARSITY, (47.25, 320.05)),
    "wanda-dsnot": (SPARSITY, (60.92, 227.62)),
    "ria-r2-dsnot": (SPARSITY, (60.71, 226.13)),
    "wanda-sparseswaps": (SPARSITY, (47.76, 301.54)),
    "wanda-sparseswaps-mrp": (SPARSITY, (44.14, 259.35)),
}
WITH_WANDA: Mapping[str, Pair] = {
    "owl": (68.60, 251.31),
    "alphapruning": (317.12, 192.01),
    "neuroal": (57.22, 172.34),
    "evopress": (55.90, 167.29),
}
"""By allocation, at the same sparsity."""
WANDA: Mapping[Shape, Pair] = {SPARSITY: PRUNERS["wanda"][1], "2:4": (65.46, 262.40)}


def measured(method: Method) -> str:
    """Return a sentence on a pruner next to Wanda, or on Wanda with an allocation next to Wanda alone; empty
    for other methods.
    """
    shape: Shape
    if isinstance(method, Allocation) and method.name in WITH_WANDA:
        shape, found, how, rival = SPARSITY, WITH_WANDA[method.name], " with Wanda", "uniform"
    elif isinstance(method, Preset) and method.name in PRUNERS:
        (shape, found), how, rival = PRUNERS[method.name], "", "Wanda"
    else:
        return ""
    parts = []
    for model, value, dense, wanda in zip(MODELS, found, DENSE, WANDA[shape], strict=True):
        other = "" if method.name == "wanda" else f", {rival} {perplexity(wanda)}"
        parts.append(f"{perplexity(value)} on {model} (dense {perplexity(dense)}{other})")
    where = f"Perplexity{how} at {in_words(shape)}, calibrated on the bundled stories"
    return f"{where}: {'; '.join(parts)}."

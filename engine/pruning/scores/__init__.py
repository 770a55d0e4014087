"""Scores: how important each weight is, `[out, in]`, higher = kept. A new one is a file here and an import
below.
"""

from engine.pruning.scores import (
    formula,
    joint,
    magnitude,
    multiflow,
    ria,
    sparsegpt,
    stade,
    stochria,
    symwanda,
    wanda,
)

__all__ = [
    "formula",
    "joint",
    "magnitude",
    "multiflow",
    "ria",
    "sparsegpt",
    "stade",
    "stochria",
    "symwanda",
    "wanda",
]

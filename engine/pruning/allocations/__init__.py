"""Allocations: the sparsity of each block. A new one is a file here and an import below."""

from engine.pruning.allocations import alphapruning, manual, neuroal, owl, uniform

__all__ = ["alphapruning", "manual", "neuroal", "owl", "uniform"]

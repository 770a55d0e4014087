"""Allocations: the sparsity of each block. A new one is a file here and an import below."""

from engine.pruning.allocations import alphapruning, evopress, global_magnitude, manual, neuroal, owl, uniform

__all__ = ["alphapruning", "evopress", "global_magnitude", "manual", "neuroal", "owl", "uniform"]

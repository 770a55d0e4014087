"""Allocations: how much each block loses. A new one is a file here and an import below."""

from engine.pruning.allocations import manual, uniform

__all__ = ["manual", "uniform"]

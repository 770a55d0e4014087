"""Mask refinements: swapping entries after the score has decided. A new one is a file here and an import below."""

from engine.pruning.refinements import none

__all__ = ["none"]

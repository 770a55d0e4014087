"""Mask refinements: swaps after the score has decided. A new one is a file here and an import below."""

from engine.pruning.refinements import dsnot, none, r2_dsnot, sparseswaps

__all__ = ["dsnot", "none", "r2_dsnot", "sparseswaps"]

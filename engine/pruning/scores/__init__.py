"""Scores, `[out, in]`, higher = kept. A new one is a file here and an import below."""

from engine.pruning.scores import magnitude, sparsegpt, wanda

__all__ = ["magnitude", "sparsegpt", "wanda"]

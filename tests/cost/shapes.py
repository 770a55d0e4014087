"""Summaries of imaginary models, small enough to calculate by hand."""

from engine.models.shape import LinearKind, ModelSummary, Storage

KINDS = (
    LinearKind(path="blocks.0.up", rows=40, columns=10, count=4),
    LinearKind(path="blocks.0.down", rows=10, columns=40, count=4),
)


def shape(**changes: object) -> ModelSummary:
    """Four blocks of linears [40, 10] and [10, 40] with 20 other weights, 100 tokens, a tied head."""
    fields = {
        "name": "hand",
        "architecture": "HandForCausalLM",
        "parameters": 4 * 820 + 1000,
        "prunable": 4 * 800,
        "skipped": {"embeddings": 1000, "norms and biases": 80},
        "blocks": 4,
        "sizes": (800,) * 4,
        "linears": KINDS,
        "largest_block": 820,
        "largest_grams": 10**2 + 40**2,
        "outside": 1000,
        "width": 10,
        "vocabulary": 100,
        "context_length": 64,
        "dtype": "bfloat16",
        "bytes": 2 * 4280,
        "storage": Storage(place="directory", total=9000),
        "device": "cpu",
        "speeds": {"cpu": 1e9},
    }
    return ModelSummary(**{**fields, **changes})


def billions(**changes: object) -> ModelSummary:
    """About 1.1 billion parameters in 20 blocks, 100 million of them outside."""
    kinds = (
        LinearKind(path="blocks.0.mix", rows=2000, columns=2000, count=80),
        LinearKind(path="blocks.0.mlp", rows=8500, columns=2000, count=40),
    )
    size = 4 * 2000**2 + 2 * 8500 * 2000
    fields = {
        "parameters": 20 * size + 100_000_000,
        "prunable": 20 * size,
        "skipped": {"embeddings": 100_000_000},
        "blocks": 20,
        "sizes": (size,) * 20,
        "linears": kinds,
        "largest_block": size,
        "largest_grams": 6 * 2000**2,
        "outside": 100_000_000,
        "width": 2000,
        "vocabulary": 50_000,
        "context_length": 4096,
        "bytes": 2 * (20 * size + 100_000_000),
        "storage": Storage(place="hub", total=2_200_000_000, missing=2_200_000_000),
        "speeds": {"cpu": 1e11},
    }
    return shape(**{**fields, **changes})

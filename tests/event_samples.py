"""Events of a small invented run, for the tests of events and record."""

from typing import Any, Literal

from engine import events
from engine.recipe import Recipe

ENVIRONMENT = events.Environment(
    prunescope="0.1.0",
    python="3.11.9",
    torch="2.13.0",
    transformers="5.0.0",
    platform="Linux",
    device="cpu",
    device_name="a processor",
    threads=2,
)
LINEARS = (
    events.LinearShape(name="attention", rows=4, columns=8),
    events.LinearShape(name="mlp", rows=2, columns=8),
)
BLOCKS = 3
PRUNABLE = BLOCKS * (4 * 8 + 2 * 8)


def recipe(**fields: Any) -> Recipe:
    return Recipe.build(fields)


def run_started(**fields: Any) -> events.RunStarted:
    described = recipe(**fields)
    return events.RunStarted(
        key=described.key,
        recipe=described.model_dump(mode="json"),
        started="2025-01-02T03:04:05Z",
        environment=ENVIRONMENT,
    )


def model_loaded() -> events.ModelLoaded:
    return events.ModelLoaded(
        elapsed=0.5,
        architecture="TinyForCausalLM",
        path="model.layers",
        parameters=PRUNABLE + 96,
        prunable=PRUNABLE,
        skipped={"embeddings": 80, "norms": 16},
        blocks=BLOCKS,
        linears=(LINEARS,) * BLOCKS,
        dtype="float32",
        bytes=4 * (PRUNABLE + 96),
    )


def windows_ready(
    role: Literal["calibration", "evaluation"], *, seed: int | None = 7, documents: int | None = 12
) -> events.WindowsReady:
    return events.WindowsReady(
        elapsed=0.7,
        role=role,
        corpus="stories",
        documents=documents,
        windows=4,
        length=16,
        available=50,
        seed=seed,
        fingerprint="0123456789abcdef",
    )


def block_pruned(index: int, *, removed: tuple[int, int] = (16, 8), **fields: Any) -> events.BlockPruned:
    linears = tuple(
        events.LinearPruned(
            name=shape.name,
            rows=shape.rows,
            columns=shape.columns,
            removed=lost,
            sparsity=lost / (shape.rows * shape.columns),
            output_error=0.1,
        )
        for shape, lost in zip(LINEARS, removed, strict=True)
    )
    facts = {
        "alignment": 1e-4,
        "relative_error": 0.1 * (index + 1),
        "cosine": 0.99,
        "seconds": 2.0,
        "elapsed": 1.0 + 2 * index,
    }
    return events.BlockPruned(index=index, sparsity=sum(removed) / 48, linears=linears, **{**facts, **fields})


def candidate(step: str, strength: float, **more: Any) -> events.Candidate:
    fields = {"objective": 0.5, "alignment": (0.2, 0.3), "ratios": (0.4, 0.6), **more}
    return events.Candidate(step=step, strength=strength, **fields)

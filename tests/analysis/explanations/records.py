"""Records whose blocks, candidates and rows have the numbers that a test gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.events import BlockPruned, Candidate, LinearPruned, LinearShape
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.parts import ModelFacts, SparsityFacts

ROWS, COLUMNS = 10, 20


def linear(name: str, error: float = 0.1, **fields: Any) -> LinearPruned:
    """Return a linear of 10 × 20 weights, half of them removed."""
    facts = {"rows": ROWS, "columns": COLUMNS, "removed": 100, "sparsity": 0.5} | fields
    return LinearPruned(name=name, output_error=error, **facts)


def block(index: int, *linears: LinearPruned, **fields: Any) -> BlockPruned:
    facts = {
        "sparsity": 0.5,
        "alignment": 1e-4,
        "relative_error": 0.1,
        "cosine": 0.9,
        "seconds": 1.0,
    }
    return BlockPruned(index=index, linears=linears or (linear("v_proj"),), **{**facts, **fields})


def run(blocks: Sequence[BlockPruned] = (), total: int | None = None, **fields: Any) -> RunRecord:
    """Return a finished run of these blocks; a running one if the model has more."""
    count = len(blocks) if total is None else total
    names = dict.fromkeys(item.name for each in blocks for item in each.linears)
    shapes = tuple(LinearShape(name=name, rows=ROWS, columns=COLUMNS) for name in names)
    model = ModelFacts(
        name="model",
        architecture="Llama",
        path="layers",
        parameters=1000,
        prunable=600,
        blocks=count,
        linears=(shapes,) * count,
        dtype="float32",
        bytes=4000,
    )
    state = "finished" if count == len(blocks) else "running"
    skipped = SparsityFacts(target=0.5, skipped={"embeddings": 300, "norms": 100})
    facts = {"state": state, "model": model, "sparsity": skipped, "recipe": Recipe.build()} | fields
    return RunRecord(blocks=tuple(blocks), **facts)


def errors(values: Mapping[tuple[int, str], float], **fields: Any) -> RunRecord:
    """Return a run with these output errors by block and linear."""
    indices = dict.fromkeys(index for index, _ in values)
    return run(
        [
            block(index, *(linear(name, value) for (at, name), value in values.items() if at == index))
            for index in indices
        ],
        **fields,
    )


def depths(*values: float | None, **fields: Any) -> RunRecord:
    """Return a run with these errors of the hidden states after its blocks."""
    return run([block(index, relative_error=value) for index, value in enumerate(values)], **fields)


def tried(strength: float, objective: float, step: str = "block", **fields: Any) -> Candidate:
    """Return a candidate of a search."""
    facts = {"block_objectives": (objective / 2, objective / 2), "ratios": (0.4, 0.6)} | fields
    return Candidate(step=step, strength=strength, objective=objective, **facts)

"""Canned records for the charts: of what a run decides, and of what updates and refinements report."""

from __future__ import annotations

import math
from typing import Any

from engine.events import BlockPruned, LinearPruned
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.pages.decisions import deciding
from tests.pages.fakes import BLOCKS, ENDS, events, starting

NEUROAL = {"allocation": "neuroal", "sparsity": 0.6}


def record(blocks: int = BLOCKS, **fields: Any) -> RunRecord:
    """Return a run with this many finished blocks; it is finished when all are."""
    return RunRecord.fold(
        events(Recipe.build(fields), blocks, ENDS["finished"] if blocks == BLOCKS else None)
    )


def undecided(steps: int | None = None, **fields: Any) -> RunRecord:
    """Return a run that is still deciding the allocation, after this many steps."""
    recipe = Recipe.build(fields)
    return RunRecord.fold([*starting(recipe), *deciding(recipe, BLOCKS)[:steps]])


def one_block(*linears: LinearPruned, index: int = 0) -> RunRecord:
    """Return a record of one block with these linears."""
    facts = {"sparsity": 0.5, "alignment": 0.0, "relative_error": None, "cosine": None, "seconds": 1.0}
    return RunRecord(blocks=(BlockPruned(index=index, linears=linears, **facts),))


def linear(rows: int, columns: int, error: float, **fields: Any) -> LinearPruned:
    """Return a linear with an output error."""
    return LinearPruned(
        name=f"l{rows}x{columns}",
        rows=rows,
        columns=columns,
        removed=0,
        sparsity=0.5,
        output_error=error,
        **fields,
    )


def infinite(found: RunRecord) -> RunRecord:
    """Return the record with values that are not finite wherever a chart might read them."""
    search = tuple(
        item.model_copy(update={"objective": math.inf, "alignment": (math.inf, math.nan)})
        for item in found.search[:3]
    )
    wrong = {
        "output_error": math.inf,
        "error_before_update": math.nan,
        "error_before_refinement": math.inf,
        "swaps": 1,
    }
    wrong |= {"drift_before": math.inf, "drift_after": math.nan}
    first, *rest = found.blocks
    broken = first.model_copy(
        update={"linears": tuple(item.model_copy(update=wrong) for item in first.linears)}
    )
    measured = {**found.measured, 0: math.inf, 1: math.nan}
    return found.model_copy(
        update={"search": (*search, *found.search[3:]), "blocks": (broken, *rest), "measured": measured}
    )

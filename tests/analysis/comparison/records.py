"""Finished runs with given perplexities, for tests of comparisons."""

from __future__ import annotations

from typing import Any

from engine.analysis.comparison.protocols import FinishedRun
from engine.events import Score, WindowsReady
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.record.parts import Evaluation, Protocol, SparsityFacts

DENSE = 20.0


def made(
    perplexity: float,
    *,
    own: bool = True,
    fingerprint: str = "f" * 16,
    dense: float = DENSE,
    seconds: float = 2.0,
    **fields: Any,
) -> FinishedRun:
    """Return a finished run of a recipe with these fields."""
    from math import log

    recipe = Recipe.build(**fields)
    windows = {"documents": 1, "windows": 4, "length": 256, "available": 9, "fingerprint": fingerprint}
    evaluation = Evaluation(
        corpus="stories",
        dense=Score(perplexity=dense, nll=log(dense), tokens=100),
        pruned=Score(perplexity=perplexity, nll=log(perplexity), tokens=100),
    )
    record = RunRecord(
        key=recipe.key,
        state="finished",
        recipe=recipe,
        dense=evaluation.dense,
        pruned=evaluation.pruned,
        evaluations=(evaluation,),
        protocol=Protocol(
            calibration=WindowsReady(role="calibration", corpus="stories", seed=recipe.seed, **windows),
            evaluation=WindowsReady(role="evaluation", corpus="stories", seed=None, **windows),
            dtype="float32",
        ),
        sparsity=SparsityFacts(target=recipe.sparsity, achieved=recipe.sparsity - 0.01),
        timings={"load": 7.0, "prune": seconds, "evaluate": 5.0},
    )
    return FinishedRun(recipe.key, recipe, record, own)

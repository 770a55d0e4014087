"""Made-up events of allocations that measure or search: those between the windows and the first block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from engine.events import (
    Allocated,
    BlockMeasured,
    Candidate,
    CandidateChosen,
    CandidateTried,
    Event,
    RowSpread,
)
from engine.pruning.axes import ALLOCATIONS
from engine.recipe import Recipe

STRENGTHS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25)
BLOCK_BEST, ROW_BEST = 0.1, 0.04
CONSUMERS = {
    "self_attn.q_proj": None,
    "self_attn.k_proj": None,
    "self_attn.v_proj": None,
    "self_attn.o_proj": "mlp.gate_proj",
    "mlp.gate_proj": "mlp.down_proj",
    "mlp.up_proj": "mlp.down_proj",
    "mlp.down_proj": None,
}


def deciding(recipe: Recipe, blocks: int) -> list[Event]:
    """Return the events of what the recipe's allocation measures and tries."""
    if recipe.allocation == "neuroal":
        return _search(recipe, blocks)
    if ALLOCATIONS[recipe.allocation].measure:
        return [
            BlockMeasured(elapsed=0.2 + 0.01 * index, index=index, value=2.0 + (7 * index) % 5)
            for index in range(blocks)
        ]
    return []


def allocated(recipe: Recipe, blocks: int) -> Allocated:
    """Return the decision: of the made-up search, from the measurements, or the manual one."""
    if recipe.allocation == "neuroal":
        step = recipe.parameters("allocation")["step"]
        ratios = _rising(recipe.sparsity, blocks, BLOCK_BEST if step != "row" else 0)
        return Allocated(
            elapsed=0.4, ratios=ratios, clipped=(blocks - 1,), rows=_rows(ratios) if step != "block" else ()
        )
    if ALLOCATIONS[recipe.allocation].measure:
        return Allocated(elapsed=0.4, ratios=_from_measured(recipe, blocks))
    return Allocated(elapsed=0.1, ratios=recipe.settings.get("manual.ratios") or (recipe.sparsity,) * blocks)


def _search(recipe: Recipe, blocks: int) -> list[Event]:
    settings = recipe.parameters("allocation")
    tried: list[Candidate] = [_candidate(recipe, blocks, "uniform", 0.0, 1.14e-3, 0.0)]
    events: list[Event] = [CandidateTried(elapsed=0.2, candidate=tried[0])]
    steps = {"block": (STRENGTHS, BLOCK_BEST, 1.07e-3), "row": ((0.0, *STRENGTHS), ROW_BEST, 1.02e-3)}
    for step, (strengths, best, least) in steps.items():
        if settings["step"] not in (step, "both"):
            continue
        spread = 0 if step == "row" and settings["step"] == "row" else BLOCK_BEST
        for strength in strengths:
            stopped = settings["stop"] == "yes" and strength > best + 0.04
            shift = strength if step == "block" else spread
            candidate = _candidate(
                recipe, blocks, step, strength, least * (1 + 7 * (strength - best) ** 2), shift, stopped
            )
            events.append(CandidateTried(elapsed=0.2 + 0.005 * len(events), candidate=candidate))
        events.append(CandidateChosen(elapsed=0.2 + 0.005 * len(events), step=step, strength=best))
    return events


def _candidate(
    recipe: Recipe,
    blocks: int,
    step: str,
    strength: float,
    objective: float,
    shift: float,
    stopped: bool = False,
) -> Candidate:
    parts = [1 + 0.3 * (index % 3) - 4 * shift * (0.4 - index / blocks) for index in range(blocks)]
    computed = parts[: blocks - 2] if stopped else parts
    alignment = [(1.02 if stopped else 1) * objective * part / sum(computed) for part in computed]
    return Candidate(
        step=step,
        strength=strength,
        objective=sum(alignment),
        block_objectives=tuple(alignment),
        ratios=_rising(recipe.sparsity, blocks, shift),
        stopped=stopped,
    )


def _rising(sparsity: float, blocks: int, strength: float) -> tuple[float, ...]:
    return tuple(sparsity - strength + 2 * strength * index / max(1, blocks - 1) for index in range(blocks))


def _from_measured(recipe: Recipe, blocks: int) -> tuple[float, ...]:
    values = [(7 * index) % 5 for index in range(blocks)]
    mean = sum(values) / blocks
    return tuple(recipe.sparsity - 0.03 * (value - mean) for value in values)


def _rows(ratios: Sequence[float]) -> tuple[tuple[RowSpread, ...], ...]:
    steps = list(accumulate((-0.055, 0.02, 0.012, 0.018, 0.015, 0.012, 0.018)))
    return tuple(
        tuple(
            RowSpread(
                name=name,
                consumer=consumer if index < len(ratios) - 1 else None,
                quantiles=_quantiles(ratio, consumer, index, len(ratios), steps),
            )
            for name, consumer in CONSUMERS.items()
        )
        for index, ratio in enumerate(ratios)
    )


def _quantiles(
    ratio: float, consumer: str | None, index: int, blocks: int, steps: Sequence[float]
) -> tuple[float, ...]:
    wide = (
        0.0
        if consumer is None or index == blocks - 1
        else 1 + 0.15 * (index % 4) + (0.4 if consumer == "mlp.down_proj" else 0)
    )
    return tuple(ratio + wide * step for step in steps)

"""Lesson 6: scores that look at both sides of a weight, on a matrix with one faint row; and the neurons that
a model loses.

Scores and masks are the engine's own. Counting what the bundled model loses reads its weights once and takes
half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from engine.lessons.layer import Table, table
from engine.lessons.observed import output_error, statistics_of
from engine.models.identity import DEMO, resolve
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group, Unstructured
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics

ROWS, COLUMNS, TOKENS = 6, 8, 64
FAINT_ROW, FAINT_COLUMN = 3, 5
"""The output with small weights, and the input that is quiet."""
NEEDS = frozenset({Need.INPUT_NORM, Need.OUTPUT_NORM})
MODEL_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
WITHOUT_TEXT = ("magnitude", "ri")
"""Scores that need nothing but the weights."""


@dataclass(frozen=True)
class Masked:
    """The matrix under a score.

    Attributes:
        strengths: a_j, the root mean square of each input over the tokens.
        loudness: b_i, the same of each output.
        scores: what the score gives each weight.
        left: how many weights each row keeps.
        heard: how many weights each column keeps.
        error: of the output, as a share of it.
    """

    weights: Table
    strengths: tuple[float, ...]
    loudness: tuple[float, ...]
    scores: Table
    kept: tuple[tuple[bool, ...], ...]
    left: tuple[int, ...]
    heard: tuple[int, ...]
    error: float

    @property
    def dead_rows(self) -> tuple[int, ...]:
        """Outputs that nothing feeds any more."""
        return tuple(row for row, count in enumerate(self.left) if not count)

    @property
    def dead_columns(self) -> tuple[int, ...]:
        """Inputs that nobody listens to any more."""
        return tuple(column for column, count in enumerate(self.heard) if not count)


def masked(
    score: str,
    sparsity: float,
    *,
    group: Group = Group.LAYER,
    scale: float = 1.0,
    settings: Mapping[str, Any] | None = None,
) -> Masked:
    """The matrix pruned by a score with these parameters (`score.parameter`), its faint row multiplied by
    `scale`.
    """
    weight, inputs = _layer(scale)
    statistics = _statistics(weight, inputs)
    plan = Plan.of(score=score, group=group, settings=settings)
    keep = plan.prune(weight, statistics, sparsity).keep
    return Masked(
        weights=table(weight),
        strengths=tuple(statistics.input_norm.tolist()),
        loudness=tuple(statistics.output_norm.tolist()),
        scores=table(plan.score.function(weight, statistics, **plan.parameters["score"])),
        kept=tuple(tuple(row) for row in keep.tolist()),
        left=tuple(keep.sum(1).tolist()),
        heard=tuple(keep.sum(0).tolist()),
        error=output_error(weight, weight * keep, inputs),
    )


def blended(output_part: float, sparsity: float, *, group: Group = Group.LAYER) -> Masked:
    """The matrix pruned by `|W_ij| ((1 - part) a_j + part b_i)`: the general symmetric score, from the input
    alone to the output alone.
    """
    settings = {
        "symwanda.form": "general",
        "symwanda.alpha_in": 1 - output_part,
        "symwanda.alpha_out": output_part,
    }
    return masked("symwanda", sparsity, group=group, settings=settings)


@dataclass(frozen=True)
class Lost:
    """Neurons of all of a model's linears that a score cuts off: outputs without a weight, and inputs that
    nobody listens to.
    """

    sparsity: float
    rows: int
    columns: int


@lru_cache(maxsize=len(WITHOUT_TEXT))
def lost_in_model(score: str) -> tuple[Lost, ...]:
    """What the bundled model loses at each of `MODEL_SPARSITIES`, where all weights of a linear compete.

    Args:
        score: one of `WITHOUT_TEXT`.
    """
    pattern, found = Unstructured(Group.LAYER), []
    scored = [SCORES[score].function(weight, None) for weight in _linears()]
    for sparsity in MODEL_SPARSITIES:
        masks = [pattern.keep(scores, sparsity) for scores in scored]
        rows, columns = (sum(int((~mask.any(side)).sum()) for mask in masks) for side in (1, 0))
        found.append(Lost(sparsity, rows, columns))
    return tuple(found)


@lru_cache(maxsize=1)
def model_neurons() -> tuple[int, int]:
    """How many outputs and inputs the linears of the bundled model have in all."""
    rows, columns = zip(*(weight.shape for weight in _linears()), strict=True)
    return sum(rows), sum(columns)


def _linears() -> list[Tensor]:
    """The prunable weights `[out, in]` of the bundled model."""
    with safe_open(Path(resolve(DEMO)) / "model.safetensors", framework="pt") as file:
        return [file.get_tensor(name).float() for name in file.keys() if name.endswith("proj.weight")]  # noqa: SIM118  (no mapping)


def _layer(scale: float) -> tuple[Tensor, Tensor]:
    """A weight of two decimals with a faint row, times `scale`, and inputs `[windows, tokens, in]`, each a
    window, with a quiet column.
    """
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(ROWS, COLUMNS, generator=generator)
    weight[FAINT_ROW] *= 0.25
    inputs = (
        torch.randn(TOKENS, 1, COLUMNS, generator=generator)
        * (torch.randn(COLUMNS, generator=generator) / 2).exp()
    )
    inputs[..., FAINT_COLUMN] *= 0.2
    weight = (100 * weight).round() / 100
    weight[FAINT_ROW] *= scale
    return weight, inputs


def _statistics(weight: Tensor, inputs: Tensor) -> Statistics:
    return statistics_of(inputs, NEEDS, weight)

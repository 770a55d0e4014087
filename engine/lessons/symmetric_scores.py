"""Lesson 6: scores that use both sides of a weight, on a matrix with one weak row; and the neurons that the
bundled model loses.

Scores and masks are the engine's own. Counting the lost neurons of the bundled model reads its weights once
and takes half a second.
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

from engine.lessons.layer import Table, mask_table, output_error, statistics_of, table
from engine.models.identity import DEMO, resolve
from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group, Unstructured
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need

ROWS, COLUMNS, TOKENS = 6, 8, 64
WEAK_ROW, WEAK_COLUMN = 3, 5
"""The output with small weights, and the input with a small strength."""
NEEDS = frozenset({Need.INPUT_NORM, Need.OUTPUT_NORM})
MODEL_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
WITHOUT_TEXT = ("magnitude", "ri")
"""Scores that need only the weights."""


@dataclass(frozen=True)
class Masked:
    """The matrix pruned by a score.

    Attributes:
        strengths: a_j, the root mean square of each input over the tokens.
        output_strengths: b_i, the same of each output.
        scores: the score of each weight.
        row_counts: how many weights each row keeps.
        column_counts: how many weights each column keeps.
        error: the relative error of the output.
    """

    weights: Table
    strengths: tuple[float, ...]
    output_strengths: tuple[float, ...]
    scores: Table
    kept: tuple[tuple[bool, ...], ...]
    row_counts: tuple[int, ...]
    column_counts: tuple[int, ...]
    error: float

    @property
    def dead_rows(self) -> tuple[int, ...]:
        """Outputs without any weight left."""
        return tuple(row for row, count in enumerate(self.row_counts) if not count)

    @property
    def dead_columns(self) -> tuple[int, ...]:
        """Inputs without any weight left."""
        return tuple(column for column, count in enumerate(self.column_counts) if not count)


def masked(
    score: str,
    sparsity: float,
    *,
    group: Group = Group.LAYER,
    scale: float = 1.0,
    settings: Mapping[str, Any] | None = None,
) -> Masked:
    """Prune the matrix by a score.

    Args:
        score: the score's name in the registry.
        sparsity: the share of the weights to remove.
        group: the comparison group.
        scale: a factor for the weak row.
        settings: parameters of the score, as `score.parameter`.
    """
    weight, inputs = draw(scale)
    statistics = statistics_of(inputs, NEEDS, weight)
    plan = Plan.of(score=score, group=group, settings=settings)
    keep = plan.prune(weight, statistics, sparsity).keep
    return Masked(
        weights=table(weight),
        strengths=tuple(statistics.input_norm.tolist()),  # a root mean square, because a window is one token
        output_strengths=tuple(statistics.output_norm.tolist()),
        scores=table(plan.score.function(weight, statistics, **plan.parameters["score"])),
        kept=mask_table(keep),
        row_counts=tuple(keep.sum(1).tolist()),
        column_counts=tuple(keep.sum(0).tolist()),
        error=output_error(weight, weight * keep, inputs),
    )


def blended(output_part: float, sparsity: float, *, group: Group = Group.LAYER) -> Masked:
    """Prune the matrix by the general symmetric score, `|W_ij| ((1 - part) a_j + part b_i)`.

    Args:
        output_part: 0 uses the input only, 1 the output only.
        sparsity: the share of the weights to remove.
        group: the comparison group.
    """
    settings = {
        "symwanda.form": "general",
        "symwanda.alpha_in": 1 - output_part,
        "symwanda.alpha_out": output_part,
    }
    return masked("symwanda", sparsity, group=group, settings=settings)


@dataclass(frozen=True)
class LostNeurons:
    """Neurons that a score disconnects, over all linears of a model: outputs (rows) and inputs (columns)
    without any weight left.
    """

    sparsity: float
    rows: int
    columns: int


@lru_cache(maxsize=len(WITHOUT_TEXT))
def lost_in_model(score: str) -> tuple[LostNeurons, ...]:
    """Count the lost neurons of the bundled model at each of `MODEL_SPARSITIES`.

    All weights of a linear compete.

    Args:
        score: one of `WITHOUT_TEXT`.
    """
    pattern, lost = Unstructured(Group.LAYER), []
    scored = [SCORES[score].function(weight, None) for weight in _linears()]
    for sparsity in MODEL_SPARSITIES:
        masks = [pattern.keep(scores, sparsity) for scores in scored]  # [out, in] each
        # `any(1)` over a row, `any(0)` over a column.
        rows, columns = (sum(int((~mask.any(side)).sum()) for mask in masks) for side in (1, 0))
        lost.append(LostNeurons(sparsity, rows, columns))
    return tuple(lost)


@lru_cache(maxsize=1)
def model_neurons() -> tuple[int, int]:
    """Return the total number of outputs and of inputs of the bundled model's linears."""
    rows, columns = zip(*(weight.shape for weight in _linears()), strict=True)
    return sum(rows), sum(columns)


def _linears() -> list[Tensor]:
    """Return the prunable weights `[out, in]` of the bundled model."""
    with safe_open(Path(resolve(DEMO)) / "model.safetensors", framework="pt") as file:
        names = list(file.keys())
        # The linears of its blocks are q, k, v, o, gate, up and down, each with the suffix `_proj`.
        return [file.get_tensor(name).float() for name in names if name.endswith("proj.weight")]


def draw(scale: float) -> tuple[Tensor, Tensor]:
    """Draw a weight `[out, in]` with two decimals and inputs `[windows, tokens, in]`, one token per window.

    Args:
        scale: a factor for the weak row.
    """
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(ROWS, COLUMNS, generator=generator)
    weight[WEAK_ROW] *= 0.25
    inputs = (
        torch.randn(TOKENS, 1, COLUMNS, generator=generator)
        * (torch.randn(COLUMNS, generator=generator) / 2).exp()
    )
    inputs[..., WEAK_COLUMN] *= 0.2
    weight = (100 * weight).round() / 100
    weight[WEAK_ROW] *= scale  # after rounding: the factor must not change what is rounded away
    return weight, inputs

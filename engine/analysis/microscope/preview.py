"""A score tried on one linear of a dense model, next to Wanda: what the page shows while a formula is typed.

The linear sees a few calibration windows that pass through the dense blocks before it. Its weight and
statistics are cached, so that another formula for the same linear takes milliseconds. The weight update and
the refinement are left out: the preview is about which weights the score removes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from engine.analysis.microscope.calibration import record
from engine.analysis.microscope.decision import decide
from engine.analysis.microscope.findings import row_errors, score_distribution
from engine.analysis.microscope.linear import opened, with_siblings
from engine.analysis.microscope.picture import picture
from engine.analysis.microscope.types import Preview, Tried
from engine.errors import ModelError
from engine.hardware.shared_cache import SHARED
from engine.hub.cache import snapshot
from engine.models.block import Place
from engine.models.identity import local_source
from engine.models.language_model import LanguageModel
from engine.pruning.observation import observe
from engine.pruning.pipeline import sample_size
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics
from engine.pruning.weights import masked
from engine.recipe import Recipe

WINDOWS = 8
"""Calibration windows at most: enough to compare two scores, and quick."""
CHEAP = frozenset(Need) - {Need.HESSIAN}
"""What is measured whatever the formula names. The Hessian is measured if it names it."""
OTHER = "wanda"

_lock = Lock()
"""Held while a linear is observed, so that a second page waits for it instead of computing it again."""


@dataclass(frozen=True)
class _Seen:
    """A linear and what the windows showed about it."""

    weight: Tensor
    statistics: Statistics
    place: Place


@torch.no_grad()
def preview(recipe: Recipe, block: int, name: str, cache: Path | None = None) -> Preview:
    """Return how the recipe's score and Wanda decide about a linear of the dense model.

    Args:
        block: the block's index.
        name: the linear's name inside the block.
        cache: where token windows are stored.

    Raises:
        ModelError: there is no such linear, or the model cannot be read.
        CorpusError: the calibration text cannot be read.
        NumericsError: raised by the score.
    """
    plan = _plan(recipe, recipe.score)
    seen = _seen(recipe, block, name, CHEAP | plan.needs, cache)
    mine, other = (_tried(one, seen, recipe.sparsity) for one in (plan, _plan(recipe, OTHER)))
    same = float((mine[1] == other[1]).double().mean())
    return Preview(mine[0], other[0], same, seen.statistics.tokens)


def _plan(recipe: Recipe, score: str) -> Plan:
    """Return the recipe's plan with a score, and without update and refinement."""
    choices = recipe.model_dump(include={"pattern", "group", "permutation", "settings"})
    return Plan.of(score=score, **choices)


def _tried(plan: Plan, seen: _Seen, sparsity: float) -> tuple[Tried, Tensor]:
    """Return what a plan does to the linear, and its mask."""
    decision = decide(plan, seen.weight, seen.statistics, sparsity, seen.place)
    keep, after = decision.keep, masked(seen.weight, decision.keep)
    errors = row_errors(seen.statistics.sample.float(), seen.weight, after, keep)
    scores = score_distribution(decision, keep, plan.pattern, running=False)
    shown = picture(seen.weight.cpu(), after.cpu(), keep.cpu())
    return Tried(scores, shown, errors.error), keep


def _seen(recipe: Recipe, block: int, name: str, needs: frozenset[Need], cache: Path | None) -> _Seen:
    """Return the linear and its statistics, from the cache if it was asked for before."""
    few = recipe.model_copy(update={"samples": min(WINDOWS, recipe.samples)})
    text = (few.calibration, few.samples, few.length, few.seed)
    asked = (few.model, few.revision, few.dtype, few.device, text, block, name, needs)
    with _lock:
        found: _Seen | None = SHARED.take(_seen, asked)
        if found is None:
            _require_here(few)
            with opened(few) as model:
                found = _observed(model, few, block, name, needs, cache)
        SHARED.put(_seen, asked, found)
    return found


def _require_here(recipe: Recipe) -> None:
    if local_source(recipe.model, recipe.revision) is None and not snapshot(recipe.model, recipe.revision):
        raise ModelError(
            f"The weights of {recipe.model} are not on this machine. A run downloads them; after it there is "
            "a preview.",
            kind="missing",
        )


def _observed(
    model: LanguageModel, recipe: Recipe, block: int, name: str, needs: frozenset[Need], cache: Path | None
) -> _Seen:
    if not 0 <= block < len(model.blocks):
        raise ModelError(
            f"Block {block} does not exist: this model has the blocks 0 to {len(model.blocks) - 1}."
        )
    stream = record(model, recipe, cache)
    for before in model.blocks[:block]:
        with model.present(before):
            stream.advance(before)
    with model.present(model.blocks[block]) as present:
        if name not in present.linears:
            raise ModelError(f"Block {block} has no linear {name}, only {', '.join(present.linears)}.")
        linear = present.linears[name]
        tokens = sum(ids.numel() for ids in stream.ids)
        watched = with_siblings(present, linear)
        with observe(watched, stream.windows, needs, sample=sample_size(tokens), tokens=tokens) as found:
            deque(stream.through(present), maxlen=0)  # only the hooks matter, not the outputs
        if name not in found:
            raise ModelError(f"No text passes through {name} of block {block}. Choose another linear.")
        # A copy: the block's weights are released when another block is read.
        return _Seen(linear.weight.float().clone(), found[name], linear.place)

"""The microscope: one linear of a finished run, from its record and pruned blocks to what a page shows.

The dense model is streamed, so `look` reads one block from the disk, whatever the model's size: 0.1 s for the
bundled one. `study` passes the calibration windows through the pruned blocks before, as the run did, and runs
the run's own methods on the linear again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.analysis.microscope.calibration import BlockInputs
from engine.analysis.microscope.decision import decide
from engine.analysis.microscope.findings import row_errors, sample_groups, score_distribution, spectrum
from engine.analysis.microscope.picture import picture
from engine.analysis.microscope.types import Picture, Span, Spectrum, Study
from engine.errors import ModelError
from engine.hardware.device import threads_for
from engine.inputs import dense_model
from engine.models.block import Block, Linear
from engine.models.language_model import LanguageModel
from engine.pruning.observation import observe
from engine.pruning.patterns import Sparsity
from engine.pruning.pipeline import sample_size
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need, Statistics
from engine.pruning.weights import BlockWeights, PrunedLinear, masked
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.run import CHOICES

_block_inputs = BlockInputs()  # one for the process, shared by all pages


@dataclass(frozen=True)
class Specimen:
    """A linear of a finished run.

    Attributes:
        record: the run's.
        kept: its pruned weights by block.
        block: the block's index.
        name: the linear's name inside the block.
        cache: where token windows are stored, None for nowhere.
    """

    record: RunRecord
    kept: Mapping[int, BlockWeights]
    block: int
    name: str
    cache: Path | None = None

    @property
    def recipe(self) -> Recipe:
        assert self.record.recipe is not None, "a finished run has a recipe"
        return self.record.recipe

    def pruned(self) -> PrunedLinear:
        """Return the linear's mask and pruned weights.

        Raises:
            ModelError: the run has no such block, or pruned no such linear.
        """
        blocks = self.record.model.blocks if self.record.model else len(self.kept)
        if not 0 <= self.block < blocks:
            raise ModelError(
                f"Block {self.block} does not exist: this run's model has the blocks 0 to {blocks - 1}."
            )
        weights = self.kept[self.block]
        if self.name not in weights:
            raise ModelError(
                f"This run pruned no linear {self.name} in block {self.block}, only {', '.join(weights)}."
            )
        return weights[self.name]


@torch.no_grad()
def look(specimen: Specimen, rows: Span | None = None, columns: Span | None = None) -> Picture:
    """Return the weight and its mask, all of it or a part.

    Raises:
        ModelError: there is no such linear or part, or the model cannot be read.
    """
    pruned = specimen.pruned()
    with opened(specimen.recipe) as model, model.present(model.blocks[specimen.block]) as block:
        before = block.linears[specimen.name].weight.cpu()
        return picture(before, _after(before, pruned), pruned.keep, rows, columns)


@torch.no_grad()
def singular_values(specimen: Specimen) -> Spectrum:
    """Return the singular values of the dense and the pruned weight.

    Raises:
        ModelError: there is no such linear, or the model cannot be read.
    """
    pruned = specimen.pruned()
    with opened(specimen.recipe) as model, model.present(model.blocks[specimen.block]) as block:
        before = block.linears[specimen.name].weight
        return spectrum(before, _after(before, pruned))


@torch.no_grad()
def study(specimen: Specimen) -> Study:
    """Return what the calibration text shows about the linear.

    Raises:
        ModelError: there is no such linear, or the model cannot be read.
        CorpusError: the calibration text cannot be read.
        NumericsError: raised by the run's methods.
    """
    start = time.perf_counter()
    pruned, recipe = specimen.pruned(), specimen.recipe
    plan = Plan.of(**recipe.model_dump(include=set(CHOICES)))
    # As many threads as in the run (`engine.run`), so that sums round as they did there.
    with opened(specimen.recipe) as model, threads_for(small=model.is_small, alone=not recipe.evaluations):
        stream = _block_inputs.stream_at(model, recipe, specimen.kept, specimen.block, specimen.cache)
        with model.present(model.blocks[specimen.block]) as block:
            linear = block.linears[specimen.name]
            tokens = sum(ids.numel() for ids in stream.ids)
            observed = with_siblings(block, linear)
            # The page shows the norms, and errors on the sample, whatever the methods need.
            needs = frozenset(_needs(plan) | {Need.INPUT_NORM, Need.SAMPLE})
            with observe(
                observed, stream.windows, needs, sample=sample_size(tokens), tokens=tokens
            ) as statistics:
                deque(stream.through(block), maxlen=0)  # only the hooks matter, not the outputs
            return _studied(
                plan, linear, statistics[specimen.name], pruned, _sparsity(specimen, plan, pruned), start
            )


def _studied(
    plan: Plan, linear: Linear, statistics: Statistics, pruned: PrunedLinear, sparsity: Sparsity, start: float
) -> Study:
    before = linear.weight.float()
    keep, after = pruned.keep.to(before.device), _after(before, pruned).float()
    errors = row_errors(statistics.sample.float(), before, after, keep)  # the sample is [sampled tokens, in]
    decision = decide(plan, before, statistics, sparsity, linear.place)
    pattern, running = plan.pattern, plan.decides_while_updating
    return Study(
        norms=statistics.input_norm.cpu().numpy(),
        scores=None if plan.score.joint else score_distribution(decision, keep, pattern, running=running),
        unscored=JOINT if plan.score.joint else "",
        lost=errors.worst,
        median_error=errors.median,
        error=errors.error,
        groups=sample_groups(before, keep, pattern, decision.order),
        tokens=statistics.tokens,
        sampled=len(statistics.sample),
        notes=tuple(f"{linear.path}: {warning}." for warning in decision.warnings),
        seconds=time.perf_counter() - start,
    )


@contextmanager
def opened(recipe: Recipe) -> Iterator[LanguageModel]:
    """Open the recipe's dense model, streamed if possible; running out of memory becomes a `ModelError`."""
    try:
        try:
            model = dense_model(recipe, "streamed")
        except ModelError:
            # models whose blocks share weights cannot be streamed; any other error is raised again here
            model = dense_model(recipe)
        yield model
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            "Out of memory while inspecting this linear. Try again when no run is active.",
            kind="memory",
        ) from error


def _after(before: Tensor, pruned: PrunedLinear) -> Tensor:
    """Return the pruned weight `[out, in]` on the device of the dense one."""
    if pruned.weight is not None:
        return pruned.weight.to(before)
    return masked(before, pruned.keep.to(before.device))


def _needs(plan: Plan) -> frozenset[Need]:
    """Return the statistics that the decision needs: those of the update only if it decides the mask."""
    return plan.needs if plan.decides_while_updating else plan.score.needs


def with_siblings(block: Block, linear: Linear) -> dict[str, Linear]:
    """Return the linear to observe; for an expert, all linears of its parameter.

    With the others, an expert that received no tokens can be told from a linear that is never called.
    """
    if linear.expert is None:
        return {linear.name: linear}
    same = (linear.module, linear.parameter)
    return {name: other for name, other in block.linears.items() if (other.module, other.parameter) == same}


def _sparsity(specimen: Specimen, plan: Plan, pruned: PrunedLinear) -> Sparsity:
    """Return the linear's target sparsity: its block's, its own if the allocation gives linears their own, or
    one per row if the allocation looked at its rows or the mask has uneven rows.
    """
    rows = (~pruned.keep).sum(1)
    # Even if all rows got the same sparsity, which is not rounded to whole weights as a single one is.
    looked_at = specimen.record.rows and specimen.name in {
        spread.name for spread in specimen.record.rows[specimen.block]
    }
    uneven = bool((rows != rows[0]).any())
    if plan.pattern.allows_row_sparsities and (looked_at or uneven):
        # The run's targets per row are not needed: the mask counts them exactly.
        return rows.double() / pruned.keep.shape[1]
    if plan.allocation.linears:
        return int(rows.sum()) / pruned.keep.numel()
    return specimen.record.allocation[specimen.block]


JOINT = "This method scores whole groups of weights, so single weights have no scores."

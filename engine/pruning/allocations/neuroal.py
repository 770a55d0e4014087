"""NeuroAL: keep the neurons of the pruned blocks firing in the proportions of the dense ones (arXiv
2411.07066, TMLR 2025).

Two steps, each a search over one strength lambda for the smallest objective, the neuron alignment distance
summed over all linears: the *block step* lets the sparsity rise with depth, the *row step* spares rows whose
downstream norm fell most. The search runs on a few windows; `engine.pruning.search` describes its cost.
Candidates are pruned with the score, update and refinement of the run.

After the row step every row keeps `floor((1 - r) * in)` weights, as published: up to one weight per row fewer
than its share, half a percent of a row of 128. So the achieved sparsity may be slightly above the target,
whereas all other methods round it down; the record states the achieved one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from engine.events import REFERENCE_STEP, Candidate, CandidateChosen, CandidateTried, Event, Noted
from engine.models.dataflow import Consumer, consumers
from engine.pruning import papers
from engine.pruning.axes import ALLOCATIONS, Allocation, Shares
from engine.pruning.patterns import Group
from engine.pruning.search import AllocationContext, Search, Trial
from engine.pruning.shares import HIGHEST, LOWEST, centred, rescale, within_limits
from engine.registry import Parameter

if TYPE_CHECKING:
    from torch import Tensor


BLOCK_STRENGTHS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25)
ROW_STRENGTHS = (0.0, *BLOCK_STRENGTHS)  # 0: uniform rows, so that the step may change nothing
WITHOUT_LARGEST_FROM = 0.8
"""The sparsity from which the largest block strength is omitted."""

PASSES_PER_CANDIDATE = 1.8
"""Forward passes: a dense one that is not completed, and a pruned one."""

Consumers = Mapping[int, Mapping[str, Consumer]]
Candidates = dict[tuple[str, float], Shares]


def neuroal(
    context: AllocationContext, *, step: str, windows: int, heads: str, stop: str
) -> Generator[Event, None, Shares]:
    """Return the best candidate of the block step, of the row step, or of both in turn."""
    search, halt = context.search(windows), stop == "yes"
    uniform: Candidates = {(REFERENCE_STEP, 0.0): Shares((context.target,) * len(context.sizes))}
    # If candidates can be stopped, the reference runs on its own: it must not stop any of them, because then
    # none might be left to choose from.
    if halt or step == "row":
        start = yield from _tried(search, uniform, REFERENCE_STEP, stop=False)
    if step != "row":
        blocks: Candidates = {
            ("block", strength): shares for strength, shares in block_candidates(context).items()
        }
        # If none can be stopped, the reference joins the block step's batch, so that no core idles. It is
        # reported, but only candidates of the step itself can win.
        start = yield from _tried(search, blocks if halt else uniform | blocks, "block", stop=halt)
    if step == "block":
        return start.shares
    fed = _consumers(search, heads)
    yield from _unclear(fed)
    rows: Candidates = {
        ("row", strength): shares for strength, shares in row_candidates(context, start, fed).items()
    }
    best = yield from _tried(search, rows, "row", stop=halt)
    return best.shares


def candidates(step: str) -> int:
    """Return how many candidates are tried, including the uniform reference."""
    # One too many at high sparsities, where the largest block strength is omitted: this is for estimates.
    return 1 + len(BLOCK_STRENGTHS) * (step != "row") + len(ROW_STRENGTHS) * (step != "block")


def block_candidates(context: AllocationContext) -> dict[float, Shares]:
    """Return the candidates by strength: block l of L has the sparsity `s - lambda + 2 lambda l / (L - 1)`,
    shifted so that the mean by size is s, and clipped to 0.01 and 0.99.
    """
    depth = range(len(context.sizes))
    found = {}
    for strength in BLOCK_STRENGTHS:
        if strength == BLOCK_STRENGTHS[-1] and context.target >= WITHOUT_LARGEST_FROM:
            continue
        rising = [2 * strength * block / max(1, len(depth) - 1) for block in depth]
        # Only `2 lambda l / (L - 1)` matters: the constant part is lost in the shift to the mean.
        ratios, clipped = within_limits(
            centred(rising, context.sizes, context.target), context.sizes, context.target
        )
        found[strength] = Shares(tuple(ratios), clipped=clipped)
    return found


def row_candidates(context: AllocationContext, best: Trial, fed: Consumers) -> dict[float, Shares]:
    """Return the candidates by strength: each row's sparsity depends on how much norm the neuron that it
    feeds lost in the best trial so far.
    """
    lost = [{name: norms.cpu() for name, norms in block.items()} for block in best.lost]
    on_host = replace(best, lost=tuple(lost))  # once, not for each strength
    return {strength: _with_rows(context, on_host, fed, strength) for strength in ROW_STRENGTHS}


def row_sparsities(lost: Tensor, sparsity: float, strength: float) -> Tensor:
    """Return the sparsity of each row, `[out]` float64, for the norms `lost` downstream, `[out]`.

    It is `1 - density`, the density being `2 lambda minmax(lost)` shifted to the mean `1 - sparsity`. Clipped
    to 0.01 and 0.99, and rescaled if that moved the mean. If nothing distinguishes the rows, all get the
    same.
    """
    lost = lost.double()
    even = torch.full_like(lost, sparsity)
    spread = lost.max() - lost.min()
    if not spread > 0 or strength == 0 or not LOWEST <= sparsity <= HIGHEST:
        return even
    density = 2 * strength * (lost - lost.min()) / spread  # [out], highest where most was lost
    rows = sparsity - (density - density.mean())
    if rows.min() >= LOWEST and rows.max() <= HIGHEST:
        return rows
    # Rows have equal lengths, hence the equal weights.
    scaled = rescale(rows.clamp(LOWEST, HIGHEST), torch.ones_like(rows), sparsity, lowest=LOWEST)
    return even if scaled is None else scaled


def _with_rows(context: AllocationContext, best: Trial, fed: Consumers, strength: float) -> Shares:
    ratios = best.shares.blocks
    rows: dict[int, dict[str, Tensor]] = {}
    for block in context.blocks:
        lost = best.lost[block.index]
        rows[block.index] = {
            name: _rows(
                block.linears[name].shape[0], fed[block.index].get(name), lost, ratios[block.index], strength
            )
            for name in lost
        }
    named = {index: {name: consumer.name for name, consumer in block.items()} for index, block in fed.items()}
    return Shares(ratios, rows, best.shares.clipped, named)


def _rows(
    count: int, consumer: Consumer | None, lost: Mapping[str, Tensor], sparsity: float, strength: float
) -> Tensor:
    if consumer is None or consumer.name is None or consumer.columns is None or consumer.name not in lost:
        return torch.full((count,), sparsity, dtype=torch.float64)
    # [in] of the consumer -> [out] of this linear: `columns` says which input each row becomes.
    return row_sparsities(lost[consumer.name][consumer.columns.cpu()], sparsity, strength)


def _consumers(search: Search, heads: str) -> Consumers:
    """Return which linear reads each linear's rows; those of the last block stay uniform, because no block
    follows it.
    """
    last = search.model.blocks[-1]
    return {
        block.index: {name: Consumer(None, None, "the last block stays uniform") for name in last.linears}
        if block is last
        else consumers(block, hidden, call, heads=heads)
        for block, hidden, call in search.first_batch()
    }


def _unclear(fed: Consumers) -> Iterable[Event]:
    """Yield a note for each reason why rows of some linears stay uniform."""
    reasons: dict[str, dict[str, None]] = {}  # the inner dict is an ordered set
    for block in list(fed.values())[:-1]:  # the last block is uniform by design
        for name, consumer in block.items():
            if consumer.name is None:
                reasons.setdefault(consumer.reason, {})[name] = None
    for reason, names in reasons.items():
        yield Noted(message=f"NeuroAL's row step leaves the rows of {', '.join(names)} uniform: {reason}.")


def _tried(search: Search, candidates: Candidates, step: str, *, stop: bool) -> Generator[Event, None, Trial]:
    """Try all candidates, yield the result of each, and return the step's trial with the smallest objective,
    the first on ties.
    """
    complete: dict[float, Trial] = {}
    for (kind, strength), trial in zip(
        candidates, search.trials(list(candidates.values()), stop=stop), strict=True
    ):
        yield CandidateTried(candidate=_described(kind, strength, trial))
        if kind == step and not trial.stopped:
            complete[strength] = trial
    # `min` returns the first of equals, and dicts keep their order: the smallest strength.
    chosen = min(complete, key=lambda strength: complete[strength].objective)
    if step != REFERENCE_STEP:
        yield CandidateChosen(step=step, strength=chosen)
    return complete[chosen]


def _described(step: str, strength: float, trial: Trial) -> Candidate:
    return Candidate(
        step=step,
        strength=strength,
        objective=trial.objective,
        block_objectives=trial.alignment,
        ratios=trial.shares.blocks,
        stopped=trial.stopped,
    )


ALLOCATIONS.add(
    Allocation(
        name="neuroal",
        title="NeuroAL",
        explanation="Searches how strongly to spare the early blocks, and the rows that later neurons need, "
        "so that neurons fire as they did before.",
        helps="At 60 % and more, with any score that ranks within rows. It searches about thirty candidates "
        "and needs no tuning.",
        formula=r"\min_\lambda \sum_i \frac{1}{n_i} \left\lVert \frac{d_i}{\sum d_i} - "
        r"\frac{q_i(\lambda)}{\sum q_i(\lambda)} \right\rVert_2",
        paper=papers.NEUROAL,
        parameters=(
            Parameter(
                name="step",
                kind="choice",
                default="both",
                choices=("block", "row", "both"),
                explanation="allocate over the blocks, over the rows of each linear, or both in turn",
            ),
            Parameter(
                name="windows",
                kind="int",
                default=8,
                minimum=1,
                maximum=1024,
                explanation="calibration windows used in the search",
            ),
            Parameter(
                name="heads",
                kind="choice",
                default="uniform",
                choices=("uniform", "query"),
                explanation="with grouped-query attention, leave the rows of q, k and v uniform (as "
                "published), or spare rows of q",
            ),
            Parameter(
                name="stop",
                kind="choice",
                default="no",
                choices=("no", "yes"),
                explanation="abandon candidates that are already worse than another one: the same choice "
                "with incomplete curves, and no sooner on the models that were measured",
            ),
        ),
        function=neuroal,
        objective="neuron alignment distance, summed over the blocks",
        strengths="λ moves sparsity from early to late blocks (block step), or away from rows whose "
        "downstream neurons lost most (row step).",
        passes=lambda parameters: (
            PASSES_PER_CANDIDATE * candidates(parameters["step"]),
            parameters["windows"],
        ),
        candidates=lambda parameters: candidates(parameters["step"]),
        rows=lambda parameters: parameters["step"] != "block",
        whole_rows={"step": "block"},
        group=Group.ROW,
    )
)

"""What the charts over depth show: the neuron alignment per block, and the error of the hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from statistics import median

from engine.analysis.explanations.explanation import ALLOCATION_SEARCH, LAYERS, Explanation, explanation
from engine.analysis.explanations.linears import SAME
from engine.analysis.explanations.progress import (
    done_blocks,
    is_complete,
    nothing_measured,
    points,
    scope,
    times_median,
)
from engine.events import BlockPruned
from engine.numbers import percent, plural, scientific
from engine.record import RunRecord

FLAT = 0.05
"""Relative change of the error from the first block to the last that is neither growth nor fall."""
LEAN = 0.6
"""Share of a total from which one half of the blocks clearly has more of it than the other."""
Error = tuple[int, float]
"""A block and the relative error of the hidden states after it."""


def neuron_alignment(record: RunRecord) -> Explanation:
    """Explain the bars of the neuron alignment distance."""
    blocks = [block for block in done_blocks(record) if isfinite(block.alignment)]
    if not blocks:
        return explanation([nothing_measured(record)], ALLOCATION_SEARCH)
    worst, middle = (
        max(blocks, key=lambda block: block.alignment),
        median(block.alignment for block in blocks),
    )
    if worst.alignment == 0:
        words = f"{scope(record)}the neurons keep their relative strengths: every distance is 0."
        return explanation([words], ALLOCATION_SEARCH)
    times = f", {times_median(worst.alignment, middle)}" if middle and len(blocks) > 1 else ""
    first = (
        f"{scope(record)}the relative strengths of the neurons shift most in block {worst.index}, by a "
        f"distance of {scientific(worst.alignment)}{times}."
    )
    return explanation([first, _halves(record, blocks), _most_pruned(blocks, worst)], ALLOCATION_SEARCH)


def error_over_depth(record: RunRecord) -> Explanation:
    """Explain the line of the relative error of the hidden states."""
    errors = known_errors(record)
    if not errors:
        without = record.recipe is not None and record.recipe.evaluation is None
        words = "It is not measured without an evaluation text." if without else nothing_measured(record)
        return explanation([words], LAYERS)
    (first, start), (last, end) = errors[0], errors[-1]
    if not any(error for _, error in errors):
        words = f"{scope(record)}the hidden states are the dense model's: every error is 0."
        return explanation([words], LAYERS)
    if len(errors) == 1:
        return explanation(
            [f"After block {first}, the hidden states are {percent(start)} away from the dense model's."],
            LAYERS,
        )
    span = f"from {percent(start)} after block {first} to {percent(end)} after block {last}"
    falls = sum(after < before for (_, before), (_, after) in pairwise(errors))
    if grows(errors):
        way = f"it falls in {plural(falls, 'block')} on the way" if falls else "it falls in no block"
        words = f"{scope(record)}the error grows {span}; {way}."
    elif end < (1 - FLAT) * start:
        words = f"{scope(record)}the error falls {span}."
    else:
        words = f"{scope(record)}the error changes little, {span}."
    return explanation([words, _steps_words(errors), _usual(record, errors)], LAYERS)


def known_errors(record: RunRecord) -> list[Error]:
    """Return the finite errors of the hidden states."""
    return [
        (block.index, block.relative_error)
        for block in done_blocks(record)
        if block.relative_error is not None and isfinite(block.relative_error)
    ]


def grows(errors: Sequence[Error]) -> bool:
    """Return whether the error is clearly larger at the end than at the start."""
    return errors[-1][1] > (1 + FLAT) * errors[0][1]


def largest_step(errors: Sequence[Error]) -> Error:
    """Return the block that adds most to the error, and how much; the first one adds all of its error."""
    steps = [errors[0], *((block, after - before) for (_, before), (block, after) in pairwise(errors))]
    return max(steps, key=lambda step: step[1])


def _steps_words(errors: Sequence[Error]) -> str:
    """Return which block adds most, and where half of the last error is reached."""
    end = errors[-1][1]
    if [block for block, _ in errors] != list(range(len(errors))) or end == 0:  # a gap hides whose step it is
        return ""
    block, step = largest_step(errors)
    half = next(block for block, error in errors if error >= end / 2)
    return f"Block {block} adds most, {points(step)}; half of the last error is reached after block {half}."


def _usual(record: RunRecord, errors: Sequence[Error]) -> str:
    """Return whether the growth is as in the bundled runs."""
    if not is_complete(record) or len(errors) < len(record.blocks):
        return ""
    if errors[-1][1] <= errors[0][1]:
        return "In every bundled run it is larger after the last block than after the first."
    if not grows(errors):
        return ""
    if largest_step(errors)[0] == 0:
        return "That is usual: it grows in every bundled run, and in nearly all the first block adds most."
    return "It grows in every bundled run, but in nearly all of them the first block adds most."


def _halves(record: RunRecord, blocks: Sequence[BlockPruned]) -> str:
    """Return which half of the model has more of the total distance."""
    if not is_complete(record) or len(blocks) < max(4, len(record.blocks)):  # a part says nothing about it
        return ""
    later = blocks[len(blocks) // 2 :]
    share = sum(block.alignment for block in later) / sum(block.alignment for block in blocks)
    names = f"Blocks {later[0].index} to {later[-1].index}"
    if share >= LEAN:
        return f"{names} have most of the total, {percent(share, 0)}."
    if share <= 1 - LEAN:
        return f"{names} have only {percent(share, 0)} of the total."
    return f"{names} have {percent(share, 0)} of the total, so neither half of the model stands out."


def _most_pruned(blocks: Sequence[BlockPruned], worst: BlockPruned) -> str:
    shares = [block.sparsity for block in blocks]
    if max(shares) - min(shares) < SAME or worst.sparsity < max(shares):
        return ""
    return f"No block loses a larger share of its weights: {percent(worst.sparsity)}."

"""What the charts of two runs show: both over their blocks, and the overlap of their masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from engine.analysis.comparison.overlap import LinearOverlap, Side, overall
from engine.analysis.explanations.explanation import (
    ALLOCATION_METHODS,
    ALLOCATION_SEARCH,
    LAYERS,
    SCORES,
    Explanation,
    LessonStep,
    explanation,
)
from engine.analysis.linear_names import short_labels
from engine.events import BlockPruned
from engine.numbers import percent, scientific
from engine.record import RunRecord

Names = tuple[str, str]
NEAR_CHANCE = 0.02
"""Difference of two shares up to which an overlap is no more than chance."""


def sparsities(runs: Sequence[RunRecord], names: Names) -> Explanation:
    """Explain the sparsity of each block in two runs."""
    return _side_by_side(runs, names, lambda block: block.sparsity, percent, ALLOCATION_METHODS)


def alignments(runs: Sequence[RunRecord], names: Names) -> Explanation:
    """Explain the neuron alignment distance of each block in two runs."""
    return _side_by_side(runs, names, lambda block: block.alignment, scientific, ALLOCATION_SEARCH)


def errors(runs: Sequence[RunRecord], names: Names) -> Explanation:
    """Explain the relative error of the hidden states in two runs."""
    return _side_by_side(runs, names, lambda block: block.relative_error, percent, LAYERS)


def mask_overlap(overlaps: Sequence[LinearOverlap], side: Side) -> Explanation:
    """Explain the heat map of the overlap of two masks."""
    if not overlaps:
        return explanation(["The two runs share no linear."], SCORES)
    total, labels = overall(overlaps, side), short_labels(list(dict.fromkeys(one.linear for one in overlaps)))
    verb = "kept" if side == "kept" else "removed"
    words = f"of the weights that at least one run has {verb}, both have {verb} {percent(total.share)}"
    if total.share > total.chance + NEAR_CHANCE:
        first = f"{words}; random masks of these sizes would share only {percent(total.chance)}."
    elif total.share < total.chance - NEAR_CHANCE:
        first = f"{words}, less than the {percent(total.chance)} of random masks of these sizes."
    else:
        first = f"{words}, no more than chance ({percent(total.chance)})."
    shares = {f"{labels[one.linear]} of block {one.block}": getattr(one, side).share for one in overlaps}
    most, least = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    second = (
        f"The masks are most alike in {most} ({percent(shares[most])}) and least in {least} "
        f"({percent(shares[least])})."
        if shares[most] > shares[least]
        else ""
    )
    return explanation([first, second], SCORES)


def _side_by_side(
    runs: Sequence[RunRecord],
    names: Names,
    value: Callable[[BlockPruned], float | None],
    words: Callable[[float], str],
    lesson: LessonStep,
) -> Explanation:
    """Explain a number of each block in two runs; `words` formats it."""
    one, other = ({block.index: value(block) for block in run.blocks} for run in runs)
    pairs = {
        block: (left, right)
        for block, left in sorted(one.items())
        if (right := other.get(block)) is not None and left is not None and isfinite(left - right)
    }
    if not pairs:
        return explanation(["The two runs have no block for which both know this number."], lesson)
    higher = sum(left > right for left, right in pairs.values())
    lower = sum(left < right for left, right in pairs.values())
    if not higher and not lower:
        return explanation([f"Both runs have the same value in all {len(pairs)} blocks."], lesson)
    first = f"{names[0]} is higher in {higher} and lower in {lower} of {len(pairs)} blocks than {names[1]}."
    apart = max(pairs, key=lambda block: abs(pairs[block][0] - pairs[block][1]))
    values = " and ".join(words(number) for number in pairs[apart])
    return explanation([first, f"They differ most in block {apart}: {values}."], lesson)

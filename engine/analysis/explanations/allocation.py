"""What the charts of the sparsity per block and per row show."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import isfinite
from statistics import fmean, median

from engine.analysis.candidates import best_candidate, named
from engine.analysis.explanations.explanation import (
    ALLOCATION_GUESS,
    ALLOCATION_METHODS,
    ALLOCATION_SEARCH,
    Explanation,
    LessonStep,
    explanation,
)
from engine.analysis.explanations.linears import SAME
from engine.analysis.explanations.progress import points
from engine.analysis.linear_names import linear_names, short_labels
from engine.numbers import listed, percent, plural
from engine.pruning.axes import ALLOCATIONS
from engine.record import RunRecord

SLOPE = 0.01
"""Difference of the two halves' mean sparsity from which one is clearly pruned more."""


def sparsity_per_block(record: RunRecord) -> Explanation:
    """Explain the bars of the sparsity per block."""
    best, lesson = best_candidate(record), _lesson(record)
    ratios = record.allocation or (best.ratios if best else ())
    if not ratios:
        done = len(record.measured)
        measured = f"{plural(done, 'block')} measured so far; the sparsities follow when all are."
        return explanation([measured if done else "Nothing is decided yet."], lesson)
    tried = "" if record.allocation or best is None else f"with the best candidate so far, {named(best)}, "
    low, high = ratios.index(min(ratios)), ratios.index(max(ratios))
    if ratios[high] - ratios[low] < SAME:
        return explanation([f"{tried}every block loses the same share, {percent(ratios[high])}."], lesson)
    first = (
        f"{tried}block {low} loses least, {percent(ratios[low])}, and block {high} most, "
        f"{percent(ratios[high])}."
    )
    return explanation([first, _direction(ratios), _reason(record, low) or _clipped(record)], lesson)


def sparsity_per_row(record: RunRecord) -> Explanation:
    """Explain the boxes of the sparsity per row."""
    labels = short_labels(linear_names(record))
    widths = {
        (block, labels.get(spread.name, spread.name)): spread.quantiles[-2] - spread.quantiles[1]
        for block, spreads in enumerate(record.rows)
        for spread in spreads
        if spread.consumer is not None
    }
    if not widths or max(widths.values()) == 0:
        return explanation(["All rows of a linear lose the same share of their weights."], ALLOCATION_SEARCH)
    (block, label), width = max(widths.items(), key=lambda item: item[1])
    first = (
        f"rows differ most in {label} of block {block}: the middle 80 % of them span {points(width)}; the "
        f"median of all linears with uneven rows is {points(median(widths.values()))}."
    )
    without = sum(spread.consumer is None for spreads in record.rows for spread in spreads)
    second = (
        f"In {without} of {without + len(widths)} linears all rows lose the same share, because no single "
        "linear of the block reads them."
        if without
        else ""
    )
    return explanation([first, second], ALLOCATION_SEARCH)


def _lesson(record: RunRecord) -> LessonStep:
    if record.search:
        return ALLOCATION_SEARCH
    return ALLOCATION_METHODS if record.measured else ALLOCATION_GUESS


def _direction(ratios: tuple[float, ...]) -> str:
    """Return whether the sparsity rises or falls with depth."""
    if len(ratios) < 4:  # two halves of one block say nothing about a trend
        return ""
    size = len(ratios) // 2
    early, late = fmean(ratios[:size]), fmean(ratios[-size:])
    means = f"{percent(early)} in the first half of the model, {percent(late)} in the second"
    if abs(late - early) < SLOPE:
        return f"There is no slope from early to late blocks: the means are {means}."
    less, way = ("Early", "rises") if late > early else ("Late", "falls")
    steadily = all((after > before) == (late > early) for before, after in pairwise(ratios))
    how = f" with every block ({means})" if steadily else f" on average ({means})"
    return f"{less} blocks are spared: the sparsity {way}{how}."


def _reason(record: RunRecord, spared: int) -> str:
    """Return that the block that loses least is at an end of what the allocation measured, if it is."""
    known = {block: value for block, value in record.measured.items() if isfinite(value)}
    quantity = ALLOCATIONS.named(record.recipe.allocation).measure if record.recipe else ""
    if not quantity or spared not in known or len(set(known.values())) < 2:
        return ""
    return _extreme(known, spared, quantity)


def _extreme(known: Mapping[int, float], spared: int, quantity: str) -> str:
    for word, end in (("highest", max), ("lowest", min)):
        if known[spared] == end(known.values()):
            return f"Block {spared} has the {word} measured value ({quantity})."
    return ""


def _clipped(record: RunRecord) -> str:
    if not record.clipped:
        return ""
    blocks = f"block{'s' if len(record.clipped) > 1 else ''} {listed(record.clipped)}"
    return f"The sparsity of {blocks} was clipped at a limit of the method."

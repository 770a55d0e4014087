"""What the heat maps of blocks by linears show: the sparsity and the output error of each linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median

from engine.analysis.explanations import bundled_runs
from engine.analysis.explanations.explanation import ALLOCATION_GUESS, BY_HAND, Explanation, explanation
from engine.analysis.explanations.progress import (
    done_blocks,
    is_complete,
    nothing_measured,
    points,
    scope,
    times_median,
)
from engine.analysis.linear_names import linear_names, short_labels
from engine.events import LinearPruned
from engine.numbers import percent
from engine.pruning.axes import ALLOCATIONS
from engine.record import RunRecord

SAME = 0.01
"""Difference of two sparsities that rounding alone can make: by less than a weight per row, so by less than
this in rows of 100 weights.
"""
ALIKE = 1.25
"""Ratio of two errors up to which neither stands out."""


@dataclass(frozen=True)
class Place:
    """A linear of a block: its label, and the value that a chart shows of it."""

    block: int
    label: str
    linear: LinearPruned
    value: float

    def __str__(self) -> str:
        return f"{self.label} of block {self.block}"


def sparsity_map(record: RunRecord) -> Explanation:
    """Explain the heat map of the sparsity."""
    places = _places(record, lambda linear: linear.sparsity)
    if not places:
        return explanation([nothing_measured(record)], ALLOCATION_GUESS)
    low, high = _lowest(places), _highest(places)
    if high.value - low.value < SAME:
        even = record.recipe is not None and ALLOCATIONS.named(record.recipe.allocation).even
        share, exactly = percent(high.value), percent(low.value) == percent(high.value)
        if exactly:
            why = "The map has one colour because the allocation is uniform."
            words = f"{scope(record)}every linear loses the same share of its weights, {share}."
        else:
            why = (
                "The map has nearly one colour because the allocation is uniform; counts are rounded down in "
                "each comparison group."
            )
            words = (
                f"{scope(record)}every linear loses about the same share of its weights, from "
                f"{percent(low.value)} in {low} to {share} in {high}."
            )
        return explanation([words, why if even else ""], ALLOCATION_GUESS)
    ranges = (
        f"{scope(record)}the sparsity ranges from {percent(low.value)} in {low} to {percent(high.value)} in "
        f"{high}."
    )
    widths = {block: _width(places, block) for block in dict.fromkeys(place.block for place in places)}
    widest = max(widths, key=lambda block: widths[block])
    within = (
        "Within a block, all linears lose the same share; only the blocks differ."
        if widths[widest] < SAME
        else f"Linears of one block differ too, by up to {points(widths[widest])} in block {widest}."
    )
    return explanation([ranges, within], ALLOCATION_GUESS)


def output_errors(record: RunRecord) -> Explanation:
    """Explain the heat map of the output errors."""
    places = _places(record, lambda linear: linear.output_error)
    if not places:
        return explanation([nothing_measured(record)], BY_HAND)
    worst, middle = _highest(places), median(place.value for place in places)
    if worst.value == 0:
        return explanation([f"{scope(record)}no output changed: every error is 0."], BY_HAND)
    if worst.value < ALIKE * middle:
        first = (
            f"{scope(record)}the output errors are alike: the largest is {percent(worst.value)}, in {worst}, "
            f"the median {percent(middle)}."
        )
    else:
        times = f"{times_median(worst.value, middle)} of {percent(middle)}" if middle else "the median is 0"
        first = f"{scope(record)}the largest output error is {percent(worst.value)}, in {worst}: {times}."
    return explanation([first, _kinds(places), _most_pruned(record, worst) or _usual(record, worst)], BY_HAND)


def is_value(name: str) -> bool:
    """Return whether a linear is a value projection, by its name."""
    return name.rpartition(".")[2] == bundled_runs.VALUE


def _places(record: RunRecord, value: Callable[[LinearPruned], float]) -> list[Place]:
    """Return the linears with a finite value, in the model's order."""
    blocks = done_blocks(record)
    labels = short_labels(list(dict.fromkeys(linear.name for block in blocks for linear in block.linears)))
    return [
        Place(block.index, labels[linear.name], linear, value(linear))
        for block in blocks
        for linear in block.linears
        if isfinite(value(linear))
    ]


def _lowest(places: Sequence[Place]) -> Place:
    return min(places, key=lambda place: place.value)


def _highest(places: Sequence[Place]) -> Place:
    return max(places, key=lambda place: place.value)


def _width(places: Sequence[Place], block: int) -> float:
    values = [place.value for place in places if place.block == block]
    return max(values) - min(values)


def _kinds(places: Sequence[Place]) -> str:
    """Return which linears have the largest and the smallest error in the mean over the blocks."""
    values: dict[str, list[float]] = {}
    for place in places:
        values.setdefault(place.label, []).append(place.value)
    means = {label: fmean(found) for label, found in values.items()}
    if len(means) < 2:
        return ""
    most, least = max(means, key=lambda label: means[label]), min(means, key=lambda label: means[label])
    if means[most] < ALIKE * means[least]:
        return (
            f"In the mean over the blocks, no kind of linear stands out: they are between "
            f"{percent(means[least])} and {percent(means[most])}."
        )
    return (
        f"In the mean over the blocks, {most} suffers most ({percent(means[most])}) and {least} least "
        f"({percent(means[least])})."
    )


def _most_pruned(record: RunRecord, worst: Place) -> str:
    """Return that the linear with the largest error also lost the largest share, if that is so."""
    shares = [linear.sparsity for block in record.blocks for linear in block.linears]
    if max(shares) - min(shares) < SAME or worst.linear.sparsity < max(shares):
        return ""
    return f"No linear loses a larger share of its weights than {worst}: {percent(worst.linear.sparsity)}."


def _usual(record: RunRecord, worst: Place) -> str:
    """Return whether that block and that linear are where the largest error usually is."""
    if not is_complete(record):
        return ""
    first = percent(bundled_runs.FIRST_BLOCK_WORST, 0)
    place = f"in the first block in {first} of the bundled runs"
    here = [("block", worst.block == 0)]
    if any(is_value(name) for name in linear_names(record)):
        place += f", and in {bundled_runs.VALUE} in {percent(bundled_runs.VALUE_WORST, 0)}"
        here.append(("linear", is_value(worst.linear.name)))
    usual = [what for what, as_usual in here if as_usual]
    if len(usual) == len(here):
        return f"This is the usual place: the largest error is {place}."
    if usual:
        other = next(what for what, as_usual in here if not as_usual)
        return f"The {usual[0]} is the usual one, the {other} is not: the largest error is {place}."
    return f"This is not the usual place: the largest error is {place}."

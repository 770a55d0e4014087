"""How the families of a comparison are told apart: colour, dash and marker together, always the same for the
same place in the list.

Four colours that any eye tells apart on light and on dark, times six dashes: twenty-four families, of which
two of one colour differ in dash and in marker. Grey is left to the dense model.

Places for labels beside the ends of lines: as near to their lines as they can stand without lying upon one
another.

The axis of perplexities that several charts share: straight or logarithmic, with its ends and ticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, log10
from typing import Any

from engine import numbers
from engine.charts import palette

SPAN = 6.0
"""From this factor between the least and the largest on, a logarithmic axis suits them better."""
BROKEN = 1e6
"""Times the dense perplexity at which an axis ends at the latest: beyond, one broken model is as broken as
another.
"""
MANY = 1e5
"""Factor between the ends from which powers of ten are ticks enough."""


def wants_logarithm(values: Iterable[float]) -> bool:
    """Whether a straight axis would hide the differences."""
    known = [value for value in values if isfinite(value)]
    return bool(known) and max(known) > SPAN * min(known)


def top(values: Iterable[float], dense: float) -> float:
    """The largest value that an axis has to hold: those that are no numbers, or beyond all measure, are left
    outside.
    """
    return max((min(value, BROKEN * dense) for value in values if isfinite(value)), default=dense)


@dataclass(frozen=True)
class Scale:
    """Logarithmic or not, and the ends; the lower one is above 0 where it is."""

    logarithmic: bool
    low: float
    high: float

    def place(self, value: float) -> float:
        """A value's place between the ends, 0 to 1 for those inside."""
        if self.logarithmic:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at a place."""
        return (
            self.low * exp(place * log(self.high / self.low))
            if self.logarithmic
            else self.low + place * (self.high - self.low)
        )

    def at(self, value: float) -> float:
        """A value as a figure wants it for an annotation: on a logarithmic axis the decimal logarithm."""
        return log10(value) if self.logarithmic else value

    @property
    def ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten; only the powers where these are many. Of a logarithmic axis."""
        steps = (1,) if self.high > MANY * self.low else (1, 2, 5)
        return [
            step * 10.0**power
            for power in range(-2, 300)
            for step in steps
            if self.low <= step * 10.0**power <= self.high
        ]

    @property
    def axis(self) -> dict[str, Any]:
        """What a figure's axis is told."""
        if not self.logarithmic:
            return {"type": "linear", "range": [self.low, self.high], "nticks": 8}
        words = [f"{tick:,.0f}" if 1 <= tick < 1e5 else numbers.scientific(tick, 0) for tick in self.ticks]
        return {
            "type": "log",
            "range": [log10(self.low), log10(self.high)],
            "tickvals": self.ticks,
            "ticktext": words,
        }


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places at least `gap` apart, in the order of the wanted ones, with the least sum of squared moves.

    Less `gap` times its rank, a place must not fall below the one before it: an isotonic regression, solved
    by pooling neighbours.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []  # mean and size
    for rank, index in enumerate(order):
        pools.append((wanted[index] - gap * rank, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, size), (before, count) = pools.pop(), pools.pop()
            pools.append(((mean * size + before * count) / (size + count), size + count))
    levels = [mean for mean, size in pools for _ in range(size)]
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = levels[rank] + gap * rank
    return places


COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.PURPLE)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon")
PATTERNS = (
    "square-open-dot",
    "diamond-open-dot",
    "triangle-up-open-dot",
    "circle-open-dot",
    "triangle-down-open-dot",
)
"""Markers of N:M patterns, in the order of the patterns."""
CLIFF, OWN = "star-open", "circle-open"


@dataclass(frozen=True)
class Style:
    """One family's look."""

    colour: str
    dash: str
    marker: str


def style(place: int) -> Style:
    """The look of the family at this place."""
    return Style(
        COLOURS[place % len(COLOURS)],
        DASHES[place // len(COLOURS) % len(DASHES)],
        MARKERS[place % len(MARKERS)],
    )

"""The perplexity axis that several charts share: linear or logarithmic, with its ends, ticks and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, log10
from typing import Any

from engine import numbers

SPAN = 6.0
"""Ratio of the largest to the smallest value above which a logarithmic axis suits them better."""
BROKEN = 1e6
"""Dense perplexities at which an axis ends at the latest: all models beyond that are equally broken."""
MANY = 1e5
"""Ratio of the ends above which powers of ten are enough ticks."""


def wants_logarithm(values: Iterable[float]) -> bool:
    """Return whether a linear axis would hide the differences."""
    known = [value for value in values if isfinite(value)]
    return bool(known) and max(known) > SPAN * min(known)


def top(values: Iterable[float], dense: float) -> float:
    """Return the largest value that an axis must hold: at most `BROKEN` dense perplexities, and finite."""
    # an overflowed perplexity must not set the axis
    return max((min(value, BROKEN * dense) for value in values if isfinite(value)), default=dense)


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis and its ends; the lower end of a logarithmic one is positive."""

    logarithmic: bool
    low: float
    high: float

    def place(self, value: float) -> float:
        """Return the position of a value between the ends, from 0 to 1."""
        if self.logarithmic:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """Return the value at a position; the inverse of `place`."""
        if self.logarithmic:
            return self.low * exp(place * log(self.high / self.low))
        return self.low + place * (self.high - self.low)

    def at(self, value: float) -> float:
        """Return a value as Plotly wants it for an annotation: its log10 on a logarithmic axis."""
        return log10(value) if self.logarithmic else value

    @property
    def ticks(self) -> list[float]:
        """Ticks of a logarithmic axis: 1, 2 and 5 times powers of ten, or only the powers on a long one."""
        steps = (1,) if self.high > MANY * self.low else (1, 2, 5)
        return [
            step * 10.0**power
            for power in range(-2, 300)  # perplexities are at least 1; 1e308 is the largest float
            for step in steps
            if self.low <= step * 10.0**power <= self.high
        ]

    @property
    def axis(self) -> dict[str, Any]:
        """The arguments for a figure's axis."""
        if not self.logarithmic:
            return {"type": "linear", "range": [self.low, self.high], "nticks": 8}
        words = [f"{tick:,.0f}" if 1 <= tick < 1e5 else numbers.scientific(tick, 0) for tick in self.ticks]
        return {
            "type": "log",
            # Plotly wants exponents here, but plain values in tickvals
            "range": [log10(self.low), log10(self.high)],
            "tickvals": self.ticks,
            "ticktext": words,
        }


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return label positions at least `gap` apart, in the order of `wanted`, with the least squared distance.

    After subtracting `gap` times its rank, a position must not be below the previous one: this is an isotonic
    regression, solved by pooling adjacent violators.
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

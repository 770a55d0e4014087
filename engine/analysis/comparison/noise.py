"""Whether two perplexities differ by more than rounding alone makes them differ."""

from __future__ import annotations

from engine.analysis.comparison.points import Point


def indistinguishable(one: Point, other: Point) -> bool:
    """Return whether two points are closer to each other than the repeats of one of them.

    Repeats have the same calibration windows in another order, see `Point.noise`. Points without repeats have
    no measured noise, so nothing is claimed about them.
    """
    noise = max((point.noise for point in (one, other) if point.noise is not None), default=None)
    return noise is not None and abs(one.perplexity - other.perplexity) < noise

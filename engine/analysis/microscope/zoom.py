"""Which rows or columns a look covers: spans, from inclusive and to exclusive, in words for an address and as
they grow and shrink.
"""

from __future__ import annotations

import re
from math import floor

from engine.analysis.microscope.types import Span

LEAST = 4
"""Rows or columns that a look covers at least, where there are so many."""


def covered(low: float, high: float, length: int) -> Span:
    """The entries 0 to `length - 1` that a box touches whose edges are at `low` and `high`, where entry i
    reaches from i - 0.5 to i + 0.5.
    """
    low, high = min(low, high), max(low, high)
    return _held(floor(low + 0.5), floor(high + 0.5) + 1, length)


def scaled(span: Span, length: int, factor: float) -> Span:
    """A span around the same middle, `factor` times as long, within 0 to `length`."""
    half = (span[1] - span[0]) * factor / 2
    middle = (span[0] + span[1]) / 2
    size = min(length, max(LEAST, round(2 * half)))
    start = min(max(0, round(middle - size / 2)), length - size)
    return start, start + size


def span_words(span: Span) -> str:
    """`32-95` for the entries 32 to 95."""
    return f"{span[0]}-{span[1] - 1}"


def parse_span(words: str, length: int) -> Span | None:
    """The span that `32-95` stands for; None where it is no such thing or lies outside `length` entries."""
    match = re.fullmatch(r"(\d+)-(\d+)", words)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return (first, last + 1) if first <= last < length else None


def _held(start: int, end: int, length: int) -> Span:
    """At least a few entries, all of them within the length."""
    start, end = min(max(0, start), length), min(max(0, end), length)
    if end - start < LEAST:
        size = min(length, LEAST)
        start = min(start, length - size)
        end = start + size
    return start, end

"""Spans of rows or columns, from inclusive to exclusive: selection, zoom, and their form in an address."""

from __future__ import annotations

import re
from math import floor

from engine.analysis.microscope.types import Span

LEAST = 4
"""Minimum length of a span, if the weight has that many rows or columns."""


def covered(low: float, high: float, length: int) -> Span:
    """Return the entries of 0 to `length - 1` that a box from `low` to `high` touches.

    Entry i reaches from i - 0.5 to i + 0.5.
    """
    low, high = min(low, high), max(low, high)
    return _clamped(floor(low + 0.5), floor(high + 0.5) + 1, length)


def scaled(span: Span, length: int, factor: float) -> Span:
    """Return a span with the same middle, `factor` times as long, within 0 to `length`."""
    half = (span[1] - span[0]) * factor / 2
    middle = (span[0] + span[1]) / 2
    size = min(length, max(LEAST, round(2 * half)))  # the weight may have fewer than `LEAST`
    start = min(max(0, round(middle - size / 2)), length - size)
    return start, start + size


def span_words(span: Span) -> str:
    """Return `32-95` for the entries 32 to 95."""
    return f"{span[0]}-{span[1] - 1}"


def parse_span(words: str, length: int) -> Span | None:
    """Return the span for `32-95`; None if the words are not a span within `length` entries."""
    match = re.fullmatch(r"(\d+)-(\d+)", words)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return (first, last + 1) if first <= last < length else None  # an address includes the last entry


def _clamped(start: int, end: int, length: int) -> Span:
    """Return the span with its minimum length, within the length."""
    start, end = min(max(0, start), length), min(max(0, end), length)
    if end - start < LEAST:
        size = min(length, LEAST)
        start = min(start, length - size)
        end = start + size
    return start, end

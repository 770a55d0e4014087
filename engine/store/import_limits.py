"""The limits of a run that is imported, and the only place that states them. Runs of this program stay far
below.

A file is checked in this order: its bytes, its JSON (`engine.store.import_file`), the size and range of every
value (here), and whether its events fit together (`engine.store.import_checks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isnan
from typing import Any

from engine.events import Event, Facts, Noted

MOST_BYTES = 20_000_000
MOST_EVENTS = 200_000
MOST_NOTES = 1_000
MOST_BLOCKS = 2_000
MOST_LINEARS = 100_000
"""In all blocks together."""
MOST_ENTRIES = 1_000
"""Entries of a table such as the settings or the timings."""
MOST_CHARACTERS = 10_000
SHORT = 200
"""Characters of the names that stand in titles and legends."""
ENTRY = "the name of an entry"
NAMES = frozenset(
    {"score", "pattern", "allocation", "update", "refinement", "name", "step", "task", "metric", ENTRY}
)

LARGEST_INTEGER = 2**53 - 1  # a browser holds larger ones only approximately
ANY = (-1e30, 1e30)
NOT_NEGATIVE = (0.0, 1e30)
SHARE = (0.0, 1.0)
COUNT, POSITIVE = (0, LARGEST_INTEGER), (1, LARGEST_INTEGER)
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("sparsity", "ratios", "quantiles", "coverage", "TaskScore.value"), SHARE),
    **dict.fromkeys(("elapsed", "seconds", "timings", "nll", "bits_per_byte", "stderr"), NOT_NEGATIVE),
    **dict.fromkeys(("alignment", "output_error", "relative_error"), NOT_NEGATIVE),
    **dict.fromkeys(("error_before_update", "error_before_refinement"), NOT_NEGATIVE),
    **dict.fromkeys(("drift_before", "drift_after"), NOT_NEGATIVE),
    **dict.fromkeys(("parameters", "prunable", "blocks", "rows", "columns", "bytes"), POSITIVE),
    **dict.fromkeys(("windows", "length", "tokens", "examples"), POSITIVE),
    "Resumed.blocks": COUNT,
    "cosine": (-1.001, 1.001),  # rounding may exceed 1
    "Score.perplexity": (0.0, inf),  # exp(nll) of a broken model overflows
    "recipe": ANY,  # its own types check it
}
"""The least and the greatest number by field, or by class and field; other integers are a `COUNT`, other
numbers `ANY`.
"""
MAY_BE_NAN = frozenset({"BlockMeasured.value"})
"""NaN says there that a block has no such quantity."""


def check_counts(events: Sequence[Event]) -> None:
    """Check the numbers of events and notes.

    Raises:
        ValueError: there are too many.
    """
    notes = sum(isinstance(event, Noted) for event in events)
    for count, most, what in ((len(events), MOST_EVENTS, "events"), (notes, MOST_NOTES, "notes")):
        if count > most:
            raise ValueError(f"it has {count:,} {what}, but at most {most:,} are accepted")


def check_values(event: Event) -> None:
    """Check every text and number of an event.

    Raises:
        ValueError: a text or a table is too long, or a number is not finite or out of range.
    """
    for owner, field, value in _values(type(event).__name__, "", event):
        fault = (
            _text_fault(field, value) if isinstance(value, str) else _number_fault(f"{owner}.{field}", value)
        )
        if fault:
            raise ValueError(f"{field} in {owner} {fault}")


def _values(owner: str, field: str, value: object) -> Iterator[tuple[str, str, Any]]:
    """Yield every text and number in a value, with the class and the field that hold it."""
    if isinstance(value, Facts):
        for name, item in vars(value).items():
            yield from _values(type(value).__name__, name, item)
    elif isinstance(value, Mapping):
        if len(value) > MOST_ENTRIES:
            raise ValueError(
                f"{field} in {owner} has {len(value):,} entries, but at most {MOST_ENTRIES:,} are accepted"
            )
        for name, item in value.items():
            yield owner, ENTRY, str(name)
            # A recipe's own fields, of which some are names; the numbers keep the table's range.
            yield from _values(owner, str(name) if isinstance(item, str) else field, item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _values(owner, field, item)
    elif isinstance(value, (str, int, float)):
        yield owner, field, value


def _text_fault(field: str, text: str) -> str | None:
    most = SHORT if field in NAMES else MOST_CHARACTERS
    if field == "outcomes":  # one digit per example, so its length is bounded by that of the file
        return None
    return None if len(text) <= most else f"has {len(text):,} characters, but at most {most:,} are accepted"


def _number_fault(place: str, number: float) -> str | None:
    usual = COUNT if isinstance(number, int) else ANY
    low, high = RANGES.get(place) or RANGES.get(place.partition(".")[2]) or usual
    if low <= number <= high or (place in MAY_BE_NAN and isnan(number)):
        return None
    # An integer of thousands of digits cannot even be printed.
    shown = f"{number:g}" if isinstance(number, float) or abs(number) < 10**15 else "too large"
    return f"is {shown}, but must be from {low:g} to {high:g}"

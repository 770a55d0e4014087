"""Text in CSV files: names may come from elsewhere, and a spreadsheet must not take them for formulas."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t")
"""What a cell begins with that a spreadsheet takes for a formula."""


def inert(value: object) -> object:
    """Return a cell that computes nothing; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r", " ")  # some readers end the line here
    # A single character, such as the token "-", computes nothing.
    return f"'{value}" if value[1:] and value.lstrip(" ").startswith(FORMULA) else value

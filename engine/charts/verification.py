"""The comparison of an imported run with its recipe computed here, as a table."""

from __future__ import annotations

import pandas as pd

from engine.analysis.verification import Verification
from engine.numbers import UNKNOWN, percent


def verification_table(verification: Verification) -> pd.DataFrame:
    """Return one row per number, those that differ most first."""
    rows = [
        {
            "number": item.what,
            "imported": _text(item.imported),
            "here": _text(item.here),
            "difference": UNKNOWN if item.difference is None else percent(item.difference, 3),
            "verdict": item.verdict,
        }
        for item in verification.compared
    ]
    return pd.DataFrame(rows, columns=["number", "imported", "here", "difference", "verdict"])


def _text(value: float | str | None) -> str:
    # All digits of a number, as in the record: what differs may be the last one.
    return UNKNOWN if value is None else repr(value) if isinstance(value, float) else str(value)

"""Number formats, chosen once for pages, charts, reports and messages.

Every function returns text. Negative numbers get a proper minus sign (U+2212), units are set off by a space,
and an unknown value is a dash. Does not cover the command line's tables, which print a fixed number of
decimals so that scripts can read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isinf, isnan, log10

UNKNOWN = "—"


def perplexity(value: float | None) -> str:
    """Return a perplexity with about four digits: `48.12`, `1,204`, `3.1 × 10⁵`."""
    if value is None:
        return UNKNOWN
    if value < 1_000:
        return f"{value:.2f}"
    return f"{value:,.0f}" if value < 1e5 else scientific(value)


def ratio(value: float | None) -> str:
    """Return a factor: `× 1.14`."""
    if value is None:
        return UNKNOWN
    return f"× {value:.2f}" if value < 1_000 else f"× {perplexity(value)}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent: `50.0 %` for 0.5."""
    return UNKNOWN if share is None else f"{decimal(100 * share, digits)} %"


def short_percent(share: float) -> str:
    """Return a share in percent as titles have it, without superfluous digits: `60%`, `62.5%`."""
    return f"{100 * share:g}%"


def accuracy(value: float | None, stderr: float | None = None) -> str:
    """Return an accuracy with its standard error, if known: `61.2 ± 0.5 %`."""
    if value is None or stderr is None:
        return percent(value)
    return f"{100 * value:.1f} ± {percent(stderr)}"


def decimal(value: float, digits: int) -> str:
    """Return a number with a fixed number of decimals, and a sign only if it is negative: `0.5`, `−0.5`."""
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 1) -> str:
    """Return a change with its sign: `+0.5`, `−0.5`; a value that rounds to zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    # Only zeros are left of a value that rounds to zero.
    return text if text.strip("+−0.") else text[1:]


def seconds(value: float | None) -> str:
    """Return a measured time: `under 1 ms`, `0.34 s`, `12 s`, `2 min 5 s`, `1 h 12 min`."""
    if value is None:
        return UNKNOWN
    if 0 < value < 1e-3:
        return "under 1 ms"
    if value < 10:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    whole = round(value)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(value: float) -> str:
    """Return a measured time of a fast operation, given in seconds: `3.42 ms`; from one second on as
    `seconds`.
    """
    return f"{1000 * value:.3g} ms" if value < 1 else seconds(value)


def about(value: float) -> str:
    """Return an estimated time in seconds, rounded to what an estimate can know: `12 s`, `7 min`, `1.5 h`."""
    if value < 90:
        return f"{max(1, round(value))} s"
    return f"{round(value / 60)} min" if value < 5400 else f"{value / 3600:.1f} h"


def age(value: float) -> str:
    """Return how long ago something happened, in seconds: `just now`, `5 min`, `3 h`, `2 days`."""
    for length, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if value >= length:
            number = int(value // length)
            return f"{number} {unit}{'s' if unit == 'day' and number > 1 else ''}"
    return "just now"


def count(value: int) -> str:
    """Return a count with three digits: `512`, `1.8 thousand`, `1.8 million`, `7 billion`."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value}"


def size(value: int | None) -> str:
    """Return a number of bytes in decimal units: `320 MB` or `1.2 GB`."""
    if value is None:
        return UNKNOWN
    if value >= 999.5e6:  # three digits of MB would be rounded to 1e+03
        return f"{value / 1e9:.1f} GB"
    return f"{value / 1e6:.3g} MB"


def scientific(value: float, digits: int = 1) -> str:
    """Return `3.1 × 10⁻⁴`, with this many decimals, and from 0.1 to 100 as many digits without a power."""
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    if isnan(value) or value == 0:
        return "undefined" if isnan(value) else "0"
    exponent = floor(log10(abs(value)))
    mantissa = f"{value / 10**exponent:.{digits}f}"
    if mantissa.startswith(("10", "-10")):  # rounding 9.96 up has added a digit
        mantissa, exponent = f"{value / 10 ** (exponent + 1):.{digits}f}", exponent + 1
    if abs(exponent) <= 1:
        return f"{value:.{max(0, digits - exponent)}f}"
    return f"{mantissa} × {power_of_ten(exponent)}"


def power_of_ten(exponent: int) -> str:
    """Return `10⁻⁴`."""
    return f"10{str(exponent).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def plural(number: int, word: str) -> str:
    """Return `1 row` or `3 rows`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def listed(items: Sequence[object], most: int = 6) -> str:
    """Return `0, 3 and 7`; a list longer than `most` is cut: `0, 1, 2, 3, 4 and 27 more`."""
    words = [str(item) for item in items]
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

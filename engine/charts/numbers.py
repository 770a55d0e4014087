"""Number formats, chosen once: what a person reads on a page, in a cell of a chart or beside an axis.

Short names of linears, for the rows of a chart: the last part of the name, with as much before it as tells
two apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import floor, isfinite, isinf, isnan, log10

from engine.record import RunRecord


def short_names(names: Sequence[str]) -> dict[str, str]:
    """`self_attn.q_proj` becomes `q_proj`; GPT-2's two `c_proj` become `attn.c_proj` and `mlp.c_proj`."""
    short = {name: _tail(name, 1) for name in names}
    for parts in range(2, 1 + max((name.count(".") + 1 for name in names), default=1)):
        twice = {label for label, times in Counter(short.values()).items() if times > 1}
        if not twice:
            break
        short = {name: _tail(name, parts) if label in twice else label for name, label in short.items()}
    return short


def linear_names(record: RunRecord) -> list[str]:
    """The names of all linears inside the blocks, in the model's order; blocks may differ."""
    shapes = record.model.linears if record.model else ()
    return list(dict.fromkeys(shape.name for block in shapes for shape in block))


def _tail(name: str, parts: int) -> str:
    return ".".join(name.split(".")[-parts:])


NOTHING = "—"


def perplexity(value: float | None) -> str:
    """Four digits or so: `48.12`, `1,204`, `3.1 × 10⁵`."""
    if value is None:
        return NOTHING
    if value < 1_000:
        return f"{value:.2f}"
    return f"{value:,.0f}" if value < 1e5 else scientific(value)


def ratio(value: float | None) -> str:
    """`× 1.14`."""
    if value is None:
        return NOTHING
    return f"× {value:.2f}" if value < 1_000 else f"× {perplexity(value)}"


def percent(share: float | None, digits: int = 1) -> str:
    """`50.0 %` of 0.5."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %".replace("-", "−")


def seconds(value: float | None) -> str:
    """`under 1 ms`, `0.34 s`, `12 s`, `2 min 5 s`, `1 h 12 min`."""
    if value is None:
        return NOTHING
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


def count(value: int) -> str:
    """`512`, `1.8 thousand`, `1.8 million`, `7 billion`."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value}"


def size(value: int | None) -> str:
    """Bytes as `320 MB` or `1.2 GB`."""
    if value is None:
        return NOTHING
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


def scientific(value: float, digits: int = 1) -> str:
    """`3.1 × 10⁻⁴`, with so many digits behind the point."""
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    if isnan(value) or value == 0:
        return "undefined" if isnan(value) else "0"
    exponent = floor(log10(abs(value)))
    mantissa = f"{value / 10**exponent:.{digits}f}"
    if mantissa.startswith(("10", "-10")):
        mantissa, exponent = f"{value / 10 ** (exponent + 1):.{digits}f}", exponent + 1
    return f"{mantissa} × {power_of_ten(exponent)}"


def power_of_ten(exponent: int) -> str:
    """`10⁻⁴`."""
    return f"10{str(exponent).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


COARSE, FINE = (1, 2, 5, 10), (1, 1.5, 2, 3, 4, 6, 8, 10)


def ceiling(value: float, steps: Sequence[float] = COARSE) -> float:
    """The least of 1, 2, 5 (or other steps) times a power of ten that is not below `value`: the end of an
    axis that seldom moves as a chart grows.
    """
    if not 0 < value < float("inf"):
        return 1.0
    power = float(10 ** floor(log10(value)))
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))


def largest(values: Iterable[float | None]) -> float:
    """The largest of the values that are finite numbers; 0 where there is none."""
    return max((value for value in values if value is not None and isfinite(value)), default=0.0)


def unit_of(top: float) -> tuple[float, str]:
    """The power of ten that small or large amounts up to `top` are drawn in, and what an axis says about it:
    `in 10⁻³`.
    """
    exponent = floor(log10(top) + 1e-9) if 0 < top < float("inf") else 0
    return 10.0**exponent, "no unit" if exponent == 0 else f"in {power_of_ten(exponent)}"


def listed(items: Sequence[object], most: int = 6) -> str:
    """`0, 3 and 7`; `0, 1, 2, 3, 4 and 27 more`."""
    words = [str(item) for item in items]
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

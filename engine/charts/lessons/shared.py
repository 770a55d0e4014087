"""Charts that all readers of a lesson share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec

from engine.charts.chart import Chart

MOST = 64
"""Charts that are kept of each kind."""
Input = ParamSpec("Input")


def shared(make: Callable[Input, Chart]) -> Callable[Input, Chart]:
    """Return `make`, a function of plain values, so that it makes a chart once for equal values: a class of
    thirty looks at the same chart, and all redraw it when an answer is revealed. Nothing may change a chart's
    figure or table.
    """

    @lru_cache(MOST)
    def made(call: _Call) -> Chart:
        return make(*call.args, **call.named)

    @wraps(make)
    def chart(*args: Input.args, **named: Input.kwargs) -> Chart:
        return made(_Call(_hashable((args, named)), args, named))

    return chart


@dataclass(frozen=True)
class _Call:
    """The arguments of a call, and equal to calls with equal arguments."""

    values: Hashable
    args: tuple[Any, ...] = field(compare=False)
    named: dict[str, Any] = field(compare=False)


def _hashable(value: Any) -> Hashable:
    """Return what is equal for equal values, and has a hash."""
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, Mapping):
        return tuple((name, _hashable(each)) for name, each in value.items())
    if is_dataclass(value):
        return type(value), *(_hashable(getattr(value, each.name)) for each in fields(value))
    return value

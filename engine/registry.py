"""The registry that all axes share: a method is one `Method` object in its own file and one `add` line.

The command line, the forms, the reference of methods and the parametrised tests read nothing but this: name,
title, explanation, formula, parameters with ranges and defaults, paper. A second object under a name is
refused; an unknown name is answered with the near ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, Literal, TypeVar

Kind = Literal["int", "float", "choice", "ratios"]
Touched = Literal["mask", "weights"]


@dataclass(frozen=True)
class Venue:
    """The conference that a paper appeared at, which may be later than its preprint."""

    name: str
    year: int


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method was published: its number on arXiv, or another address where it has none.

    Attributes:
        year: of the preprint, where there is one.
        authors: each `Last, First`, in the paper's order; none where they are not known for sure.
        venue: where it appeared after review.
    """

    title: str
    year: int
    arxiv: str | None = None
    link: str | None = None
    authors: tuple[str, ...] = ()
    venue: Venue | None = None

    @property
    def url(self) -> str | None:
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.link


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting of a method.

    Attributes:
        kind: `ratios` is a list of numbers, one per block.
        minimum, maximum: inclusive.
        for_plan: whether the plan reads it; the method's function then does not receive it.
    """

    name: str
    kind: Kind
    default: Any
    explanation: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    for_plan: bool = False

    @property
    def range(self) -> str:
        """What may be chosen, in words: `1 to 20, default 5`."""
        if self.choices:
            return f"{' or '.join(self.choices)}, default {self.default}"
        low, high = (None if bound is None else f"{bound:,.12g}" for bound in (self.minimum, self.maximum))
        limits = (
            [f"{low} to {high}"]
            if low and high
            else [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound]
        )
        default = [] if self.kind == "ratios" else [f"default {self.default:g}"]
        return ", ".join(limits + default)

    def fault(self, value: Any) -> str | None:
        """A sentence that says why `value` is refused, or None when it is fine."""
        if self.kind == "ratios":
            if not isinstance(value, (list, tuple)) or not all(map(_is_number, value)):
                return f"expected numbers parted by commas, got {value!r}"
            return next((fault for item in value if (fault := self._range_fault(item))), None)
        if self.kind == "choice":
            return (
                None if value in self.choices else f"expected one of {', '.join(self.choices)}, got {value!r}"
            )
        if not _is_number(value) or (self.kind == "int" and isfinite(value) and int(value) != value):
            return f"expected {'a whole number' if self.kind == 'int' else 'a number'}, got {value!r}"
        return self._range_fault(value)

    def _range_fault(self, value: float) -> str | None:
        low, high = self.minimum, self.maximum
        if not isfinite(value):
            return f"expected a finite number, got {value}"
        if (low is not None and value < low) or (high is not None and value > high):
            return f"{value} is outside {low if low is not None else '-∞'} to {high if high is not None else '∞'}"
        return None

    def coerced(self, value: Any) -> Any:
        """A value without fault in the parameter's own type, so that 1 and 1.0 are one value."""
        if self.kind == "ratios":
            return tuple(float(item) for item in value)
        return {"int": int, "float": float, "choice": str}[self.kind](value)

    def parse(self, text: str) -> Any:
        """The value that `text` stands for on the command line; text that does not parse is returned as it
        is, for `fault` to refuse.
        """
        try:
            if self.kind == "ratios":
                return tuple(float(part) for part in text.split(","))
            return {"int": int, "float": float, "choice": str}[self.kind](text)
        except ValueError:
            return text


@dataclass(frozen=True, kw_only=True)
class Method:
    """What every axis has in common; each axis adds the function it needs.

    Attributes:
        explanation: what it does, in a sentence that a student understands.
        helps: when it helps, and when it does not.
        uses_seed: whether it draws random numbers; its parameter `seed` then reaches the function mixed with
            the linear's path, so that linears draw independently.
    """

    name: str
    title: str
    explanation: str
    helps: str = ""
    formula: str = ""
    paper: Paper | None = None
    parameters: tuple[Parameter, ...] = ()
    uses_seed: bool = False

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


M = TypeVar("M", bound=Method)


class Registry(Mapping[str, M], Generic[M]):
    """The methods of one axis by name, in the order in which they were added."""

    def __init__(self, axis: str) -> None:
        self.axis = axis
        self._methods: dict[str, M] = {}

    def add(self, method: M) -> M:
        """Add a method.

        Raises:
            ValueError: another method has the name.
        """
        if self._methods.get(method.name, method) is not method:
            raise ValueError(
                f"There are two methods named {method.name!r} on the axis {self.axis!r}; give one another name."
            )
        self._methods[method.name] = method
        return method

    def unknown(self, name: object) -> str:
        """The sentence that answers a name nobody has."""
        near = difflib.get_close_matches(str(name), self._methods, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(self._methods)}."
        return f"there is no {self.axis} named {name!r}; {hint}"

    def __getitem__(self, name: str) -> M:
        if name not in self._methods:
            raise KeyError(self.unknown(name))
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""The registry of methods, one per axis. A method is a `Method` object, added in the file that implements it.

Everything that lists methods (the command line, the forms, the reference page, the parametrised tests) reads
only this: name, title, explanation, formula, paper, and the parameters with their ranges and defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePath
from typing import Any, Generic, Literal, TypeVar

from engine.errors import MethodError

METHOD_FILES = "PRUNESCOPE_METHODS"
"""Environment variable: the method files to load, separated as in `PATH` (`engine.pruning.method_files`)."""

Kind = Literal["int", "float", "choice", "ratios", "text"]
Touched = Literal["mask", "weights"]


@dataclass(frozen=True)
class Venue:
    """The conference where a paper appeared, often a year or more after its preprint."""

    name: str
    year: int


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method was published.

    Attributes:
        year: of the preprint if there is one, otherwise of the publication.
        arxiv: the number on arXiv.
        link: the address, for a paper that is not on arXiv.
        authors: `Last, First` each, in the paper's order; empty if they could not be verified.
        venue: the conference, for a reviewed paper.
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
        before: for a parameter that a method got after recipes with it had been stored, the value that means
            what those recipes did. A stored recipe without the parameter has it, and it does not count for
            the key, so such a recipe keeps its key, and a new one with this value has the same.
        applies: whether it has an effect in a recipe with these fields; only asked if there is a `before`.
        read: for a text, returns its canonical form; raises ValueError, whose message is a fault, if it is
            not valid.
    """

    name: str
    kind: Kind
    default: Any
    explanation: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    for_plan: bool = False
    before: Any = None
    applies: Callable[[Mapping[str, Any]], bool] = lambda fields: True
    read: Callable[[str], str] = str
    trial: Callable[[str], str | None] = lambda text: None

    @property
    def range(self) -> str:
        """The allowed values and the default in words: `1 to 20, default 5`."""
        if self.choices:
            return f"{' or '.join(self.choices)}, default {self.default}"
        low, high = (None if bound is None else f"{bound:,.12g}" for bound in (self.minimum, self.maximum))
        if self.kind == "text":
            return f"default {self.default}"
        limits = (
            [f"{low} to {high}"]
            if low and high
            else [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound]
        )
        default = [] if self.kind == "ratios" else [f"default {self.default:g}"]
        return ", ".join(limits + default)

    def fault(self, value: Any, *, tried: bool = True) -> str | None:
        """Return what is wrong with `value`, without a full stop; None if it is valid.

        Args:
            tried: whether a text that can be read is tried, too; what a stored recipe has was.
        """
        if self.kind == "ratios":
            if not isinstance(value, (list, tuple)) or not all(map(_is_number, value)):
                return f"expected comma-separated numbers, got {value!r}"
            return next((fault for item in value if (fault := self._range_fault(item))), None)
        if self.kind == "choice":
            return (
                None if value in self.choices else f"expected one of {', '.join(self.choices)}, got {value!r}"
            )
        if self.kind == "text":
            return self._text_fault(value, tried)
        # 2.0 is a whole number: JSON and forms may give it
        if not _is_number(value) or (self.kind == "int" and isfinite(value) and int(value) != value):
            return f"expected {'a whole number' if self.kind == 'int' else 'a number'}, got {value!r}"
        return self._range_fault(value)

    def _text_fault(self, value: Any, tried: bool) -> str | None:
        if not isinstance(value, str):
            return f"expected text, got {value!r}"
        try:
            text = self.read(value)
        except ValueError as error:
            return str(error)
        return self.trial(text) if tried else None

    def _range_fault(self, value: float) -> str | None:
        low, high = self.minimum, self.maximum
        if not isfinite(value):  # first, because every comparison with NaN is false
            return f"expected a finite number, got {value}"
        if (low is not None and value < low) or (high is not None and value > high):
            least, most = "-∞" if low is None else low, "∞" if high is None else high
            return f"{value} is outside {least} to {most}"
        return None

    def coerced(self, value: Any) -> Any:
        """Return a valid value in the parameter's type, so that recipes with 1 and 1.0 have the same key."""
        if self.kind == "ratios":
            return tuple(float(item) for item in value)
        read: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "text": self.read}
        return read.get(self.kind, str)(value)

    def parse(self, text: str) -> Any:
        """Parse a value from the command line. Unparsable text is returned as it is; `fault` rejects it."""
        try:
            if self.kind == "ratios":
                return tuple(float(part) for part in text.split(","))
            read: dict[str, Callable[[str], Any]] = {"int": int, "float": float}
            return read.get(self.kind, str)(text)
        except ValueError:
            return text


@dataclass(frozen=True)
class Origin:
    """The content of a method file: a file outside the project that a method comes from.

    Attributes:
        path: of the file, absolute.
        digest: of its content; two files with the same content hold the same methods.
    """

    path: str
    digest: str

    def __str__(self) -> str:
        return f"{PurePath(self.path).name} (digest {self.digest})"


@dataclass(frozen=True, kw_only=True)
class Method:
    """What methods of all axes have in common. Each axis adds the function that it calls.

    Attributes:
        explanation: what it does, in a sentence for a student.
        helps: when to use it, and when not.
        formula: LaTeX.
        sources: what of the paper could not be read or does not apply, and what is followed instead; empty if
            it was read in full.
        uses_seed: whether it draws random numbers; its parameter `seed` then reaches the function mixed with
            the linear's path, so that linears draw independently.
        origin: the method file that it comes from; None if it is built in.
    """

    name: str
    title: str
    explanation: str
    helps: str = ""
    formula: str = ""
    paper: Paper | None = None
    sources: str = ""
    parameters: tuple[Parameter, ...] = ()
    uses_seed: bool = False
    origin: Origin | None = None

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


M = TypeVar("M", bound=Method)

_collecting: ContextVar[list[tuple[Registry[Any], Method]] | None] = ContextVar("collecting", default=None)


@contextmanager
def collecting() -> Iterator[list[tuple[Registry[Any], Method]]]:
    """Collect what this thread adds to registries in a list instead, so that a method file is added as a
    whole or not at all.
    """
    found: list[tuple[Registry[Any], Method]] = []
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


class Registry(Mapping[str, M], Generic[M]):
    """The methods of one axis by name, in the order in which they were added. Unknown names are answered with
    similar ones.

    Args:
        stand_in: makes the method that `named` returns for an unknown name, from `name`, `title` and
            `explanation`.
    """

    def __init__(self, axis: str, stand_in: Callable[..., M] | None = None) -> None:
        self.axis = axis
        self._stand_in = stand_in
        # Replaced as a whole: a method file may be loaded while another thread iterates.
        self._methods: dict[str, M] = {}
        # By name and digest: earlier versions of a method file stay, for runs that were started with them.
        self._versions: dict[tuple[str, str], M] = {}

    def add(self, method: M) -> M:
        """Add a method.

        Raises:
            ValueError: another method has the name.
        """
        collected = _collecting.get()
        if collected is not None:
            collected.append((self, method))
            return method
        if self._methods.get(method.name, method) is not method:
            raise ValueError(
                f"There are two methods named {method.name!r} on the axis {self.axis!r}; rename one of them."
            )
        self._methods = {**self._methods, method.name: method}
        return method

    def replace(self, path: str, methods: Iterable[M]) -> None:
        """Put methods in the place of those that came from the method file at `path`."""
        own = {method.name: method for method in methods}
        others = {
            name: method
            for name, method in self._methods.items()
            if method.origin is None or method.origin.path != path
        }
        self._methods = {**others, **own}
        self.remember(own.values())

    def remember(self, methods: Iterable[M]) -> None:
        """Make methods of a method file available by its digest only."""
        self._versions |= {
            (method.name, method.origin.digest): method for method in methods if method.origin is not None
        }

    def has_version(self, name: str, digest: str) -> bool:
        """Return whether `version` finds a method."""
        return (name, digest) in self._versions

    def version(self, name: str, digest: str | None) -> M:
        """Return the method with this name from the method file with this digest; for None, the present one.

        Raises:
            MethodError: that content of the file has not been loaded.
        """
        if digest is None:
            return self[name]
        found = self._versions.get((name, digest))
        if found is None:
            raise MethodError(
                f"The {self.axis} {name} is that of a method file with the digest {digest}, which is not "
                "loaded. Load that file, with the content that it had."
            )
        return found

    def unknown(self, name: object) -> str:
        """Return the error message for an unknown name, with similar names if there are any."""
        return unknown_name(self.axis, name, self._methods)

    def named(self, name: str, digest: str | None = None) -> M:
        """Return a method to describe: for an unknown name, which a run of another version may have, one that
        has this name and declares nothing.

        Args:
            digest: of the method file that it comes from. If that is loaded with another content only, its
                present method is returned.
        """
        if digest is not None and (name, digest) in self._versions:
            return self._versions[name, digest]
        if self._stand_in is None:
            return self[name]
        known = self._methods.get(name)
        if known is not None and (digest is None or known.origin is not None):
            return known
        explanation = f"This version of Prunescope has no {self.axis} with this name."
        if digest is not None:
            explanation = f"It comes from a method file with the digest {digest}, which is not loaded."
        return self._stand_in(name=name, title=f"{name} (unknown {self.axis})", explanation=explanation)

    def __getitem__(self, name: str) -> M:
        if name not in self._methods:
            raise KeyError(self.unknown(name))
        return self._methods[name]

    def __contains__(self, name: object) -> bool:
        return name in self._methods  # by default `__getitem__` is tried, whose error looks for similar names

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


def unknown_name(axis: str, name: object, known: Iterable[str]) -> str:
    """Return the error message for a name that an axis does not have, with similar names if there are any."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(names)}."
    return f"there is no {axis} named {name!r}; {hint}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # a bool is an int in Python

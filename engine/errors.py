"""The errors that may be shown to a user, as one small tree. A message is whole sentences that say what was
requested, what is wrong, and what to do.

PrunescopeError
├── RecipeError     an invalid recipe; has a `Fault` per field
├── ModelError      a model that cannot be found, downloaded, read, or split into blocks; has a kind
├── CorpusError     text or token ids that cannot be downloaded or read, or that are too short
├── TaskError       a zero-shot task that cannot be loaded or evaluated
├── MethodError     a method file that cannot be loaded, or a method in one that fails
├── NumericsError   a computation without a usable result (such as a Hessian that no damping makes regular)
│   ├── NonFiniteError  numbers that are NaN or infinite; `engine.models.nonfinite` adds the cause
│   └── FormulaError    scores that are NaN or infinite because of the user's formula
├── StoreError      a run folder that cannot be found, read or written
├── ClassError      a class on Learn that cannot be created, joined or taught
├── EngineError     the background engine cannot be started or reached
└── PublicModeError  something that a visitor of a public app may not do; has a kind
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal


class PrunescopeError(Exception):
    """Root of the tree: `str(error)` may be shown to the user as it is."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with one field of a recipe."""

    field: str
    message: str


class RecipeError(PrunescopeError):
    """An invalid recipe. `faults` lists everything that is wrong, not only the first fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{fault.field}: {fault.message}" for fault in self.faults))

    def __reduce__(self) -> tuple[Callable[..., RecipeError], tuple[object, ...]]:
        # By default a copy, such as the one that leaves a process, is made from the message.
        return type(self), (self.faults,)


ModelFault = Literal[
    "missing",
    "revision",
    "gated",
    "token",
    "offline",
    "server",
    "remote-code",
    "not-causal",
    "no-safetensors",
    "quantised",
    "adapter",
    "damaged",
    "disk-full",
    "memory",
    "other",
]


class ModelError(PrunescopeError):
    """A model that cannot be found, downloaded, read, or split into blocks of linears. `kind` says which, so
    that a page can offer the matching remedy.
    """

    def __init__(self, sentence: str, *, kind: ModelFault = "other") -> None:
        self.kind: ModelFault = kind
        super().__init__(sentence)


class CorpusError(PrunescopeError):
    """Text or token ids that cannot be downloaded or read, or that are too short."""


class TaskError(PrunescopeError):
    """A zero-shot task that cannot be loaded or evaluated."""


class MethodError(PrunescopeError):
    """A method file that cannot be loaded, or a method in one that fails while it is used."""


class NumericsError(PrunescopeError):
    """A computation without a usable result."""


class NonFiniteError(NumericsError):
    """Numbers that are NaN or infinite. The message says which; the cause lies in the model."""


class FormulaError(NumericsError):
    """Scores that are NaN or infinite because of the formula that the user wrote for them."""


class StoreError(PrunescopeError):
    """A run folder that cannot be found, read or written."""


class ClassError(PrunescopeError):
    """A class on Learn that cannot be created, joined or taught."""


class EngineError(PrunescopeError):
    """The background engine cannot be started or reached."""


Refusal = Literal["off", "model", "text", "foreign", "cost", "length", "queue", "disk", "starting"]


class PublicModeError(PrunescopeError):
    """Something that a visitor of a public app may not do. `kind` says which rule refuses it."""

    def __init__(self, sentence: str, *, kind: Refusal) -> None:
        self.kind: Refusal = kind
        super().__init__(sentence)

    def __reduce__(self) -> tuple[Callable[..., PublicModeError], tuple[object, ...]]:
        return partial(type(self), kind=self.kind), self.args  # see `RecipeError`


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost last, each once even if the chain is a circle."""
    visited: list[BaseException] = []
    current: BaseException | None = error
    # `in` compares with `==`, which for exceptions is identity.
    while current is not None and current not in visited:
        visited.append(current)
        yield current
        # The error it was raised from, else the one being handled.
        current = current.__cause__ or current.__context__

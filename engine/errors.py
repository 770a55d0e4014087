"""Every error that a person may be shown, as one small tree. A message is whole sentences: what was asked,
what is wrong, what to do.

PrunescopeError
├── RecipeError     a recipe that is refused; carries one `Fault` a field
├── ModelError      a model that cannot be found, fetched, read, or seen as blocks of linears; carries its
kind ├── CorpusError     text or token ids that cannot be fetched or read, or do not suffice
├── TaskError       a zero-shot task that cannot be had or measured
├── NumericsError   a computation that has no usable result (for instance a Hessian that no damping mends)
├── StoreError      a run folder that cannot be written, read or found
└── EngineError     the background engine cannot be started or reached
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal


class PrunescopeError(Exception):
    """Root of the tree: `str(error)` may be shown to a person as it stands."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with one field of a recipe."""

    field: str
    message: str


class RecipeError(PrunescopeError):
    """A recipe that is refused. `faults` lists everything that is wrong with it, not only the first thing."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{fault.field}: {fault.message}" for fault in self.faults))


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
    "damaged",
    "disk-full",
    "memory",
    "other",
]


class ModelError(PrunescopeError):
    """A model that cannot be found, fetched, read, or seen as blocks of linears. `kind` says which of these,
    for a page that offers a way on.
    """

    def __init__(self, sentence: str, *, kind: ModelFault = "other") -> None:
        self.kind: ModelFault = kind
        super().__init__(sentence)


class CorpusError(PrunescopeError):
    """Text or token ids that cannot be read, or do not suffice for the windows asked."""


class TaskError(PrunescopeError):
    """A zero-shot task that cannot be had or measured."""


class NumericsError(PrunescopeError):
    """A computation without a usable result."""


class StoreError(PrunescopeError):
    """A run folder that cannot be written, read or found."""


class EngineError(PrunescopeError):
    """The background engine cannot be started or reached."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, each once, the innermost last."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__

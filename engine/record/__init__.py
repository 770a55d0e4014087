"""The record of a run: the fold of its events, and nothing else.

The fold of the events so far is a valid record at any moment, so a live page, a finished run and a replay
show the same type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from engine.events import (
    BlockPruned,
    Candidate,
    Environment,
    Event,
    Facts,
    Fetching,
    RowSpread,
    Score,
    TaskProgressed,
)
from engine.recipe import Recipe
from engine.record.fold import Fold
from engine.record.parts import Evaluation, ModelFacts, Protocol, SparsityFacts, TaskScores

IMPORTED = "imported-"
"""Beginning of the key of an imported run. A recipe's key consists of hexadecimal digits, so an imported run
is never taken for the run of a recipe.
"""
MARK = " (imported)"
"""Follows the name of an imported run wherever its numbers stand."""


def is_imported(key: str | None) -> bool:
    """Return whether a key is that of an imported run."""
    return key is not None and key.startswith(IMPORTED)


def title_of(recipe: Recipe | None, key: str | None) -> str:
    """Return the title of the run of a recipe under a key; empty without a recipe."""
    return "" if recipe is None else f"{recipe.title}{MARK if is_imported(key) else ''}"


State = Literal["empty", "running", "finished", "failed", "cancelled", "interrupted"]


class RunRecord(Facts):
    """Everything that the events say about a run.

    Attributes:
        elapsed: seconds since the run began or was last resumed.
        dense, pruned: the scores of the first evaluation.
        evaluations: one per corpus, in the recipe's order.
        fetching: the download that the run is waiting for, None if it is not.
        trying: the zero-shot task that is being evaluated, None if there is none.
        measured: what the allocation measured, by block.
        resumed: number of finished blocks when the run was last resumed, None if it never was.
    """

    key: str | None = None
    state: State = "empty"
    error: str | None = None
    started: str | None = None
    elapsed: float = 0.0
    recipe: Recipe | None = None
    environment: Environment | None = None
    model: ModelFacts | None = None
    protocol: Protocol = Protocol()
    fetching: Fetching | None = None
    dense: Score | None = None
    pruned: Score | None = None
    evaluations: tuple[Evaluation, ...] = ()
    tasks: TaskScores = TaskScores()
    trying: TaskProgressed | None = None
    sparsity: SparsityFacts = SparsityFacts()
    allocation: tuple[float, ...] = ()
    blocks: tuple[BlockPruned, ...] = ()
    clipped: tuple[int, ...] = ()
    rows: tuple[tuple[RowSpread, ...], ...] = ()
    measured: dict[int, float] = {}  # pydantic copies the default for each record
    search: tuple[Candidate, ...] = ()
    timings: dict[str, float] = {}
    peak_host: int | None = None
    peak_device: int | None = None
    resumed: int | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def fold(cls, events: Iterable[Event]) -> RunRecord:
        """Return the record after these events."""
        return cls().after(events)

    def after(self, events: Iterable[Event]) -> RunRecord:
        """Return the record after more events, in time linear in their number."""
        fold = Fold(vars(self))
        for event in events:
            fold.add(event)
        return self.model_copy(update=fold.fields())

    @property
    def imported(self) -> bool:
        """Whether the run was computed elsewhere and imported."""
        return is_imported(self.key)

    @property
    def title(self) -> str:
        """The recipe in a few words, marked if the run was imported; empty before the first event."""
        return title_of(self.recipe, self.key)

    @property
    def progress(self) -> float:
        """Fraction of the blocks that are done, 0 to 1."""
        return len(self.blocks) / self.model.blocks if self.model else 0.0

    @property
    def remaining(self) -> float | None:
        """Estimated seconds until the last block is done, from the blocks since the start; None before the
        first.
        """
        if not self.blocks or self.model is None:
            return None
        return (
            (self.model.blocks - len(self.blocks))
            * sum(block.seconds for block in self.blocks)
            / len(self.blocks)
        )

    @property
    def worst(self) -> tuple[int, str] | None:
        """Block and name of the linear with the largest output error, None before any is done."""
        errors = {
            (block.index, linear.name): linear.output_error
            for block in self.blocks
            for linear in block.linears
        }
        return max(errors, key=lambda place: errors[place], default=None)

    @property
    def ratio(self) -> float | None:
        """Pruned perplexity / dense perplexity on the first corpus."""
        return self.evaluations[0].ratio if self.evaluations else None

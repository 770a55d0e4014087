"""The record of a run: the fold of its events, and nothing else.

`RunRecord.fold(events)` of the events so far is a valid record at any moment: a live page, a finished run and a replay show the same type.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import exp, inf
from typing import Literal

from engine.events import (
    Allocated,
    BlockMeasured,
    BlockPruned,
    Cancelled,
    Candidate,
    CandidateChosen,
    CandidateTried,
    Environment,
    Evaluated,
    Event,
    Facts,
    Failed,
    Finished,
    Interrupted,
    LinearShape,
    ModelLoaded,
    Noted,
    Resumed,
    RowSpread,
    RunStarted,
    Score,
    WindowsReady,
)
from engine.recipe import Recipe

LARGEST = 700.0  # whose exponential still is a number

State = Literal["empty", "running", "finished", "failed", "cancelled", "interrupted"]


class SparsityFacts(Facts):
    """How much was removed, of what.

    Attributes:
        target: what the recipe asks.
        achieved: share of the prunable weights removed so far.
        coverage: prunable weights / all weights of the model.
        skipped: weights that are never pruned, by kind.
    """

    target: float | None = None
    achieved: float | None = None
    coverage: float | None = None
    skipped: dict[str, int] = {}


class ModelFacts(Facts):
    """The model's shape."""

    name: str
    architecture: str
    path: str
    parameters: int
    prunable: int
    blocks: int
    linears: tuple[tuple[LinearShape, ...], ...]
    dtype: str
    bytes: int


class Protocol(Facts):
    """What the numbers were measured on."""

    calibration: WindowsReady | None = None
    evaluation: WindowsReady | None = None
    dtype: str | None = None

    @property
    def perplexity(self) -> str:
        """The protocol of the perplexities in a sentence."""
        return _sentence("exp of the mean negative log likelihood over", self.evaluation, self.dtype)

    @property
    def statistics(self) -> str:
        """The protocol of the calibration in a sentence."""
        return _sentence("statistics over", self.calibration, self.dtype)


def _sentence(what: str, windows: WindowsReady | None, dtype: str | None) -> str:
    if windows is None:
        return "not measured"
    choice = "all in order" if windows.seed is None else f"chosen with seed {windows.seed} of {windows.available:,}"
    return f"{what} {windows.windows:,} windows of {windows.length:,} tokens of {windows.corpus} ({choice}), computed in {dtype}"


class RunRecord(Facts):
    """Everything known about a run."""

    key: str | None = None
    state: State = "empty"
    error: str | None = None
    started: str | None = None
    elapsed: float = 0.0
    recipe: Recipe | None = None
    environment: Environment | None = None
    model: ModelFacts | None = None
    protocol: Protocol = Protocol()
    dense: Score | None = None
    pruned: Score | None = None
    sparsity: SparsityFacts = SparsityFacts()
    allocation: tuple[float, ...] = ()
    blocks: tuple[BlockPruned, ...] = ()
    clipped: tuple[int, ...] = ()
    rows: tuple[tuple[RowSpread, ...], ...] = ()
    measured: dict[int, float] = {}
    search: tuple[Candidate, ...] = ()
    timings: dict[str, float] = {}
    peak_host: int | None = None
    peak_device: int | None = None
    resumed: int | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def fold(cls, events: Iterable[Event]) -> RunRecord:
        """The record after these events."""
        return reduce(step, events, cls())

    @property
    def progress(self) -> float:
        """Share of the blocks that are done."""
        return len(self.blocks) / self.model.blocks if self.model else 0.0

    @property
    def remaining(self) -> float | None:
        """Estimated seconds until the last block is done, from the blocks since the start; None before the first."""
        if not self.blocks or self.model is None:
            return None
        return (self.model.blocks - len(self.blocks)) * sum(block.seconds for block in self.blocks) / len(self.blocks)

    @property
    def ratio(self) -> float | None:
        """Pruned perplexity / dense perplexity."""
        if self.dense is None or self.pruned is None:
            return None
        difference = self.pruned.nll - self.dense.nll
        return difference * inf if difference >= LARGEST else exp(difference)


def step(record: RunRecord, event: Event) -> RunRecord:
    """The record after one more event."""
    return record.model_copy(update={"elapsed": event.elapsed, **_changes(record, event)})


def _changes(record: RunRecord, event: Event) -> dict[str, object]:  # noqa: C901, PLR0911, PLR0912  (one branch a kind of event)
    match event:
        case RunStarted():
            recipe = Recipe.model_validate(event.recipe)
            return {
                "key": event.key,
                "state": "running",
                "error": None,
                "recipe": recipe,
                "started": event.started,
                "environment": event.environment,
                "sparsity": record.sparsity.model_copy(update={"target": recipe.sparsity}),
            }
        case ModelLoaded():
            return _model_loaded(record, event)
        case WindowsReady():
            return {"protocol": record.protocol.model_copy(update={event.role: event})}
        case BlockMeasured():
            return {"measured": {**record.measured, event.index: event.value}}
        case CandidateTried():
            return {"search": (*(tried for tried in record.search if _place(tried) != _place(event.candidate)), event.candidate)}
        case CandidateChosen():
            return {"search": tuple(_chosen(tried, event) for tried in record.search)}
        case Allocated():
            return {"allocation": event.ratios, "clipped": event.clipped, "rows": event.rows}
        case BlockPruned():
            blocks = (*(block for block in record.blocks if block.index != event.index), event)
            return {"blocks": blocks, "sparsity": record.sparsity.model_copy(update={"achieved": _achieved(blocks)})}
        case Evaluated():
            return {"dense": event.dense, "pruned": event.pruned}
        case Noted():
            return {"warnings": record.warnings if event.message in record.warnings else (*record.warnings, event.message)}
        case Resumed():
            decided: dict[str, object] = {"search": (), "measured": {}, "allocation": (), "clipped": (), "rows": ()}  # the allocation is made anew
            return {"state": "running", "error": None, "resumed": event.blocks, **decided}
        case Finished():
            facts = {"achieved": _removed(record.blocks) / record.model.prunable if record.model else None, "coverage": event.coverage}
            return {
                "state": "finished",
                "sparsity": record.sparsity.model_copy(update=facts),
                "timings": event.timings,
                "peak_host": event.peak_host,
                "peak_device": event.peak_device,
            }
        case Failed():
            return {"state": "failed", "error": event.message}
        case Cancelled():
            return {"state": "cancelled"}
        case Interrupted():
            return {"state": "interrupted", "error": event.reason}
    return {}


def _model_loaded(record: RunRecord, event: ModelLoaded) -> dict[str, object]:
    assert record.recipe is not None, "RunStarted comes first"
    facts = ModelFacts(
        name=record.recipe.model,
        architecture=event.architecture,
        path=event.path,
        parameters=event.parameters,
        prunable=event.prunable,
        blocks=event.blocks,
        linears=event.linears,
        dtype=event.dtype,
        bytes=event.bytes,
    )
    sparsity = record.sparsity.model_copy(update={"coverage": event.prunable / event.parameters, "skipped": event.skipped})
    return {"model": facts, "sparsity": sparsity, "protocol": record.protocol.model_copy(update={"dtype": event.dtype})}


def _place(candidate: Candidate) -> tuple[str, float]:
    return candidate.step, candidate.strength


def _chosen(tried: Candidate, event: CandidateChosen) -> Candidate:
    return tried.model_copy(update={"chosen": True}) if _place(tried) == (event.step, event.strength) else tried


def _achieved(blocks: tuple[BlockPruned, ...]) -> float:
    return _removed(blocks) / max(1, sum(linear.rows * linear.columns for block in blocks for linear in block.linears))


def _removed(blocks: tuple[BlockPruned, ...]) -> int:
    return sum(linear.removed for block in blocks for linear in block.linears)

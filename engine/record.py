"""The record of a run: the fold of its events, and nothing else.

The fold of the events so far is a valid record at any moment, so a live page, a finished run and a replay
show the same type.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import exp, inf
from pathlib import Path
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
    Fetching,
    Finished,
    Interrupted,
    LinearShape,
    ModelLoaded,
    Noted,
    Resumed,
    RowSpread,
    RunStarted,
    Score,
    TaskMeasured,
    TaskProgressed,
    TaskScore,
    WindowsReady,
)
from engine.numbers import percent
from engine.recipe import Recipe

LARGEST = 700.0  # exp overflows a float at about 709
NOTABLE = 0.001  # any model in a 16-bit dtype has a few weights that are exactly 0

State = Literal["empty", "running", "finished", "failed", "cancelled", "interrupted"]


class SparsityFacts(Facts):
    """How much was removed.

    Attributes:
        target: the sparsity of the recipe.
        achieved: fraction of the prunable weights that are zero so far.
        initial: fraction of them that were zero before; not counted by older versions.
        coverage: prunable weights / all weights of the model.
        skipped: number of weights that are never pruned, by kind.
    """

    target: float | None = None
    achieved: float | None = None
    coverage: float | None = None
    skipped: dict[str, int] = {}
    initial: float = 0.0

    @property
    def initial_words(self) -> str:
        """A sentence about the weights that were zero before; empty if there are next to none."""
        if self.initial < NOTABLE:
            return ""
        return f"{percent(self.initial)} of the prunable weights were already zero in the dense model."


class ModelFacts(Facts):
    """The shape of the model; for the fields see `engine.events.ModelLoaded`."""

    name: str
    architecture: str
    path: str
    parameters: int
    prunable: int
    blocks: int
    linears: tuple[tuple[LinearShape, ...], ...]
    dtype: str
    bytes: int
    residence: Literal["resident", "streamed"] = "resident"
    digest: str | None = None


class Protocol(Facts):
    """The texts and the dtype that the numbers were measured with. `evaluation` is the first of
    `evaluations`.
    """

    calibration: WindowsReady | None = None
    evaluation: WindowsReady | None = None
    evaluations: tuple[WindowsReady, ...] = ()
    dtype: str | None = None

    @property
    def perplexity(self) -> str:
        """How the perplexities on the first corpus were measured, in words."""
        return self.perplexity_on(self.evaluation)

    def perplexity_on(self, windows: WindowsReady | None) -> str:
        """Return how the perplexities on these windows were measured, in words."""
        return _sentence("exp of the mean negative log likelihood over", windows, self.dtype)

    @property
    def statistics(self) -> str:
        """How the calibration statistics were collected, in words."""
        return _sentence("statistics over", self.calibration, self.dtype)


def _sentence(what: str, windows: WindowsReady | None, dtype: str | None) -> str:
    if windows is None:
        return "not measured"
    choice = "all in order"
    if windows.seed is not None:
        choice = f"chosen with seed {windows.seed} of {windows.available:,}"
    if "source" in windows.identity:
        choice += f", {windows.identity['source']} at {windows.identity.get('revision', '?')[:8]}"
    if windows.starts is not None:
        # Models that were trained with a start token in front of each text (Gemma) depend on it.
        choice += f"; the start token is at the beginning of {windows.starts:,} of them"
    return (
        f"{what} {windows.windows:,} windows of {windows.length:,} tokens of {Path(windows.corpus).name} "
        f"({choice}), computed in {dtype}"
    )


class Evaluation(Facts):
    """Perplexities on one corpus."""

    corpus: str
    dense: Score
    pruned: Score

    @property
    def ratio(self) -> float:
        """Pruned perplexity / dense perplexity."""
        difference = self.pruned.nll - self.dense.nll
        return difference * inf if difference >= LARGEST else exp(difference)


class TaskScores(Facts):
    """Zero-shot scores of both models, in the order in which they were measured."""

    dense: tuple[TaskScore, ...] = ()
    pruned: tuple[TaskScore, ...] = ()


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
        return reduce(step, events, cls())

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


def step(record: RunRecord, event: Event) -> RunRecord:
    """Return the record after one more event."""
    return record.model_copy(update={"elapsed": event.elapsed, **_changes(record, event)})


def _changes(record: RunRecord, event: Event) -> dict[str, object]:  # noqa: C901, PLR0911, PLR0912  (a branch per kind of event)
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
        case Fetching():
            return {"fetching": event}
        case WindowsReady():
            return {"fetching": None, "protocol": _windows_ready(record.protocol, event)}
        case BlockMeasured():
            return {"measured": {**record.measured, event.index: event.value}}
        case CandidateTried():
            # The same place: tried again after memory ran out.
            others = (tried for tried in record.search if _place(tried) != _place(event.candidate))
            return {"search": (*others, event.candidate)}
        case CandidateChosen():
            return {"search": tuple(_chosen(tried, event) for tried in record.search)}
        case Allocated():
            return {"allocation": event.ratios, "clipped": event.clipped, "rows": event.rows}
        case BlockPruned():
            blocks = (*(block for block in record.blocks if block.index != event.index), event)
            return {
                "blocks": blocks,
                "sparsity": record.sparsity.model_copy(update=_zeros(blocks)),
            }
        case Evaluated():
            return _evaluated(record, event)
        case TaskProgressed():
            return {"trying": event}
        case TaskMeasured():
            return {"trying": None, "tasks": _task_measured(record.tasks, event)}
        case Noted():
            known = event.message in record.warnings  # a resumed run repeats some
            return {"warnings": record.warnings if known else (*record.warnings, event.message)}
        case Resumed():
            # a resumed run repeats its allocation, so what was decided before is dropped
            empty: dict[str, object] = {
                "search": (),
                "measured": {},
                "allocation": (),
                "clipped": (),
                "rows": (),
            }
            return {"state": "running", "error": None, "resumed": event.blocks, **empty}
        case Finished():
            # Of all prunable weights; until now only those of the finished blocks counted.
            of = record.model.prunable if record.model else None
            facts = {**_zeros(record.blocks, of), "coverage": event.coverage}
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


def _windows_ready(protocol: Protocol, event: WindowsReady) -> Protocol:
    # comes first, also in a resumed run, whose windows replace the earlier ones
    if event.role == "calibration":
        return protocol.model_copy(update={"calibration": event, "evaluation": None, "evaluations": ()})
    return protocol.model_copy(
        update={"evaluation": protocol.evaluation or event, "evaluations": (*protocol.evaluations, event)}
    )


def _task_measured(tasks: TaskScores, event: TaskMeasured) -> TaskScores:
    # Measured again: the new score counts.
    others = tuple(score for score in getattr(tasks, event.which) if score.task != event.score.task)
    return tasks.model_copy(update={event.which: (*others, event.score)})


def _evaluated(record: RunRecord, event: Evaluated) -> dict[str, object]:
    others = tuple(known for known in record.evaluations if known.corpus != event.corpus)
    evaluations = (*others, Evaluation(corpus=event.corpus, dense=event.dense, pruned=event.pruned))
    return {"dense": evaluations[0].dense, "pruned": evaluations[0].pruned, "evaluations": evaluations}


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
        residence=event.residence,
        digest=event.digest,
    )
    sparsity = record.sparsity.model_copy(
        update={"coverage": event.prunable / event.parameters, "skipped": event.skipped}
    )
    return {
        "fetching": None,
        "model": facts,
        "sparsity": sparsity,
        "protocol": record.protocol.model_copy(update={"dtype": event.dtype}),
    }


def _place(candidate: Candidate) -> tuple[str, float]:
    return candidate.step, candidate.strength


def _chosen(tried: Candidate, event: CandidateChosen) -> Candidate:
    return (
        tried.model_copy(update={"chosen": True}) if _place(tried) == (event.step, event.strength) else tried
    )


def _zeros(blocks: tuple[BlockPruned, ...], of: int | None = None) -> dict[str, float]:
    """Return `achieved` and `initial`, as fractions of `of` weights; of those of the blocks if None."""
    linears = [linear for block in blocks for linear in block.linears]
    # At least 1, so that no block is not a division by 0.
    total = of or max(1, sum(linear.rows * linear.columns for linear in linears))
    # Linears that were left dense count as prunable weights only.
    others = sum(block.unpruned_zeros for block in blocks) if of else 0
    return {
        "achieved": (sum(linear.zeros for linear in linears) + others) / total,
        "initial": (sum(linear.initial_zeros for linear in linears) + others) / total,
    }

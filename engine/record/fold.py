"""Folding events into a record: one event after the other, in time linear in their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from engine.events import (
    Allocated,
    BlockMeasured,
    BlockPruned,
    Cancelled,
    Candidate,
    CandidateChosen,
    CandidateTried,
    Evaluated,
    Event,
    Failed,
    Fetching,
    Finished,
    Interrupted,
    ModelLoaded,
    Noted,
    Resumed,
    RunStarted,
    TaskMeasured,
    TaskProgressed,
    Which,
    WindowsReady,
)
from engine.recipe import Recipe
from engine.record.parts import Evaluation, ModelFacts, Protocol, SparsityFacts, TaskScores, Ties

WHICH: tuple[Which, ...] = get_args(Which)
K = TypeVar("K")
V = TypeVar("V")


class Fold:
    """The fields of a record under construction.

    What grows with the run is held in dicts, so that each event takes the same time however many came before.

    Args:
        record: the fields of the record so far, by name.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._facts: dict[str, object] = {}  # new values of the fields that no attribute below holds
        self._recipe: Recipe | None = record["recipe"]
        self._model: ModelFacts | None = record["model"]
        self._protocol: Protocol = record["protocol"]
        self._texts = list(self._protocol.evaluations)
        self._evaluations = {item.corpus: item for item in record["evaluations"]}
        self._tasks = {
            which: {score.task: score for score in getattr(record["tasks"], which)} for which in WHICH
        }
        self._sparsity: SparsityFacts = record["sparsity"]
        self._shares: dict[str, object] = {}  # new values of its fields
        self._blocks: dict[int, BlockPruned] = {}
        self._counts = _Counts()
        for block in record["blocks"]:
            self._prune(block)
        self._measured: dict[int, float] = dict(record["measured"])
        self._search = {_place(tried): tried for tried in record["search"]}
        self._notes: dict[str, None] = dict.fromkeys(record["warnings"])  # an ordered set

    def fields(self) -> dict[str, object]:
        """Return the fields after the events so far."""
        evaluations = tuple(self._evaluations.values())
        scores = {"dense": evaluations[0].dense, "pruned": evaluations[0].pruned} if evaluations else {}
        texts = {"evaluations": tuple(self._texts), "evaluation": next(iter(self._texts), None)}
        tasks = {which: tuple(measured.values()) for which, measured in self._tasks.items()}
        return {
            "recipe": self._recipe,
            "model": self._model,
            "protocol": self._protocol.model_copy(update=texts),
            "evaluations": evaluations,
            "tasks": TaskScores(**tasks),
            "sparsity": self._sparsity.model_copy(update=self._shares),
            "blocks": tuple(self._blocks.values()),
            "measured": self._measured,
            "search": tuple(self._search.values()),
            "warnings": tuple(self._notes),
            **scores,
            **self._facts,
        }

    def add(self, event: Event) -> None:  # noqa: C901, PLR0912  (a branch per kind of event)
        """Add one more event."""
        self._facts["elapsed"] = event.elapsed
        match event:
            case RunStarted():
                self._start(event)
            case ModelLoaded():
                self._load(event)
            case Fetching():
                self._facts["fetching"] = event
            case WindowsReady():
                self._facts["fetching"] = None
                self._cut(event)
            case BlockMeasured():
                self._measured[event.index] = event.value
            case CandidateTried():
                # The same place: tried again after memory ran out.
                _put_last(self._search, _place(event.candidate), event.candidate)
            case CandidateChosen():
                place = (event.step, event.strength)
                if place in self._search:
                    self._search[place] = self._search[place].model_copy(update={"chosen": True})
            case Allocated():
                self._facts |= {"allocation": event.ratios, "clipped": event.clipped, "rows": event.rows}
            case BlockPruned():
                self._prune(event)
                self._shares |= self._counts.shares()
            case Evaluated():
                scores = Evaluation(corpus=event.corpus, dense=event.dense, pruned=event.pruned)
                _put_last(self._evaluations, event.corpus, scores)
            case TaskProgressed():
                self._facts["trying"] = event
            case TaskMeasured():
                self._facts["trying"] = None
                # Measured again: the new score counts.
                _put_last(self._tasks[event.which], event.score.task, event.score)
            case Noted():
                self._notes.setdefault(event.message)  # a resumed run repeats some
            case Resumed():
                self._resume(event)
            case Finished():
                self._finish(event)
            case Failed():
                self._facts |= {"state": "failed", "error": event.message}
            case Cancelled():
                self._facts["state"] = "cancelled"
            case Interrupted():
                self._facts |= {"state": "interrupted", "error": event.reason}

    def _start(self, event: RunStarted) -> None:
        self._recipe = Recipe.model_validate(event.recipe)
        self._shares["target"] = self._recipe.sparsity
        self._facts |= {
            "key": event.key,
            "state": "running",
            "error": None,
            "started": event.started,
            "environment": event.environment,
        }

    def _load(self, event: ModelLoaded) -> None:
        assert self._recipe is not None, "RunStarted comes first"
        facts = {name: getattr(event, name) for name in ModelFacts.model_fields if name != "name"}
        self._model = ModelFacts(name=self._recipe.model, **facts)
        self._shares |= {"coverage": event.prunable / event.parameters, "skipped": event.skipped}
        self._protocol = self._protocol.model_copy(update={"dtype": event.dtype})
        self._facts["fetching"] = None

    def _cut(self, event: WindowsReady) -> None:
        if event.role == "calibration":
            # It comes first, also in a resumed run, whose windows replace the earlier ones.
            self._protocol = self._protocol.model_copy(update={"calibration": event})
            self._texts = []
        else:
            self._texts.append(event)

    def _prune(self, block: BlockPruned) -> None:
        earlier = self._blocks.get(block.index)
        if earlier is not None:
            self._counts.add(earlier, -1)
        self._counts.add(block)
        _put_last(self._blocks, block.index, block)

    def _resume(self, event: Resumed) -> None:
        # A resumed run repeats its allocation, so what was decided before is dropped.
        self._search.clear()
        self._measured = {}
        decided: dict[str, object] = {"allocation": (), "clipped": (), "rows": ()}
        self._facts |= {"state": "running", "error": None, "resumed": event.blocks, **decided}

    def _finish(self, event: Finished) -> None:
        # Of all prunable weights; until now only those of the finished blocks counted.
        of = self._model.prunable if self._model else None
        self._shares |= {**self._counts.shares(of), "coverage": event.coverage}
        self._facts |= {
            "state": "finished",
            "timings": event.timings,
            "peak_host": event.peak_host,
            "peak_device": event.peak_device,
        }


@dataclass
class _Counts:
    """Numbers of weights in the linears of the pruned blocks.

    Attributes:
        weights: all of them.
        zeros, initial: those that are zero, and those that were before pruning.
        unpruned: zeros in linears that were left dense.
        tied, tied_removed: those with exactly the score at the cut, and the removed ones of them.
    """

    weights: int = 0
    zeros: int = 0
    initial: int = 0
    unpruned: int = 0
    tied: int = 0
    tied_removed: int = 0

    def add(self, block: BlockPruned, times: int = 1) -> None:
        """Add a block; `times=-1` takes it away again."""
        for linear in block.linears:
            self.weights += times * linear.rows * linear.columns
            self.zeros += times * linear.zeros
            self.initial += times * linear.initial_zeros
            self.tied += times * linear.tied
            self.tied_removed += times * linear.tied_removed
        self.unpruned += times * block.unpruned_zeros

    def shares(self, of: int | None = None) -> dict[str, Any]:
        """Return `achieved` and `initial`, as fractions of `of` weights (of those of the blocks if None), and
        the ties.
        """
        total = of or max(1, self.weights)  # at least 1, so that no block is not a division by 0
        # Linears that were left dense count as prunable weights only.
        others = self.unpruned if of else 0
        return {
            "achieved": (self.zeros + others) / total,
            "initial": (self.initial + others) / total,
            "ties": Ties(weights=self.tied, removed=self.tied_removed, share=self.tied / total),
        }


def _place(candidate: Candidate) -> tuple[str, float]:
    return candidate.step, candidate.strength


def _put_last(items: dict[K, V], key: K, value: V) -> None:
    """Set an item and make it the last one."""
    items.pop(key, None)
    items[key] = value

"""Whether the events of an imported run fit together, as those of a run that this program computed do: their
order, the blocks and linears, and the numbers that follow from others. `check` takes time linear in the
number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import exp, inf, isclose

from engine.events import (
    QUANTILES,
    Allocated,
    BlockMeasured,
    BlockPruned,
    CandidateTried,
    Evaluated,
    Event,
    Finished,
    LinearPruned,
    ModelLoaded,
    Resumed,
    RunStarted,
    Score,
    TaskMeasured,
    TaskScore,
    WindowsReady,
)
from engine.record.parts import LARGEST
from engine.store.import_limits import MOST_BLOCKS, MOST_LINEARS, check_counts, check_values

YEARS = (2000, 2200)
ROUNDING = 1e-3
"""Differences that no page shows; other programs may round."""


def check(events: Sequence[Event]) -> None:
    """Check the events of a finished run.

    Raises:
        ValueError: with what is wrong, as a part of a sentence.
    """
    check_counts(events)
    for event in events:
        check_values(event)
    if not events or not isinstance(events[0], RunStarted):
        raise ValueError("it does not begin with the start of a run")
    if not isinstance(events[-1], Finished) or any(isinstance(event, Finished) for event in events[:-1]):
        raise ValueError("it does not end with the end of a finished run")
    order = _Order(events[0])
    for event in events:
        order.add(event)
    order.close()


class _Order:
    """What the events so far determine about the next ones."""

    def __init__(self, first: RunStarted) -> None:
        self._recipe = first.recipe
        self._model: ModelLoaded | None = None
        self._shapes: list[dict[str, tuple[int, int]]] = []  # by block: rows and columns of each linear
        self._once: set[tuple[object, ...]] = set()  # what an attempt states once
        self._pruned: set[int] = set()  # blocks, in all attempts
        self._texts: list[str] = []
        self._evaluated: list[str] = []

    def add(self, event: Event) -> None:  # noqa: C901, PLR0912  (a branch per kind of event)
        """Check one more event."""
        match event:
            case RunStarted():
                self._once.clear()
                _check_date(event.started)
                if event.recipe != self._recipe:
                    raise ValueError("it has events of two different recipes")
            case Resumed():
                self._once.clear()
            case ModelLoaded():
                self._load(event)
            case WindowsReady():
                self._first_time("text", event.role, event.corpus)
                if event.role == "evaluation":
                    self._texts.append(event.corpus)
            case BlockMeasured():
                self._require_block(event.index)
            case CandidateTried():
                self._require_length("a candidate's ratios", event.candidate.ratios)
                if len(event.candidate.block_objectives) > len(self._shapes):
                    raise ValueError(
                        "a candidate of its search has objectives for more blocks than there are"
                    )
            case Allocated():
                self._first_time("allocation")
                self._check_allocation(event)
            case BlockPruned():
                self._check_block(event)
            case Evaluated():
                self._first_time("evaluation", event.corpus)
                self._evaluated.append(event.corpus)
                _check_score(event.dense)
                _check_score(event.pruned)
            case TaskMeasured():
                self._first_time("task", event.which, event.score.task)
                _check_task(event.score)

    def close(self) -> None:
        """Check that nothing is missing at the end."""
        if self._model is None:
            raise ValueError("it does not say which model was pruned")
        if missing := len(self._shapes) - len(self._pruned):
            raise ValueError(f"{missing} of its {len(self._shapes)} blocks are missing")
        # Early versions recorded the perplexities of one text without its windows.
        if self._texts and self._texts != self._evaluated:
            raise ValueError("its perplexities do not belong to its evaluation texts")

    def _first_time(self, *fact: object) -> None:
        if fact in self._once:
            raise ValueError(f"it states twice: {' '.join(map(str, fact))[:80]}")
        self._once.add(fact)

    def _load(self, event: ModelLoaded) -> None:
        # After memory ran out, a run loads its model again and repeats what follows.
        self._once.clear()
        self._texts.clear()
        self._evaluated.clear()
        self._model, self._shapes = event, _shapes(event)

    def _require_block(self, index: int) -> None:
        if not index < len(self._shapes):
            raise ValueError(f"it names block {index:,}, but its model has {len(self._shapes)} blocks")

    def _require_length(self, what: str, values: Sequence[object]) -> None:
        if len(values) != len(self._shapes):
            raise ValueError(f"{what} are {len(values)}, but its model has {len(self._shapes)} blocks")

    def _check_allocation(self, event: Allocated) -> None:
        self._require_length("the ratios of its allocation", event.ratios)
        for index in event.clipped:
            self._require_block(index)
        if event.rows:
            self._require_length("the rows of its allocation", event.rows)
        if any(len(spread.quantiles) != len(QUANTILES) for block in event.rows for spread in block):
            raise ValueError(f"the sparsities of its rows are not given at {len(QUANTILES)} quantiles")

    def _check_block(self, event: BlockPruned) -> None:
        self._first_time("block", event.index)
        self._require_block(event.index)
        self._pruned.add(event.index)
        shapes, where = self._shapes[event.index], f"block {event.index}"
        names = [linear.name for linear in event.linears]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"{where} has no linears" if not names else f"{where} has a linear twice")
        for linear in event.linears:
            if shapes.get(linear.name) != (linear.rows, linear.columns):
                raise ValueError(f"{where} has a linear {linear.name[:80]!r} that its model does not have")
            _check_linear(linear, where)
        weights = sum(linear.rows * linear.columns for linear in event.linears)
        others = sum(rows * columns for rows, columns in shapes.values()) - weights
        if event.unpruned_zeros > others:
            raise ValueError(f"{where} has more zeros than weights")
        _check_share(event.sparsity, sum(linear.zeros for linear in event.linears), weights, where)


def _shapes(event: ModelLoaded) -> list[dict[str, tuple[int, int]]]:
    """Return the rows and columns of each linear by block, after checking that they add up."""
    if event.blocks > MOST_BLOCKS or sum(map(len, event.linears)) > MOST_LINEARS:
        raise ValueError(
            f"it has more than {MOST_BLOCKS:,} blocks or {MOST_LINEARS:,} linears, which are not accepted"
        )
    if len(event.linears) != event.blocks:
        raise ValueError(f"its model has {event.blocks} blocks, but the linears of {len(event.linears)}")
    shapes = [{linear.name: (linear.rows, linear.columns) for linear in block} for block in event.linears]
    weights = sum(linear.rows * linear.columns for block in event.linears for linear in block)
    if weights != event.prunable or event.prunable + sum(event.skipped.values()) != event.parameters:
        raise ValueError("the numbers of weights of its model do not add up")
    return shapes


def _check_linear(linear: LinearPruned, where: str) -> None:
    weights = linear.rows * linear.columns
    if linear.zeros > weights or linear.initial_zeros > weights:
        raise ValueError(f"{linear.name[:80]} in {where} has more zeros than weights")
    if linear.tied > weights or linear.tied_removed > linear.tied:
        raise ValueError(f"{linear.name[:80]} in {where} has more ties than weights")
    _check_share(linear.sparsity, linear.zeros, weights, f"{linear.name[:80]} in {where}")


def _check_share(share: float, zeros: int, weights: int, where: str) -> None:
    if not isclose(share, zeros / weights, abs_tol=ROUNDING):
        raise ValueError(
            f"{where} is said to have a sparsity of {share:g}, but {zeros:,} of {weights:,} weights are zero"
        )


def _check_score(score: Score) -> None:
    expected = exp(score.nll) if score.nll < LARGEST else inf
    if score.nll < LARGEST and not isclose(score.perplexity, expected, rel_tol=ROUNDING):
        raise ValueError(
            f"a perplexity of {score.perplexity:g} does not follow from its negative log likelihood of "
            f"{score.nll:g}"
        )


def _check_task(score: TaskScore) -> None:
    right = score.outcomes.count("1")
    if len(score.outcomes) != score.examples or right + score.outcomes.count("0") != score.examples:
        raise ValueError(f"the task {score.task} has {score.examples} examples, but other outcomes")
    if not isclose(score.value, right / score.examples, abs_tol=ROUNDING) or score.examples > score.available:
        raise ValueError(f"the score of the task {score.task} does not follow from its outcomes")


def _check_date(text: str) -> None:
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        year = 0
    if not YEARS[0] <= year <= YEARS[1]:
        raise ValueError(f"it began at {text[:40]!r}, which is no date from {YEARS[0]} to {YEARS[1]}")

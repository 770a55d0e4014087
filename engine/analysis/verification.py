"""Whether a run from elsewhere has the numbers that its recipe gives here: number by number, and what can
cause a difference.

Two machines add numbers in different orders, so perplexities and errors may differ in their last digits, and
of weights with nearly equal scores another one may be removed. What does not depend on the machine is marked
`exact`: the model's files, the texts, and with a uniform allocation how many weights are removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine import numbers
from engine.analysis.comparison.differences import Difference
from engine.events import BlockPruned, LinearPruned
from engine.record import RunRecord

CLOSE = 0.01
"""The largest relative difference that other hardware and versions usually cause."""
SMALLEST = 1e-9
"""Numbers below it count as 0."""
BLOCK = ("sparsity", "alignment", "relative_error", "cosine")
LINEAR = (
    "removed",
    "sparsity",
    "output_error",
    "error_before_update",
    "error_before_refinement",
    "swaps",
    "drift_before",
    "drift_after",
)
MACHINE = ("device", "device_name", "threads", "torch", "transformers", "python", "prunescope", "platform")
Value = float | str | None
Verdict = Literal["equal", "close", "different"]


@dataclass(frozen=True)
class Compared:
    """One number of both runs; None where a run does not have it.

    Attributes:
        exact: whether it does not depend on the machine.
    """

    what: str
    imported: Value
    here: Value
    exact: bool = False

    @property
    def difference(self) -> float | None:
        """The relative difference; None unless both are numbers."""
        if not isinstance(self.imported, int | float) or not isinstance(self.here, int | float):
            return None
        if self.imported == self.here:
            return 0.0
        return abs(self.here - self.imported) / max(abs(self.imported), abs(self.here), SMALLEST)

    @property
    def verdict(self) -> Verdict:
        """How well the numbers agree."""
        if self.imported == self.here:
            return "equal"
        difference = self.difference
        return "close" if difference is not None and difference <= CLOSE and not self.exact else "different"


@dataclass(frozen=True)
class Verification:
    """The comparison of an imported run with the same recipe computed here.

    Attributes:
        compared: every number, those that differ most first.
        machine: what differs between the machines and their software.
    """

    compared: tuple[Compared, ...]
    machine: tuple[Difference, ...]

    @property
    def confirmed(self) -> bool:
        """Whether no number differs by more than `CLOSE`."""
        return self.count("different") == 0

    def count(self, verdict: Verdict) -> int:
        """Return how many numbers have a verdict."""
        return sum(item.verdict == verdict for item in self.compared)

    @property
    def summary(self) -> str:
        """The result in a sentence or two."""
        total, different = len(self.compared), self.count("different")
        if self.count("equal") == total:
            return f"Confirmed: all {total:,} numbers are equal."
        first = self.compared[0]
        values = f"{_text(first.imported)} imported, {_text(first.here)} here"
        most = f"The largest difference: {first.what}, {values}."
        if different:
            limit = numbers.percent(CLOSE, 0)
            return f"Not confirmed: {different:,} of {total:,} numbers differ by more than {limit}. {most}"
        return f"Confirmed within rounding: {self.count('equal'):,} of {total:,} numbers are equal. {most}"

    @property
    def explanation(self) -> str:
        """What the differences can come from, and what they cannot."""
        wrong = [item.what for item in self.compared if item.exact and item.verdict != "equal"]
        if wrong:
            return (
                f"{_capital(numbers.listed(wrong))} cannot differ between machines: the runs are not of the "
                "same model and texts, or the imported numbers were changed."
            )
        if not self.machine:
            return "The machines and their software are the same, so every number should be equal."
        names = numbers.listed([item.field for item in self.machine], 8)
        return (
            f"Different here: {names}. That changes the rounding of perplexities and errors, and which of "
            "the weights with nearly equal scores are removed; usually by much less than "
            f"{numbers.percent(CLOSE, 0)}. The model's files, the texts and the numbers of weights do not "
            "depend on it."
        )


def verify(imported: RunRecord, here: RunRecord) -> Verification:
    """Compare an imported run with the same recipe computed here; both are finished."""
    theirs, ours = (dict(_values(record)) for record in (imported, here))
    even = len(set(imported.allocation)) <= 1
    compared = [
        Compared(
            what, theirs.get(what), ours.get(what), what in EXACT or (even and what.endswith(": removed"))
        )
        for what in dict.fromkeys([*theirs, *ours])
    ]
    rank: dict[Verdict, int] = {"different": 0, "close": 1, "equal": 2}

    def order(item: Compared) -> tuple[int, bool, float]:
        return rank[item.verdict], not item.exact, -(item.difference or 0.0)

    return Verification(tuple(sorted(compared, key=order)), tuple(_machine(imported, here)))


EXACT = (
    "hash of the model's files",
    "weights of the model",
    "prunable weights",
    "fingerprint of the calibration text",
    "fingerprint of the evaluation text",
)


def _values(record: RunRecord) -> Iterator[tuple[str, Value]]:
    """Yield the name and the value of every number of a run, without times and memory."""
    model, protocol = record.model, record.protocol
    texts = (protocol.calibration, protocol.evaluation)
    # The hash is None in early runs.
    facts: list[Value] = [model.digest, model.parameters, model.prunable] if model else [None] * 3
    facts += [text.fingerprint if text else None for text in texts]
    yield from ((name, value) for name, value in zip(EXACT, facts, strict=True) if value is not None)
    for item in record.evaluations:
        corpus = Path(item.corpus).name
        yield f"dense perplexity on {corpus}", item.dense.perplexity
        yield f"pruned perplexity on {corpus}", item.pruned.perplexity
        yield f"predicted tokens of {corpus}", item.dense.tokens
    yield "sparsity", record.sparsity.achieved
    for which in ("dense", "pruned"):
        for score in getattr(record.tasks, which):
            yield f"{which} accuracy on {score.task}", score.value
    for index, ratio in enumerate(record.allocation):
        yield f"block {index}: allocated sparsity", ratio
    for block in record.blocks:
        yield from _fields(f"block {block.index}", block, BLOCK)
        for linear in block.linears:
            yield from _fields(f"block {block.index}, {linear.name}", linear, LINEAR)


def _fields(
    place: str, measured: BlockPruned | LinearPruned, names: tuple[str, ...]
) -> Iterator[tuple[str, Value]]:
    for name in names:
        value = getattr(measured, name)
        if value is not None:
            yield f"{place}: {name.replace('_', ' ')}", value


def _machine(imported: RunRecord, here: RunRecord) -> Iterator[Difference]:
    if imported.protocol.dtype != here.protocol.dtype:
        yield Difference("dtype", str(imported.protocol.dtype), str(here.protocol.dtype))
    for name in MACHINE:
        theirs, ours = (str(getattr(record.environment, name, "")) for record in (imported, here))
        if theirs != ours:
            yield Difference(name.replace("_", " "), theirs, ours)


def _text(value: Value) -> str:
    return numbers.UNKNOWN if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

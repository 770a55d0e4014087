"""The parts of a record: the model, its sparsity, the protocol and the scores of a run."""

from __future__ import annotations

from math import exp, inf
from pathlib import Path
from typing import Literal

from engine.events import Facts, LinearShape, Score, TaskScore, WeightSource, WindowsReady
from engine.numbers import percent

LARGEST = 700.0  # exp overflows a float at about 709
NOTABLE = 0.001  # any model in a 16-bit dtype has a few weights that are exactly 0


class Ties(Facts):
    """Weights with exactly the score at the cut, of which some are kept and others removed.

    Attributes:
        weights: number of them; not counted by older versions.
        removed: how many of them are removed.
        share: the fraction of all weights in question that are tied.
    """

    weights: int = 0
    removed: int = 0
    share: float = 0.0

    @property
    def words(self) -> str:
        """A sentence or two about them; empty if there are next to none."""
        if self.share < NOTABLE:
            return ""
        return (
            f"{self.weights:,} weights ({percent(self.share, 2)}) have exactly the score at the cut, so "
            f"their position decides: {self.removed:,} of them are removed, lower positions first. Published "
            "code that compares with a threshold (magnitude, SparseGPT) removes all of them."
        )


class SparsityFacts(Facts):
    """How much was removed.

    Attributes:
        target: the sparsity of the recipe.
        achieved: fraction of the prunable weights that are zero so far.
        initial: fraction of them that were zero before; not counted by older versions.
        coverage: prunable weights / all weights of the model.
        skipped: number of weights that are never pruned, by kind.
        ties: of the blocks so far.
    """

    target: float | None = None
    achieved: float | None = None
    coverage: float | None = None
    skipped: dict[str, int] = {}
    initial: float = 0.0
    ties: Ties = Ties()

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
    source: WeightSource | None = None


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

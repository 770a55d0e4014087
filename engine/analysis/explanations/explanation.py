"""The explanation itself, and the steps of lessons that it can point to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST = 3
"""Sentences that a reader takes in next to a chart."""


@dataclass(frozen=True)
class LessonStep:
    """A step of a lesson.

    Attributes:
        lesson, step: their names in the address of the Learn page.
        title: the lesson's title and the step's.
    """

    lesson: str
    step: str
    title: str


@dataclass(frozen=True)
class Explanation:
    """What a chart shows.

    Attributes:
        sentences: one to `MOST`, plain text.
        lesson: what teaches it; None if no lesson does.
    """

    sentences: tuple[str, ...]
    lesson: LessonStep | None = None

    @property
    def text(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


def explanation(sentences: Iterable[str], lesson: LessonStep | None = None) -> Explanation:
    """Return an explanation of the sentences that are not empty, each with a capital letter."""
    found = tuple(f"{sentence[0].upper()}{sentence[1:]}" for sentence in sentences if sentence)
    assert 1 <= len(found) <= MOST, f"{len(found)} sentences"
    return Explanation(found, lesson)


_BY_HAND = "Prune a matrix by hand"
_OUTLIER = "One outlier feature"
_GROUPS = "Comparison groups"
_UPDATES = "Updating the remaining weights"
_ALLOCATION = "Allocating the sparsity"
_SYMMETRIC = "Both sides of a weight"
_SWAPPING = "Refining a mask by swaps"
_EXPLOSION = "Why perplexity explodes"

BY_HAND = LessonStep("by_hand", "hand", f"{_BY_HAND} · By hand")
SCORES = LessonStep("by_hand", "scores", f"{_BY_HAND} · Three scores")
LEADERBOARD = LessonStep("by_hand", "leaderboard", f"{_BY_HAND} · Leaderboard")
OUTLIER_COST = LessonStep("outlier", "error", f"{_OUTLIER} · The cost")
OUTLIER_MODEL = LessonStep("outlier", "model", f"{_OUTLIER} · A real model")
GROUPS_ROW = LessonStep("groups", "row", f"{_GROUPS} · A row of small weights")
GROUPS_NEIGHBOURS = LessonStep("groups", "neighbours", f"{_GROUPS} · N:M patterns")
GROUPS_PRICE = LessonStep("groups", "price", f"{_GROUPS} · The price of structure")
JOINT_UPDATE = LessonStep("survivors", "joint", f"{_UPDATES} · All columns together")
ALLOCATION_GUESS = LessonStep("allocation", "guess", f"{_ALLOCATION} · Your guess")
ALLOCATION_SEARCH = LessonStep("allocation", "search", f"{_ALLOCATION} · A search")
ALLOCATION_METHODS = LessonStep("allocation", "opinions", f"{_ALLOCATION} · Three methods")
DEAD_ROWS = LessonStep("symmetric", "rows", f"{_SYMMETRIC} · Rows that die")
SWAPS = LessonStep("swapping", "swaps", f"{_SWAPPING} · Swap by swap")
MANY_SWAPS = LessonStep("swapping", "many", f"{_SWAPPING} · How many swaps?")
LOSSES = LessonStep("explosion", "loss", f"{_EXPLOSION} · A mean of losses")
LAYERS = LessonStep("explosion", "layers", f"{_EXPLOSION} · Layer after layer")
CLIFF = LessonStep("explosion", "cliff", f"{_EXPLOSION} · The cliff")
REAL_MODEL = LessonStep("explosion", "real", f"{_EXPLOSION} · A real model")
STORAGE = LessonStep("explosion", "bytes", f"{_EXPLOSION} · Storage")
SPEED = LessonStep("explosion", "time", f"{_EXPLOSION} · Speed")

"""What the background engine shows to a page: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from engine.record import RunRecord

if TYPE_CHECKING:
    from engine.analysis.comparison.overlap import LinearOverlap
    from engine.analysis.microscope.types import Picture, Spectrum, Study
    from engine.analysis.size_speed import Measurement
    from engine.evaluation.text_types import PromptTexts, Reading
    from engine.hardware.memory import Capacity
    from engine.models.shape import ModelSummary

ViewState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
AnswerState = Literal["pending", "done", "failed"]
Found = TypeVar("Found", "Picture", "Study", "Spectrum")


@dataclass(frozen=True)
class EngineStatus:
    """How the engine is; `message` is a sentence."""

    state: Literal["starting", "ready", "failed"]
    message: str


@dataclass(frozen=True)
class RunView:
    """A run as it is now.

    Attributes:
        record: the fold of its events so far; while it is queued, that of nothing but the recipe.
        place: its place in the queue, 1 = next; None when it is not queued.
        message: what a person should know: what it waits for, or why it ended. Empty where there is nothing
            to say.
        recorded: whether it came with the project.
        imported: whether it was computed elsewhere and taken in.
        has_weights: whether its pruned blocks are there; a recorded run may be its numbers alone.
    """

    record: RunRecord
    state: ViewState
    place: int | None = None
    message: str = ""
    recorded: bool = False
    imported: bool = False
    has_weights: bool = False

    @property
    def active(self) -> bool:
        """Whether it is worth looking again."""
        return self.state in ("queued", "running")


@dataclass(frozen=True)
class TextView:
    """The answer to a `TextRequest`; `message` says why it failed."""

    state: AnswerState
    text: PromptTexts | None = None
    message: str = ""


@dataclass(frozen=True)
class ReadingView:
    """The answer to a `ReadRequest`; `message` says why it failed."""

    state: AnswerState
    reading: Reading | None = None
    message: str = ""


@dataclass(frozen=True)
class InspectionView(Generic[Found]):
    """Something about one linear; `message` says why it is not there."""

    state: AnswerState
    found: Found | None = None
    message: str = ""


@dataclass(frozen=True)
class MeasurementView:
    """The size and speed of a finished run's model, dense and pruned; `message` says why there is none."""

    state: AnswerState
    measurement: Measurement | None = None
    message: str = ""


@dataclass(frozen=True)
class OverlapView:
    """What two runs' masks share, linear by linear; `message` says why that is not known."""

    state: AnswerState
    overlaps: tuple[LinearOverlap, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class Saved:
    """A pruned model on the disk of the machine that computes.

    Attributes:
        directory: what `from_pretrained` is given.
        bytes: what it holds.
    """

    directory: str
    bytes: int


@dataclass(frozen=True)
class SaveView:
    """Writing a finished run's model; `message` says why it failed."""

    state: AnswerState
    saved: Saved | None = None
    message: str = ""


@dataclass(frozen=True)
class SummaryView:
    """A model's summary; `message` says why it failed."""

    state: AnswerState
    summary: ModelSummary | None = None
    message: str = ""


@dataclass(frozen=True)
class CapacityView:
    """What is free where runs are computed, as it was a moment ago; `message` says why that is not known."""

    state: AnswerState
    capacity: Capacity | None = None
    message: str = ""

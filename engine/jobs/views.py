"""What the background engine tells a page about itself and its runs: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.record import RunRecord

ViewState = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True)
class EngineStatus:
    """The engine's state; `message` is a sentence to show. An engine that has `ended` restarts with the next
    run or question.
    """

    state: Literal["starting", "ready", "failed", "ended"]
    message: str


@dataclass(frozen=True)
class RunView:
    """A run as it is now.

    Attributes:
        record: the fold of its events so far; only the recipe while it is queued.
        place: its place in the queue, 1 = next; None when it is not queued.
        message: what it waits for, or why it ended; empty if there is nothing to say. While it is running,
            that its worker has stopped answering.
        recorded: whether it is one of the bundled runs.
        imported: whether it was computed on another machine and imported.
        worker: where it is being computed, such as "GPU 1 · NVIDIA H100"; empty unless it is running, or if
            that is not known.
        has_weights: whether its pruned blocks are stored here; a bundled run may have results only.
        attempt: how the same run ended when it was last started here, if it began or failed to, gave no
            result, and this is the bundled one; empty otherwise.
    """

    record: RunRecord
    state: ViewState
    place: int | None = None
    message: str = ""
    worker: str = ""
    recorded: bool = False
    imported: bool = False
    has_weights: bool = False
    attempt: str = ""

    @property
    def active(self) -> bool:
        """Whether the run may still change."""
        return self.state in ("queued", "running")


@dataclass(frozen=True)
class Saved:
    """A pruned model on the disk of the machine that computes.

    Attributes:
        directory: the path to give to `from_pretrained`.
        bytes: the size of its files.
        note: what to know before using it, None if there is nothing.
    """

    directory: str
    bytes: int
    note: str | None = None

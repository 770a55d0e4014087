"""What a page asks of the background engine about a finished run: plain values.

They are all that this module has, and it imports nothing of ours: Dask's scheduler unpacks what passes it, in
a process that should not have to import a model library for that, which would hold up the first question by
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.events import Which


@dataclass(frozen=True)
class TextRequest:
    """A prompt to be continued by a finished run's dense and pruned model.

    Attributes:
        key: the run.
        tokens: at most so many new tokens.
        temperature: 0 = greedy.
    """

    key: str
    prompt: str
    tokens: int = 80
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class ReadRequest:
    """A text to be read by a finished run's dense and pruned model, with or without what one of them writes
    behind it.

    Attributes:
        key: the run. Where only the dense model is asked it need not have weights.
        which: the model that writes.
        tokens: at most so many new tokens; 0 for none.
        temperature: 0 = greedy.
        losses: whether the tokens are compared, with what both models expected in their places.
    """

    key: str
    text: str
    which: Which = "pruned"
    tokens: int = 0
    temperature: float = 0.0
    seed: int = 0
    losses: bool = False


@dataclass(frozen=True)
class LinearRequest:
    """One linear of a finished run.

    Attributes:
        key: the run.
        block: the block's index.
        linear: its name inside the block, for instance `mlp.up_proj`.
    """

    key: str
    block: int
    linear: str

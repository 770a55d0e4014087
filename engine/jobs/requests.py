"""The requests that pages send to the worker about a finished run: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.events import Which


@dataclass(frozen=True)
class TextRequest:
    """A prompt to be continued by a finished run's dense and pruned model.

    Attributes:
        key: the run's key.
        tokens: maximum number of new tokens.
        temperature: 0 = greedy.
    """

    key: str
    prompt: str
    tokens: int = 80
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class ReadRequest:
    """A text to be read by a finished run's dense and pruned model, optionally continued by one of them.

    Attributes:
        key: the run's key. If only the dense model is used, the run needs no weights.
        which: the model that continues the text.
        tokens: maximum number of new tokens; 0 = no continuation.
        temperature: 0 = greedy.
        losses: whether to compare both models' losses and predictions per token.
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
    """One linear layer of a finished run.

    Attributes:
        key: the run's key.
        block: the block's index.
        linear: the layer's name inside the block, for instance `mlp.up_proj`.
    """

    key: str
    block: int
    linear: str


@dataclass(frozen=True)
class PreviewRequest:
    """A recipe's score, to be tried on one linear of its dense model.

    Attributes:
        recipe: as JSON, because a recipe has no hash.
        block: the block's index.
        linear: the layer's name inside the block.
    """

    recipe: str
    block: int
    linear: str

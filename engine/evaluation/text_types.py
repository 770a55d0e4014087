"""A text token by token as plain values: what was given, what a model wrote behind it, what each token cost,
and what was expected in its place.

Made by the worker and drawn by the pages, which need no model library for it.

One prompt and what two models made of it, as plain values: made by the worker and drawn by the pages, which
need no model library for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from engine.events import Which


class PromptTexts(BaseModel):
    """One prompt continued twice; the texts do not repeat the prompt.

    Attributes:
        tokens: how many tokens each continuation has at most.
        temperature: 0 = greedy (always the likeliest token); else the softmax is sharpened or flattened by
            it.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    dense: str
    pruned: str
    tokens: int
    temperature: float
    seed: int


GUESSES = 10


@dataclass(frozen=True)
class Guess:
    """A token that could have stood in a place, and what each model gave it.

    Attributes:
        text: what it is called (`Spelling.name`).
        dense, pruned: probabilities.
    """

    id: int
    text: str
    dense: float
    pruned: float


@dataclass(frozen=True)
class Token:
    """A token of a text and what two models made of it; the first has been predicted by nobody.

    Attributes:
        text: its part of the text; empty for a special token, and inside a character that is made of several.
        name: what it is called alone.
        dense, pruned: losses, nats; None where nothing was compared.
        divergence: between the two predictions that this token was drawn against, nats.
        guesses: the ten likeliest tokens of either model and this one itself, the dense model's likeliest
            first.
    """

    id: int
    text: str
    name: str
    dense: float | None = None
    pruned: float | None = None
    divergence: float | None = None
    guesses: tuple[Guess, ...] = ()

    @property
    def gained(self) -> float | None:
        """Loss that pruning added, nats; negative where the pruned model does better."""
        return None if self.pruned is None or self.dense is None else self.pruned - self.dense

    def expected(self, which: Which) -> tuple[Guess, ...]:
        """A model's likeliest tokens in this place, the likeliest first."""
        return tuple(sorted(self.guesses, key=lambda guess: -getattr(guess, which))[:GUESSES])


@dataclass(frozen=True)
class Writing:
    """How a model goes on with a text.

    Attributes:
        which: the model that writes.
        tokens: so many new tokens at most; 0 for none.
        temperature: 0 = greedy.
        seed: for drawing tokens at another temperature.
    """

    which: Which = "pruned"
    tokens: int = 0
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """A text, what a model wrote behind it, and what its tokens cost the dense and the pruned model.

    Attributes:
        tokens: of the whole.
        given: so many of them were there before the model wrote; all of them where none was asked to.
    """

    tokens: tuple[Token, ...]
    given: int

    @property
    def continuation(self) -> str:
        """What was written, as text."""
        return "".join(token.text for token in self.tokens[self.given :])

    @property
    def first(self) -> int:
        """The place of the first token that counts: of what was written, or else of the text that somebody
        predicted.
        """
        return self.given if self.given < len(self.tokens) else 1

    @property
    def worst(self) -> int:
        """The place of the token that lost most, of those that count."""
        return max(
            range(self.first, len(self.tokens)), key=lambda place: _or_least(self.tokens[place].gained)
        )

    def perplexity(self, which: Which) -> float | None:
        """Of the tokens that count; None where they were not compared."""
        losses: list[float | None] = [getattr(token, which) for token in self.tokens[self.first :]]
        known = [loss for loss in losses if loss is not None]
        try:
            return exp(fmean(known)) if known else None
        except OverflowError:
            return inf


def parting(one: Reading, other: Reading) -> int | None:
    """The place of the first token at which two texts differ, or at which one of them ends; None where they
    are the same.
    """
    pairs = zip(one.tokens, other.tokens, strict=False)
    shorter, longer = sorted((len(one.tokens), len(other.tokens)))
    return next(
        (place for place, (mine, others) in enumerate(pairs) if mine.id != others.id),
        None if shorter == longer else shorter,
    )


def _or_least(gained: float | None) -> float:
    return -inf if gained is None else gained

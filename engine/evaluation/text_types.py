"""A text token by token, and a prompt with its continuations, as plain values: made by the worker and drawn
by the pages, which need no model library for them.
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
        tokens: the maximum length of each continuation.
        temperature: 0 = greedy (always the likeliest token); otherwise it divides the logits.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    dense: str
    pruned: str
    tokens: int
    temperature: float
    seed: int


GUESSES = 10  # of each model; with the actual token, a position has at most 21 candidates


@dataclass(frozen=True)
class Guess:
    """A candidate token for a position.

    Attributes:
        text: its name (`Spelling.name`).
        dense, pruned: the probability that each model gave it.
    """

    id: int
    text: str
    dense: float
    pruned: float


@dataclass(frozen=True)
class Token:
    """A token of a text, and what two models predicted in its place; the first token is not predicted.

    Attributes:
        text: its part of the text; empty for a special token, and for all but the last token of a character.
        name: its name (`Spelling.name`).
        dense, pruned: losses in nats; None if nothing was compared.
        divergence: KL divergence of the two predictions for this position, nats.
        guesses: the ten likeliest tokens of either model and this token, by the dense model's probability.
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
        """The loss that pruning added, nats; negative if the pruned model does better."""
        return None if self.pruned is None or self.dense is None else self.pruned - self.dense

    def expected(self, which: Which) -> tuple[Guess, ...]:
        """Return a model's likeliest tokens for this position, the likeliest first."""
        return tuple(sorted(self.guesses, key=lambda guess: -getattr(guess, which))[:GUESSES])


@dataclass(frozen=True)
class Writing:
    """How a model continues a text.

    Attributes:
        which: the model that writes.
        tokens: the maximum number of new tokens; 0 for none.
        temperature: 0 = greedy.
        seed: for sampling at temperatures above 0.
    """

    which: Which = "pruned"
    tokens: int = 0
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """A text with its continuation, and the losses of the dense and the pruned model on its tokens.

    Attributes:
        tokens: of the text and the continuation.
        given: how many of them are the text; all of them if there is no continuation.
    """

    tokens: tuple[Token, ...]
    given: int

    @property
    def continuation(self) -> str:
        """The continuation as text."""
        return "".join(token.text for token in self.tokens[self.given :])

    @property
    def first(self) -> int:
        """The index of the first scored token: of the continuation, or else the second of the text."""
        return self.given if self.given < len(self.tokens) else 1

    @property
    def worst(self) -> int:
        """The index of the scored token whose loss grew most."""
        return max(
            range(self.first, len(self.tokens)), key=lambda index: _or_least(self.tokens[index].gained)
        )

    def perplexity(self, which: Which) -> float | None:
        """Return the perplexity of the scored tokens; None if they were not compared."""
        losses: list[float | None] = [getattr(token, which) for token in self.tokens[self.first :]]
        known = [loss for loss in losses if loss is not None]
        try:
            return exp(fmean(known)) if known else None
        except OverflowError:  # `math.exp` raises above 709 nats
            return inf


def first_difference(one: Reading, other: Reading) -> int | None:
    """Return the index of the first token at which two texts differ or one of them ends; None if they are the
    same.
    """
    pairs = zip(one.tokens, other.tokens, strict=False)
    shorter, longer = sorted((len(one.tokens), len(other.tokens)))
    return next(
        (index for index, (left, right) in enumerate(pairs) if left.id != right.id),
        None if shorter == longer else shorter,  # a text that merely goes on differs where the other ends
    )


def _or_least(gained: float | None) -> float:
    return -inf if gained is None else gained  # a token without losses is never the worst

"""Lesson 8, the first half: why a perplexity explodes. Losses add up and are averaged, and what stays of a
signal multiplies from layer to layer.

The chain of layers is random and has no nonlinearity, so that a law can be written beside it; statistics,
scores and masks are the engine's own. It takes about 60 ms, once for each sparsity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import torch
from torch import Tensor

from engine.evaluation.perplexity import score
from engine.lessons.observed import output_error, statistics_of
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need

PROBABILITIES = (
    0.9,
    0.6,
    0.25,
    0.8,
    0.5,
    0.95,
    0.3,
    0.7,
    0.4,
    0.85,
    0.1,
    0.6,
    0.9,
    0.45,
    0.2,
    0.75,
    0.55,
    0.9,
    0.35,
    0.65,
)
"""What a model gives the right next token, twenty times: made up, but as uneven as in a text."""
SPOILT = (7, 13, 1, 16, 10)
"""The tokens that pruning spoils, in this order."""

LAYERS, WIDTH, TOKENS = 32, 128, 256
"""Of the chain."""


@dataclass(frozen=True)
class Sentence:
    """Tokens with the probability that a model gave each, and what is measured of them.

    Attributes:
        losses: `-ln p` of each token, nats.
        spoilt: places of the tokens that were made less probable.
        nll: the mean loss.
        perplexity: `exp(nll)`.
    """

    probabilities: tuple[float, ...]
    losses: tuple[float, ...]
    spoilt: tuple[int, ...]
    nll: float
    perplexity: float


def sentence(spoilt: int = 0, exponent: float = 0.0) -> Sentence:
    """The sentence when so many of its tokens have come down to a probability of `10 ** -exponent`, where
    they were above it.
    """
    places = SPOILT[:spoilt]
    limit = 10.0**-exponent
    probabilities = tuple(min(p, limit) if place in places else p for place, p in enumerate(PROBABILITIES))
    losses = tuple(-log(p) for p in probabilities)
    found = score(sum(losses) / len(losses), len(losses))
    return Sentence(probabilities, losses, tuple(sorted(places)), found.nll, found.perplexity)


@dataclass(frozen=True)
class Chain:
    """Layers behind one another, each pruned by itself.

    Attributes:
        own: each layer's error on the input that it gets, `||X W^T - X W'^T|| / ||X W^T||`.
        error: behind each layer, the distance of the pruned signal from the dense one, as a share of the
            dense one.
        law: the same if every layer removed the same share of the energy, and nothing else went wrong:
            `sqrt(1 - (1 - own^2)^layers)`.
    """

    own: tuple[float, ...]
    error: tuple[float, ...]
    law: tuple[float, ...]

    @property
    def typical(self) -> float:
        """The root mean square of the layers' own errors."""
        return (sum(error**2 for error in self.own) / len(self.own)) ** 0.5


@lru_cache(maxsize=32)
def chain(sparsity: float) -> Chain:
    """`LAYERS` random layers pruned by Wanda, each on what the pruned layers before it make of the text, as
    in a run.
    """
    generator = torch.Generator().manual_seed(0)
    plan = Plan.of(score="wanda")
    dense = pruned = torch.randn(1, TOKENS, WIDTH, generator=generator)  # [windows, tokens, in]
    own, error = [], []
    for _ in range(LAYERS):
        weight = torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5
        changed = plan.prune(weight, statistics_of(pruned, {Need.INPUT_NORM}), sparsity).weight
        own.append(output_error(weight, changed, pruned))
        dense, pruned = dense @ weight.T, pruned @ changed.T
        error.append(_distance(dense, pruned))
    lost = sum(share**2 for share in own) / LAYERS
    return Chain(
        tuple(own), tuple(error), tuple((1 - (1 - lost) ** depth) ** 0.5 for depth in range(1, LAYERS + 1))
    )


def _distance(dense: Tensor, other: Tensor) -> float:
    return float((dense - other).double().norm() / dense.double().norm())

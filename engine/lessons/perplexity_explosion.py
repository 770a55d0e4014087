"""Lesson 8, first half: why perplexity explodes. Losses are averaged and then exponentiated, and the kept
part of a signal multiplies from layer to layer.

The chain of layers is random and has no nonlinearity, so the measured error can be compared with a formula.
Statistics, scores and masks are the engine's own. A chain takes about 60 ms, once per sparsity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import torch

from engine.evaluation.perplexity import score
from engine.lessons.layer import output_error, statistics_of
from engine.pruning.plan import Plan
from engine.pruning.statistics import Need

# fmt: off
PROBABILITIES = (
    0.9, 0.6, 0.25, 0.8, 0.5, 0.95, 0.3, 0.7, 0.4, 0.85, 0.1, 0.6, 0.9, 0.45, 0.2, 0.75, 0.55,
    0.9, 0.35, 0.65,
)
# fmt: on
"""The probability that a model gives to each of twenty tokens: invented, but as uneven as in real text."""
DAMAGED = (7, 13, 1, 16, 10)
"""The positions of the tokens that pruning damages, in this order."""

LAYERS, WIDTH, TOKENS = 32, 128, 256
"""Of the chain."""


@dataclass(frozen=True)
class TokenLosses:
    """Tokens with the probability that a model gives each, and what is measured from these.

    Attributes:
        losses: `-ln p` of each token, nats.
        damaged: positions of the tokens that were made less probable.
        nll: the mean loss.
        perplexity: `exp(nll)`.
    """

    probabilities: tuple[float, ...]
    losses: tuple[float, ...]
    damaged: tuple[int, ...]
    nll: float
    perplexity: float


def token_losses(damaged: int = 0, exponent: float = 0.0) -> TokenLosses:
    """Return the losses of the twenty tokens.

    Args:
        damaged: how many tokens are damaged.
        exponent: the probability of a damaged token becomes `10 ** -exponent`, unless it was lower before.
    """
    positions = DAMAGED[:damaged]
    limit = 10.0**-exponent
    probabilities = tuple(min(p, limit) if at in positions else p for at, p in enumerate(PROBABILITIES))
    losses = tuple(-log(p) for p in probabilities)
    mean = score(sum(losses) / len(losses), len(losses))
    return TokenLosses(probabilities, losses, tuple(sorted(positions)), mean.nll, mean.perplexity)


@dataclass(frozen=True)
class Chain:
    """Layers in sequence, each pruned independently.

    Attributes:
        own: each layer's error on the input that it gets, `||X W^T - X W'^T|| / ||X W^T||`.
        error: the relative distance of the pruned signal from the dense one after each layer.
        law: the same if every layer removed the same share of the energy and no other error were added:
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
    """Prune `LAYERS` random layers by Wanda, each on the output of the pruned layers before it."""
    generator = torch.Generator().manual_seed(0)
    plan = Plan.of(score="wanda")
    dense = pruned = torch.randn(1, TOKENS, WIDTH, generator=generator)  # [windows, tokens, in]
    own, error = [], []
    for _ in range(LAYERS):
        # 1 / sqrt(in) keeps the strength of the signal from layer to layer.
        weight = torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5
        changed = plan.prune(weight, statistics_of(pruned, {Need.INPUT_NORM}), sparsity).weight
        own.append(output_error(weight, changed, pruned))
        dense, pruned = dense @ weight.T, pruned @ changed.T
        error.append(float((dense - pruned).double().norm() / dense.double().norm()))
    lost = sum(share**2 for share in own) / LAYERS  # the mean share of the energy that a layer removes
    law = tuple((1 - (1 - lost) ** depth) ** 0.5 for depth in range(1, LAYERS + 1))
    return Chain(tuple(own), tuple(error), law)

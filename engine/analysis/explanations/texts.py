"""What the charts of texts show: predictions, the loss added per token, and perplexity over sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

from engine.analysis.comparison.points import FACTOR
from engine.analysis.explanations.explanation import CLIFF, LOSSES, Explanation, explanation
from engine.evaluation.text_types import Reading, Token
from engine.numbers import percent, perplexity, ratio

FEW = 0.1
"""Share of the tokens that are the worst ones."""


def predictions(token: Token) -> Explanation:
    """Explain what both models predict at one position."""
    if not token.guesses:
        return explanation(["Nothing was predicted in place of this token."], LOSSES)
    dense, pruned = token.expected("dense"), token.expected("pruned")
    same = dense[0].id == pruned[0].id
    shared = len({guess.id for guess in dense} & {guess.id for guess in pruned})
    first = (
        f"both models expect the same token; of their {len(dense)} likeliest they share {shared}."
        if same
        else f"the models expect different tokens; of their {len(dense)} likeliest they share {shared}."
    )
    actual = next((guess for guess in token.guesses if guess.id == token.id), None)
    if actual is None:
        return explanation([first], LOSSES)
    way = "less" if actual.pruned < actual.dense else "more" if actual.pruned > actual.dense else "equally"
    second = (
        f"The text's own token is {way} likely after pruning: {percent(actual.dense)} before, "
        f"{percent(actual.pruned)} now."
    )
    return explanation([first, second], LOSSES)


def added_losses(reading: Reading) -> Explanation:
    """Explain the loss that pruning added per token."""
    gained = [token.gained for token in reading.tokens[reading.first :]]
    known = sorted((value for value in gained if value is not None and isfinite(value)), reverse=True)
    if not known:
        return explanation(["No token of this text was compared."], LOSSES)
    better = sum(value < 0 for value in known)
    before, after = reading.perplexity("dense"), reading.perplexity("pruned")
    first = f"the perplexity of this text goes from {perplexity(before)} to {perplexity(after)}."
    second = f"{better} of {len(known)} tokens are even likelier after pruning."
    added = sum(value for value in known if value > 0)
    few = max(1, round(FEW * len(known)))
    verb, share = ("has" if few == 1 else "have"), percent(sum(known[:few]) / (added or 1), 0)
    third = f"{few} of them {verb} {share} of the added loss." if added > 0 and known[few - 1] > 0 else ""
    return explanation([first, second, third], LOSSES)


def perplexity_line(sparsities: Sequence[float], perplexities: Sequence[float], current: int) -> Explanation:
    """Explain the line of perplexity over sparsity; the first entry is the dense model."""
    known = [
        (sparsity, value) for sparsity, value in zip(sparsities, perplexities, strict=True) if isfinite(value)
    ]
    dense, here = perplexities[0], perplexities[current]
    if not known or not isfinite(dense) or dense <= 0:
        return explanation(["The dense model has no finite perplexity here."], CLIFF)
    place = f"at {percent(sparsities[current], 0)} sparsity, the perplexity is"
    first = (
        f"{place} {ratio(here / dense)} of the dense one."
        if isfinite(here)
        else f"{place} too large to write."
    )
    beyond = next((sparsity for sparsity, value in known if value >= FACTOR * dense), None)
    second = (
        f"It first reaches {FACTOR:g} × the dense one at {percent(beyond, 0)}."
        if beyond is not None
        else f"It stays below {FACTOR:g} × the dense one."
    )
    rises = len(known) > 1 and all(after > before for (_, before), (_, after) in pairwise(known))
    third = "It rises from each sparsity to the next." if rises else ""
    return explanation([first, second, third], CLIFF)

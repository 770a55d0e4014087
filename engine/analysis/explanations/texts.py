"""What the charts of a text show: predictions, and the loss added per token."""

from __future__ import annotations

from math import isfinite

from engine.analysis.explanations.explanation import LOSSES, Explanation, explanation
from engine.evaluation.text_types import Reading, Token
from engine.numbers import percent, perplexity

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

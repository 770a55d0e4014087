"""What the perplexity of one pruner over sparsity shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

from engine.analysis.comparison.points import FACTOR
from engine.analysis.explanations.explanation import CLIFF, Explanation, explanation
from engine.numbers import percent, ratio


def one_curve(
    sparsities: Sequence[float], perplexities: Sequence[float], dense: float, current: float
) -> Explanation:
    """Explain a line of perplexity over sparsity.

    Args:
        sparsities: of the runs, shares, increasing.
        perplexities: of the runs.
        dense: perplexity of the dense model.
        current: the marked sparsity, which need not have a run.
    """
    if not isfinite(dense) or dense <= 0:
        return explanation(["The dense model has no finite perplexity here."], CLIFF)
    pairs = list(zip(sparsities, perplexities, strict=True))
    known = [(sparsity, value) for sparsity, value in pairs if isfinite(value)]
    here = next((value for sparsity, value in pairs if sparsity == current), None)
    if here is None:
        first = f"no run is at {percent(current)} sparsity."
    elif isfinite(here):
        first = f"at {percent(current)} sparsity, the perplexity is {ratio(here / dense)} of the dense one."
    else:
        first = f"at {percent(current)} sparsity, the perplexity is too large to write."
    beyond = next((sparsity for sparsity, value in known if value >= FACTOR * dense), None)
    second = (
        f"The first run that reaches {FACTOR:g} × the dense one is at {percent(beyond)}."
        if beyond is not None
        else f"All runs stay below {FACTOR:g} × the dense one."
    )
    rises = len(known) > 1 and all(after > before for (_, before), (_, after) in pairwise(known))
    return explanation(
        [first, second if known else "", "It rises from each run to the next." if rises else ""], CLIFF
    )

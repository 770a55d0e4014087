"""A few choices over several axes that together cover every pair of values on two of them."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import combinations, product
from operator import or_
from typing import Any

Choice = tuple[Any, ...]


def pairs(choice: Choice) -> set[str]:
    """Return the pairs of values, on two axes each, that one choice contains."""
    return {left + right for left, right in combinations(map(str, enumerate(choice)), 2)}


def pairwise(choices: Sequence[Choice], covered: Sequence[Choice] = ()) -> list[Choice]:
    """Return a subset of `choices` that, together with `covered`, contains every pair that occurs in
    `choices`.

    Greedy: always takes the choice with the most missing pairs, the first one on a tie. The result is
    slightly larger than the minimum, and the same on every machine.
    """
    bits: dict[str, int] = {}  # one of its own for each pair: sets of them as integers are much faster

    def as_bits(choice: Choice) -> int:
        return reduce(or_, (bits.setdefault(pair, 1 << len(bits)) for pair in pairs(choice)), 0)

    remaining = [(choice, as_bits(choice)) for choice in choices]
    missing = reduce(or_, (found for _, found in remaining), 0)
    missing &= ~reduce(or_, map(as_bits, covered), 0)
    picked: list[Choice] = []
    while missing:
        # A choice's number of missing pairs only shrinks: drop those that have none left.
        remaining = [(choice, left) for choice, found in remaining if (left := found & missing)]
        best, added = max(remaining, key=lambda item: item[1].bit_count())
        picked.append(best)
        missing &= ~added
    return picked


def possible(axes: Sequence[Sequence[Any]], allowed: Callable[[Choice], bool]) -> Iterator[Choice]:
    """Yield the combinations of the axes that a recipe accepts."""
    return (choice for choice in product(*axes) if allowed(choice))

"""Few choices over several axes that together contain every pair of choices on two of them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from typing import Any

Choice = tuple[Any, ...]


def pairs(choice: Choice) -> set[str]:
    """The pairs of values on two axes that one choice on all axes contains."""
    return {f"{left}{right}" for left, right in combinations(enumerate(choice), 2)}


def pairwise(choices: Sequence[Choice], covered: Sequence[Choice] = ()) -> list[Choice]:
    """Pick from `choices` until every pair that occurs in them is in a picked one or in `covered`.

    Greedy: always the choice with the most pairs that are still missing, the first among equals. A few more
    than the least number that would do, and the same on every machine.
    """
    having = [(choice, pairs(choice)) for choice in choices]
    missing = set().union(*(pair for _, pair in having)) - set().union(*map(pairs, covered))
    picked: list[Choice] = []
    while missing:
        # What a choice still adds only shrinks, so those that add nothing can be dropped for good.
        having = [(choice, left) for choice, having_pairs in having if (left := having_pairs & missing)]
        best, added = max(having, key=lambda item: len(item[1]))
        picked.append(best)
        missing -= added
    return picked


def possible(axes: Sequence[Sequence[Any]], allowed: Callable[[Choice], bool]) -> Iterator[Choice]:
    """The products of the axes that a recipe accepts."""
    return (choice for choice in product(*axes) if allowed(choice))

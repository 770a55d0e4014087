"""Places for labels beside the ends of lines: as near to their lines as they can stand without lying upon one another."""

from __future__ import annotations

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places at least `gap` apart, in the order of the wanted ones, with the least sum of squared moves.

    Less `gap` times its rank, a place must not fall below the one before it: an isotonic regression, solved by pooling neighbours.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []  # mean and size
    for rank, index in enumerate(order):
        pools.append((wanted[index] - gap * rank, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, size), (before, count) = pools.pop(), pools.pop()
            pools.append(((mean * size + before * count) / (size + count), size + count))
    levels = [mean for mean, size in pools for _ in range(size)]
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = levels[rank] + gap * rank
    return places

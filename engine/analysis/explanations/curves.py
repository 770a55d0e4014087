"""What the charts of many runs show: perplexity over sparsity, cliffs, N:M patterns, and the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import isfinite

from engine.analysis.comparison.leaderboard import Entry
from engine.analysis.comparison.noise import indistinguishable
from engine.analysis.comparison.points import FACTOR, Point, cliff, curve
from engine.analysis.explanations.explanation import (
    CLIFF,
    GROUPS_PRICE,
    LEADERBOARD,
    Explanation,
    explanation,
)
from engine.numbers import listed, percent, perplexity, plural, ratio

Families = Mapping[str, Sequence[Point]]
MOST_NAMES = 3
"""Names that a sentence lists at most."""


def perplexity_curves(families: Families) -> Explanation:
    """Explain the curves of perplexity against sparsity."""
    ranked = _ranked(families)
    return explanation([_cliff_words(families), _winner(ranked), _noise(ranked)], CLIFF)


def cliff_ranking(families: Families) -> Explanation:
    """Explain the ranking by the sparsity of the cliff."""
    before = [name for name, points in families.items() if curve(points) and cliff(curve(points)) is None]
    beyond = (
        f"The runs of {listed(before, MOST_NAMES)} end before a cliff, so there the mark is a lower bound."
        if before
        else ""
    )
    return explanation([_cliff_words(families), beyond], CLIFF)


def pattern_ranking(families: Families) -> Explanation:
    """Explain the ranking at N:M patterns."""
    at: dict[str, dict[str, Point]] = {}
    for name, points in families.items():
        for point in points:
            if point.is_grouped and isfinite(point.perplexity):
                at.setdefault(point.shape, {})[name] = point
    if not at:
        return explanation(["No run with an N:M pattern has a finite perplexity."], GROUPS_PRICE)
    best = {shape: min(found.values(), key=lambda point: point.perplexity) for shape, found in at.items()}
    words = [
        f"{point.family} at {shape} ({perplexity(point.perplexity)})" for shape, point in sorted(best.items())
    ]
    return explanation([f"lowest perplexity: {listed(words, MOST_NAMES)}.", _price(at)], GROUPS_PRICE)


def leaderboard(entries: Sequence[Entry]) -> Explanation:
    """Explain the leaderboard at one sparsity."""
    known = [entry for entry in entries if isfinite(entry.point.perplexity)]
    if len(known) < 2:
        return explanation(["Fewer than two pruners have a finite perplexity here."], LEADERBOARD)
    known.sort(key=lambda entry: entry.point.perplexity)
    best, second, last, lowest = known[0], known[1], known[-1], known[0].point.perplexity
    first = (
        f"{best.point.family} has the lowest perplexity, {ratio(best.point.ratio)} of the dense one; "
        f"{second.point.family} is {percent(second.point.perplexity / lowest - 1)} above it."
    )
    alike = (
        f"{best.point.family} and {listed(best.alike, MOST_NAMES)} are closer than repeats of one recipe, so "
        "they cannot be told apart."
        if best.alike
        else ""
    )
    spread = (
        f"The last, {last.point.family}, has {ratio(last.point.perplexity / lowest)} of the best perplexity."
        if len(known) > 2
        else ""
    )
    return explanation([first, alike, spread], LEADERBOARD)


def _cliff_words(families: Families) -> str:
    """Return the first and the last sparsity at which a curve reaches its cliff."""
    lines = {name: curve(points) for name, points in families.items() if curve(points)}
    found = {name: cliff(line) for name, line in lines.items()}
    known = {name: at.sparsity for name, at in found.items() if at is not None and at.known}
    if not lines:
        return "No pruner has a run without an N:M pattern."
    if not known:
        above = sum(at is not None for at in found.values())
        verb = "starts" if above == 1 else "start"
        return (
            f"{above} of {plural(len(lines), 'curve')} {verb} above {FACTOR:g} × the dense perplexity; "
            f"{len(lines) - above} stay below it."
        )
    best, worst = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    reach = f"{best} reaches {FACTOR:g} × the dense perplexity at {percent(known[best])} sparsity"
    return (
        f"{reach}, later than any other; {worst} does at {percent(known[worst])}."
        if best != worst
        else f"{reach}."
    )


def _ranked(families: Families) -> dict[float, list[Point]]:
    """Return the points at each sparsity that at least two curves have, the best first."""
    at: dict[float, list[Point]] = {}
    for points in families.values():
        for point in curve(points):
            if isfinite(point.perplexity):
                at.setdefault(point.sparsity, []).append(point)
    return {
        sparsity: sorted(at[sparsity], key=lambda point: point.perplexity)
        for sparsity in sorted(at)
        if len(at[sparsity]) > 1
    }


def _winner(ranked: Mapping[float, Sequence[Point]]) -> str:
    """Return which pruner is best at the highest sparsities, and from which on."""
    if not ranked:
        return ""
    sparsities, names = list(ranked), [points[0].family for points in ranked.values()]
    last = names[-1]
    start = len(names)
    while start and names[start - 1] == last:
        start -= 1
    if start == 0:
        return f"{last} has the lowest perplexity at every sparsity that two curves share."
    others = list(dict.fromkeys(names[:start]))
    below = f"below, {others[0]} has" if len(others) == 1 else "below, others have"
    end = "at" if start == len(names) - 1 else "from"
    onwards = "" if start == len(names) - 1 else " on"
    return f"{last} has the lowest perplexity {end} {percent(sparsities[start], 0)}{onwards}; {below}."


def _noise(ranked: Mapping[float, Sequence[Point]]) -> str:
    """Return at how many sparsities the two best cannot be told apart."""
    if not ranked:
        return ""
    pairs = [(points[0], points[1]) for points in ranked.values()]
    measured = [pair for pair in pairs if any(point.noise is not None for point in pair)]
    if not measured:
        return "No recipe was repeated in another order of its windows, so small differences may be noise."
    alike = sum(indistinguishable(one, other) for one, other in measured)
    return (
        f"The noise was measured at {len(measured)} of the {len(pairs)} sparsities that curves share; at "
        f"{alike} of them the best two are closer than it."
    )


def _price(at: Mapping[str, Mapping[str, Point]]) -> str:
    """Return what smaller groups cost at the same sparsity."""
    shapes = sorted(at, key=lambda shape: int(shape.partition(":")[2]))
    for small, large in combinations(shapes, 2):
        both = [name for name in at[small] if name in at[large]]
        if both and at[small][both[0]].sparsity == at[large][both[0]].sparsity:
            higher = sum(at[small][name].perplexity > at[large][name].perplexity for name in both)
            return (
                f"At {small} the perplexity is higher than at {large}, which removes as many weights, for "
                f"{higher} of the {plural(len(both), 'pruner')} with both."
            )
    return ""

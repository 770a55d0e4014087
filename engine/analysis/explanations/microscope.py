"""What the charts of one linear show."""

from __future__ import annotations

import numpy as np

from engine.analysis.explanations.explanation import (
    BY_HAND,
    DEAD_ROWS,
    GROUPS_NEIGHBOURS,
    GROUPS_ROW,
    OUTLIER_MODEL,
    SCORES,
    Explanation,
    explanation,
)
from engine.analysis.explanations.progress import times_median
from engine.analysis.microscope.ranks import rank_correlation, stable_rank
from engine.analysis.microscope.types import Counts, Groups, Numbers, Picture, Scores, Spectrum, Study
from engine.numbers import decimal, percent, plural

CLEAR = 0.5
"""Rank correlation from which two columns of numbers are clearly related."""
STANDS_OUT = 5.0
"""Multiple of the median from which an input stands out."""
SAME_RANK = 0.1
"""Relative difference of two stable ranks that is no change."""


def weight_map(picture: Picture) -> Explanation:
    """Explain the map of a weight and its mask."""
    rows = picture.row_removed / picture.shape[1]
    columns = picture.column_removed / picture.shape[0]
    first = f"{percent(picture.sparsity)} of this linear's weights are removed."
    across, along = float(columns.std()), float(rows.std())
    if max(across, along) == 0:
        second = "Every row and every column loses the same share."
    elif across > along:
        second = "The shares differ more from column to column (inputs) than from row to row (outputs)."
    else:
        second = "The shares differ at least as much from row to row (outputs) as between the columns."
    moved = (
        f"An update moved the kept weights by {percent(picture.moved)} of their norm."
        if picture.moved
        else "The kept weights have not been moved."
    )
    return explanation([first, second, moved], GROUPS_ROW)


def sparsity_profiles(picture: Picture) -> Explanation:
    """Explain the sparsity of every row and column."""
    rows = picture.row_removed / picture.shape[1]
    columns = picture.column_removed / picture.shape[0]
    sentences = []
    for name, shares in (("row", rows), ("column", columns)):
        low, high = float(shares.min()), float(shares.max())
        sentences.append(
            f"every {name} loses the same share, {percent(high)}."
            if low == high
            else f"the {name}s lose between {percent(low)} and {percent(high)} of their weights."
        )
    zero = {"row": int((rows == 1).sum()), "column": int((columns == 1).sum())}
    empty = [plural(count, name) for name, count in zero.items() if count]
    last = f"Nothing is left of {' and '.join(empty)}." if empty else "No row and no column is empty."
    return explanation([*sentences, last], DEAD_ROWS)


def norms_against_sparsity(norms: Numbers, column_removed: Counts, rows: int) -> Explanation:
    """Explain the columns' activation norms against their sparsity."""
    correlation = rank_correlation(norms, column_removed / rows)
    if correlation is None:
        first = "All inputs have the same norm or lose the same share, so there is no relation."
    else:
        if correlation <= -CLEAR:
            words = "Stronger inputs keep more of their weights"
        elif correlation >= CLEAR:
            words = "Stronger inputs lose more of their weights"
        else:
            words = "An input's strength hardly goes with the share that it loses"
        first = f"{words}: the rank correlation is {decimal(correlation, 2)}."
    middle, strongest = float(np.median(norms)), int(norms.argmax())
    if middle <= 0:
        return explanation([first], OUTLIER_MODEL)
    times = float(norms[strongest]) / middle
    stands = "stands out" if times >= STANDS_OUT else "does not stand out"
    second = f"The strongest input, {strongest}, {stands}: it is {times:.1f} times as strong as the median."
    return explanation([first, second], OUTLIER_MODEL)


def score_histogram(scores: Scores) -> Explanation:
    """Explain the histograms of the kept and the removed weights' scores."""
    if scores.cuts is None:
        return explanation(["No weight was removed, so there is no cut."], GROUPS_ROW)
    counts = scores.kept + scores.removed
    total, mixed = int(counts.sum()), int(counts[(scores.kept > 0) & (scores.removed > 0)].sum())
    first = (
        "all weights compete with each other, so there is one cut."
        if scores.groups == 1
        else f"weights compete in {scores.groups:,} groups, each with its own cut, so both can overlap."
    )
    second = f"{percent(mixed / total)} of the weights are in bins that hold both kept and removed ones."
    moved = (
        f"The mask differs from the scores' decision for {percent(scores.moved / total)} of the weights: a "
        "refinement changed it."
        if scores.moved
        else ""
    )
    return explanation([first, second, moved], GROUPS_ROW)


def worst_rows(study: Study) -> Explanation:
    """Explain the rows with the largest output error."""
    if not study.lost or study.lost[0].error == 0:
        return explanation(["No output changed on the sampled tokens."], BY_HAND)
    worst, share = study.lost[0], sum(row.share for row in study.lost)
    times = f", {times_median(worst.error, study.median_error)}" if study.median_error else ""
    first = f"row {worst.row} has the largest error, {percent(worst.error)}{times}."
    rows = f"The {plural(len(study.lost), 'row')} shown"
    return explanation([first, f"{rows} have {percent(share)} of the linear's squared error."], BY_HAND)


def singular_values(spectrum: Spectrum) -> Explanation:
    """Explain the singular values of both weights."""
    dense, pruned = float(spectrum.dense[0]), float(spectrum.pruned[0])
    if dense == 0:
        return explanation(["The weight is zero."])
    change = pruned / dense - 1
    way = "smaller" if change < 0 else "larger"
    first = f"the strongest direction is {percent(abs(change))} {way} after pruning."
    before, after = stable_rank(spectrum.dense), stable_rank(spectrum.pruned)
    if abs(after - before) <= SAME_RANK * before:
        more = "about as many directions as"
    else:
        more = "more directions than" if after > before else "fewer directions than"
    second = (
        f"The strength is spread over {more} before: the stable rank was {before:.1f} and is {after:.1f}."
    )
    return explanation([first, second])


def groups(found: Groups) -> Explanation:
    """Explain the groups of an N:M pattern."""
    total, full = sum(found.kept), found.kept[found.n]
    first = f"{percent(full / total)} of the {total:,} groups keep exactly {found.n} of {found.m} weights."
    if found.violations:
        verb = "keeps" if found.violations == 1 else "keep"
        second = (
            f"{plural(found.violations, 'group')} {verb} more, so this is no valid {found.n}:{found.m} mask."
        )
    else:
        second = f"None keeps more, so this is a valid {found.n}:{found.m} mask."
    return explanation([first, second], GROUPS_NEIGHBOURS)


def two_masks(pictures: dict[str, Picture], same: float) -> Explanation:
    """Explain the masks of two scores for one weight."""
    first = f"the two scores decide alike about {percent(same)} of the weights."
    spreads = {name: float((one.column_removed / one.shape[0]).std()) for name, one in pictures.items()}
    most, least = max(spreads, key=lambda name: spreads[name]), min(spreads, key=lambda name: spreads[name])
    second = (
        f"{most} removes more unevenly from column to column than {least}."
        if spreads[most] > spreads[least]
        else "Both remove equally unevenly from column to column."
    )
    return explanation([first, second], SCORES)

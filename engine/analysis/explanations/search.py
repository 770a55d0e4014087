"""What the charts of a search show: its objective, and the blocks in which the best candidate is better."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from engine.analysis.candidates import best_candidate, named, step_title, uniform_candidate
from engine.analysis.explanations.explanation import ALLOCATION_SEARCH, Explanation, explanation
from engine.events import EVOLUTION_STEP, Candidate
from engine.numbers import percent, plural, scientific
from engine.record import RunRecord

FLAT = 0.02
"""Relative difference of the worst and the best candidate of a step up to which its curve is flat."""
FEWEST = 3
"""Candidates from which a curve has a shape."""


def objective(record: RunRecord) -> Explanation:
    """Explain the curves of the search's objective."""
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None:
        return explanation(["No candidate has been tried yet."], ALLOCATION_SEARCH)
    if best.is_reference:
        words = "Only the uniform allocation is measured yet; the candidates are compared with it."
        return explanation([words], ALLOCATION_SEARCH)
    so_far = "" if best.chosen else "so far, "
    first = f"{so_far}the best candidate is {named(best)}{_against(best, uniform)}."
    step = [tried for tried in record.search if tried.step == best.step]
    return explanation([first, _shape(step, best), _stopped(record)], ALLOCATION_SEARCH)


def against_uniform(record: RunRecord) -> Explanation:
    """Explain the bars of the best candidate's distance per block next to uniform's."""
    best, uniform = best_candidate(record), uniform_candidate(record)
    if best is None or uniform is None or best.is_reference:
        return explanation(["There is no candidate yet to compare with uniform."], ALLOCATION_SEARCH)
    pairs = zip(uniform.block_objectives, best.block_objectives, strict=False)
    changes = {block: after - before for block, (before, after) in enumerate(pairs)}
    changes = {block: change for block, change in changes.items() if isfinite(change)}
    if not changes:
        return explanation(["The blocks have no finite distances to compare."], ALLOCATION_SEARCH)
    lower = sum(change < 0 for change in changes.values())
    gain = min(changes, key=lambda block: changes[block])
    loss = max(changes, key=lambda block: changes[block])
    first = (
        f"{named(best)} is closer to the dense model than uniform in {lower} of {len(changes)} blocks"
        f"{_against(best, uniform)}."
    )
    parts = [f"gains most in block {gain} ({scientific(-changes[gain], 2)})"] if changes[gain] < 0 else []
    parts += [f"loses most in block {loss} ({scientific(changes[loss], 2)})"] if changes[loss] > 0 else []
    return explanation([first, f"It {' and '.join(parts)}." if parts else ""], ALLOCATION_SEARCH)


def _against(best: Candidate, uniform: Candidate | None) -> str:
    """Return how its objective compares with uniform's."""
    if uniform is None or not 0 < uniform.objective < float("inf") or not isfinite(best.objective):
        return ""
    change = best.objective / uniform.objective - 1
    if change == 0:
        return "; its objective equals uniform's"
    return f"; its objective is {percent(abs(change))} {'lower' if change < 0 else 'higher'} than uniform's"


def _shape(step: Sequence[Candidate], best: Candidate) -> str:
    """Return whether a step's curve is flat, and where in the tried range its best candidate is."""
    complete = [tried for tried in step if not tried.stopped and isfinite(tried.objective)]
    if len(complete) < FEWEST or not isfinite(best.objective):
        return ""
    if best.step == EVOLUTION_STEP:
        first, last = complete[0], complete[-1]
        if last.objective >= first.objective:
            return f"From {first.place} to {last.place} the objective did not fall."
        fell = f" by {percent(1 - last.objective / first.objective)}" if first.objective > 0 else ""
        return f"From {first.place} to {last.place} the objective fell{fell}."
    if not best.chosen:  # the range is not complete
        return ""
    worst = max(tried.objective for tried in complete)
    if worst <= (1 + FLAT) * best.objective:
        return (
            f"The curve of the {step_title(best.step)} is flat: its worst candidate is within "
            f"{percent(FLAT, 0)} of the best."
        )
    strengths = [tried.strength for tried in step]
    if best.strength == min(strengths):
        where = f"the weakest that was tried, λ = {best.strength:g}"
    elif best.strength == max(strengths):
        where = f"the strongest that was tried, λ = {best.strength:g}; an even stronger one may be better"
    else:
        where = f"inside the tried range, from {min(strengths):g} to {max(strengths):g}"
    return f"In the {step_title(best.step)}, the best strength is {where}."


def _stopped(record: RunRecord) -> str:
    count = sum(tried.stopped for tried in record.search)
    if not count:
        return ""
    verb = "was" if count == 1 else "were"
    return f"{plural(count, 'candidate')} {verb} stopped early, because another one was better already."

"""The finished runs of one recipe at all sparsities: what a slider can show without computing anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.models.gguf.unpacked import is_content
from engine.models.identity import canonical
from engine.pruning.patterns import UNSTRUCTURED
from engine.recipe import Recipe
from engine.store.summary import RunSummary

QUICK = ("score", "pattern", "allocation", "update", "refinement", "seed", "samples")
"""Fields that tell most recipes apart, compared first: a key takes 0.2 ms to compute."""


@dataclass(frozen=True)
class Series:
    """The finished runs that differ from a recipe in the sparsity at most.

    Attributes:
        recipe: pinned.
        runs: one per sparsity, by sparsity. Of several, the run that was computed here counts, else the
            bundled one, else an imported one.
    """

    recipe: Recipe
    runs: tuple[RunSummary, ...] = ()

    @property
    def exact(self) -> RunSummary | None:
        """The run of the recipe itself, None if it is not there."""
        return next((run for run in self.runs if sparsity_of(run) == self.recipe.sparsity), None)

    @property
    def nearest(self) -> RunSummary | None:
        """The run whose sparsity is closest, the lower one of two; None if there are no runs."""
        target = self.recipe.sparsity
        # Rounded: 0.6 - 0.55 is a little less than 0.55 - 0.5.
        return min(self.runs, key=lambda run: round(abs(sparsity_of(run) - target), 9), default=None)

    @property
    def sparsities(self) -> tuple[float, ...]:
        """The sparsities of the runs, increasing, as shares."""
        return tuple(map(sparsity_of, self.runs))


def sparsity_of(run: RunSummary) -> float:
    """Return the target sparsity of a run whose recipe is known, a share."""
    assert run.recipe is not None, "a series has only runs with a recipe"
    return run.recipe.sparsity


def series(runs: Iterable[RunSummary], recipe: Recipe) -> Series:
    """Return the series of a pinned recipe; with an N:M pattern, which fixes the sparsity, it has one run at
    most.
    """
    found: dict[float, RunSummary] = {}
    # The least preferred first, so that the others replace it.
    for run in sorted(runs, key=lambda run: (run.own, run.recorded)):
        if run.recipe is not None and is_similar(run, recipe) and _differs_in_sparsity(run, recipe):
            found[run.recipe.sparsity] = run
    return Series(recipe, tuple(found[sparsity] for sparsity in sorted(found)))


def is_similar(run: RunSummary, recipe: Recipe) -> bool:
    """Return whether a run may belong to the series of a recipe, which need not be pinned."""
    other = run.recipe
    return (
        run.state == "finished"
        and other is not None
        and all(getattr(other, name) == getattr(recipe, name) for name in QUICK)
        and (is_content(other.revision) or other.model == canonical(recipe.model))
    )


def _differs_in_sparsity(run: RunSummary, recipe: Recipe) -> bool:
    """Return whether a run's recipe is equal to another up to the sparsity, and its result still valid."""
    other = run.recipe
    assert other is not None, "it is similar"
    if other.sparsity != recipe.sparsity and recipe.pattern != UNSTRUCTURED:
        return False
    # A run of another RESULT_VERSION has the key of that version.
    valid = run.imported or run.key == other.key
    return valid and other.model_copy(update={"sparsity": recipe.sparsity}).key == recipe.key

"""Which run the page shows, and what its Prune button does.

A run that was started or opened in this tab is shown until the form changes. After that the form decides: the
run of its recipe if there is one, else, faded, the one whose sparsity is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import PrunescopeError
from engine.numbers import short_percent
from pages.widgets.explore import replay, session
from pages.widgets.explore.fields import Checked, check
from pages.widgets.literal import literal

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine
    from engine.store.series import Series
    from engine.store.summary import RunSummary

LONGEST = 600.0
"""Seconds that a run may have taken here to be computed again at a click; a longer one is replayed."""

Action = Literal["prune", "live", "replay"]


@dataclass(frozen=True)
class Shown:
    """What the page shows.

    Attributes:
        key: of the run; None if there is none to show.
        nearest: whether it is not the run of the form's recipe, but the one with the nearest sparsity.
        series: the finished runs of the form's recipe at all sparsities; None if the form has no recipe.
        can_run: whether the form's recipe can be computed here.
    """

    key: str | None = None
    nearest: bool = False
    series: Series | None = None
    can_run: bool = True

    @property
    def existing(self) -> RunSummary | None:
        """The finished run of the form's recipe, None if there is none."""
        return self.series.exact if self.series is not None else None


def find_shown(engine: BackgroundEngine, checked: Checked) -> Shown:
    """Return what to show for the form, and remember it."""
    series = _find_series(engine, checked)
    key, nearest = session.run_key(), False
    if key is None and series is not None:
        if series.recipe.key in engine.active():
            key = series.recipe.key
        elif (run := series.exact or series.nearest) is not None:
            key, nearest = run.key, run is not series.exact
    session.note_shown(key)
    return Shown(key, nearest, series, checked.recipe is not None)


def _find_series(engine: BackgroundEngine, checked: Checked) -> Series | None:
    # Without the model's shape: the runs of a model that is not here can be shown, too.
    recipe = checked.recipe or check(checked.fields, None).recipe
    try:
        return engine.series(recipe) if recipe is not None else None
    except PrunescopeError:  # a file is missing, or visitors do not see such runs
        return None


def action(engine: BackgroundEngine, shown: Shown) -> Action:
    """Return what the button does. A run that was not computed here is computed; one that was, again, unless
    that takes long or others rely on it.
    """
    run = shown.existing
    if run is None:
        return "prune"
    took = run.record.elapsed if run.record is not None else 0.0
    return "replay" if run.own and (engine.public is not None or took > LONGEST) else "live"


def act(engine: BackgroundEngine, shown: Shown) -> None:
    """Do what the button says; for its callback."""
    run = shown.existing
    if run is not None and action(engine, shown) == "replay":
        try:
            replay.begin(engine, run.key)
        except PrunescopeError as error:
            session.complain(error)
    else:
        session.prune(engine, again=run is not None and run.own)


def nearest_words(shown: Shown) -> str:
    """Return the sentence that names the faded run, and how to get that of the form."""
    assert shown.series is not None and shown.series.nearest is not None, "only then is a run faded"
    wanted, found = shown.series.recipe, shown.series.nearest.recipe
    assert found is not None, "a series has only runs with a recipe"
    how = f" Press **Prune** for {short_percent(wanted.sparsity)}." if shown.can_run else ""
    return (
        f"Showing **{literal(found.pruner_title)} {short_percent(found.sparsity)}**, the nearest computed "
        f"sparsity.{how}"
    ).replace("%", " %")

"""`verify`: compute the recipe of an imported or bundled run here, and compare the numbers."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from engine.analysis.verification import verify as compare
from engine.cli.report import Bar, add_events_option, print_event
from engine.cli.stored import add_key, folder_of
from engine.cost.estimate import require_fit
from engine.errors import EngineError, StoreError
from engine.models.lean_import import import_library
from engine.recipe import pin
from engine.store.folder import RunFolder
from engine.store.runs import RECORDED, Store

MOST_ROWS = 20


def add_verify_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    add_key(parser)
    add_events_option(parser)
    parser.add_argument(
        "--model", metavar="PATH", help="where the run's model is on this machine, if it is elsewhere"
    )


def verify(arguments: argparse.Namespace) -> int:
    """Print how the numbers of a run compare with those computed here; return 0 if they are confirmed."""
    import_library()
    from engine.jobs.execute import execute

    theirs = _from_elsewhere(folder_of(arguments.key)).record()
    assert theirs.recipe is not None, "imported and bundled runs are finished"
    named = theirs.recipe
    if arguments.model is not None:  # where its files are on this machine
        named = named.model_copy(update={"model": arguments.model, "revision": None})
    recipe = pin(named)
    require_fit(recipe)
    with nullcontext(print_event) if arguments.events else Bar() as show:
        here = execute(recipe, Store().folder(recipe.key), publish=show)
    if here.state != "finished":
        raise EngineError(f"{recipe.title} could not be computed here: {here.error or here.state}")
    if recipe.model_copy(update={"model": theirs.recipe.model}).key != theirs.recipe.key:
        print("The files that the recipe names are different here, so it is another recipe.", file=sys.stderr)
    result = compare(theirs, here)
    print(result.summary, result.explanation, sep="\n")
    differing = [item for item in result.compared if item.verdict != "equal"]
    for item in differing[:MOST_ROWS]:
        change = "" if item.difference is None else f"  {item.difference:.2e}"
        print(f"{item.verdict:<10} {item.what}: {item.imported} imported, {item.here} here{change}")
    if len(differing) > MOST_ROWS:
        print(f"and {len(differing) - MOST_ROWS} more")
    return 0 if result.confirmed else 1


def _from_elsewhere(folder: RunFolder) -> RunFolder:
    """Return an imported run, or a bundled one also if it has been computed here meanwhile."""
    bundled = RunFolder(RECORDED / folder.key, recorded=True)
    if folder.imported or folder.recorded:
        return folder
    if bundled.exists:
        return bundled
    raise StoreError(f"The run {folder.key} was computed here. Verify an imported or bundled run.")

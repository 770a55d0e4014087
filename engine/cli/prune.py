"""`prune`: compute a run in this process, into a folder of its own or into the store."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from engine.cli.report import Bar, print_event, summary
from engine.command import recipe_of
from engine.errors import Fault, RecipeError
from engine.events import Event, Failed
from engine.export import save_masks, save_model
from engine.fitness import require_fit
from engine.jobs.execute import execute
from engine.jobs.folder import RunFolder
from engine.jobs.store import Store
from engine.pin import pin
from engine.recipe import Recipe
from engine.record import RunRecord

STATUS = {"finished": 0, "cancelled": 130}


def prune(arguments: argparse.Namespace) -> int:
    """Run the recipe that the arguments describe; the exit status."""
    recipe = pin(recipe_of(arguments))
    folder = _folder(arguments, recipe)
    require_fit(recipe)
    record = _watched(recipe, folder, arguments)
    print(summary(record))
    if record.state == "finished":
        _save(arguments, record, folder)
    return STATUS.get(record.state, 1)


def _folder(arguments: argparse.Namespace, recipe: Recipe) -> RunFolder:
    if arguments.out is None:
        if arguments.save_model or arguments.save_masks:
            raise RecipeError([Fault("out", "--save-model and --save-masks write into DIR; say which with --out DIR.")])
        return Store().folder(recipe.key)
    folder = RunFolder(Path(arguments.out).expanduser().absolute())
    if folder.recipe_path.exists() and (held := folder.recipe()).key != recipe.key:
        raise RecipeError([Fault("out", f"{folder.path} holds another run already ({held.title}); choose another directory.")])
    return folder


def _watched(recipe: Recipe, folder: RunFolder, arguments: argparse.Namespace) -> RunRecord:
    """Compute the run under a bar or as JSON lines."""
    with nullcontext(print_event) if arguments.events else Bar() as watch:

        def publish(event: Event) -> None:
            watch(event)
            if arguments.debug and isinstance(event, Failed):
                print(event.detail, file=sys.stderr)

        return execute(recipe, folder, publish=publish)


def _save(arguments: argparse.Namespace, record: RunRecord, folder: RunFolder) -> None:
    assert record.model is not None, "a finished run has a model"
    if arguments.save_masks:
        save_masks(folder.masks(record.model.path), folder.path / "masks.safetensors")
    if arguments.save_model and not (folder.path / "model" / "config.json").exists():
        save_model(record, folder.kept, folder.path / "model")

"""`prune`: compute a run in this process, into a given folder or the store."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from engine.analysis.comparison.seeds import over_orders, over_seeds, spreads
from engine.cli.report import Bar, add_events_option, print_event, print_notes, summary
from engine.cost.estimate import require_fit, shortage
from engine.errors import Fault, RecipeError, StoreError
from engine.events import Event, Failed
from engine.export.command_line import add_recipe_options, recipe_of
from engine.export.output_file import save_masks
from engine.models.identity import resolve
from engine.models.lean_import import import_library
from engine.pruning.recommendations import RECOMMENDATIONS, reasons
from engine.recipe import Recipe, pin
from engine.record import RunRecord
from engine.store.folder import RunFolder
from engine.store.runs import Store

if TYPE_CHECKING:
    from engine.run_cache import ModelCache

STATUS = {"finished": 0, "cancelled": 130}  # by the state of the record; any other state is 1


def add_prune_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `prune`."""
    add_recipe_options(parser)
    parser.add_argument("--out", metavar="DIR", help="the folder to write the run to (default: the store)")
    parser.add_argument("--save-model", action="store_true", help="also write the pruned model to DIR/model")
    parser.add_argument(
        "--save-masks", action="store_true", help="also write the masks to DIR/masks.safetensors"
    )
    add_events_option(parser)
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="run with N seeds, starting with the recipe's, and print the spread",
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=1,
        metavar="N",
        help="repeat with the calibration windows in N orders, and print the spread that rounding makes",
    )


def prune(arguments: argparse.Namespace) -> int:
    """Run the recipe that the arguments describe and return the exit code."""
    recipe = pin(recipe_of(arguments))
    if arguments.pruner in RECOMMENDATIONS:
        print(*reasons(RECOMMENDATIONS[arguments.pruner], recipe.model_dump()), file=sys.stderr)
    if arguments.seeds > 1 and arguments.orders > 1:
        raise RecipeError([Fault("orders", "choose --seeds or --orders; each measures another spread.")])
    if arguments.seeds > 1:
        return _repeat("seeds", over_seeds(recipe, arguments.seeds), arguments)
    if arguments.orders > 1:
        return _repeat("orders", over_orders(recipe, arguments.orders), arguments)
    folder = _folder(arguments, recipe)
    import_library()
    require_fit(recipe)
    # Only a warning: it is an estimate, and a run out of memory tries again with less.
    if warning := shortage(recipe):
        print(warning, file=sys.stderr)
    record = _compute(recipe, folder, arguments, None)
    print(summary(record))
    if record.state == "finished":
        _save(arguments, record, folder)
    return STATUS.get(record.state, 1)


def _repeat(what: str, recipes: list[Recipe], arguments: argparse.Namespace) -> int:
    """Run a recipe with several seeds or orders, into the store, and print the spread of the results.

    Stops at the first run that does not finish.
    """
    if arguments.out is not None:
        raise RecipeError(
            [
                Fault(
                    "out",
                    f"several {what} make several runs, which are written to the store; omit --out or "
                    f"--{what}.",
                )
            ]
        )
    from engine.run_cache import MODELS  # imports the model library

    require_fit(recipes[0])
    records = []
    for recipe in recipes:
        records.append(_compute(recipe, Store().folder(recipe.key), arguments, MODELS))
        print(summary(records[-1]))
        if records[-1].state != "finished":
            return STATUS.get(records[-1].state, 1)
    for corpus, spread in spreads(records).items():
        deviation = "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
        print(
            f"over {what:<6} {spread.mean:.3f}{deviation} pruned perplexity on {corpus} "
            f"(mean and standard deviation of {len(records)}; from {min(spread.values):.3f} to "
            f"{max(spread.values):.3f})"
        )
    return 0


def _folder(arguments: argparse.Namespace, recipe: Recipe) -> RunFolder:
    if arguments.out is None:
        if arguments.save_model or arguments.save_masks:
            raise RecipeError(
                [Fault("out", "--save-model and --save-masks write into DIR; set it with --out DIR.")]
            )
        return Store().folder(recipe.key)
    folder = RunFolder(Path(arguments.out).expanduser().absolute(), Store().cache)
    if folder.path.resolve() == Path(resolve(recipe.model)).resolve():
        # Its files would count as files of the model, which must not change during the run.
        raise RecipeError([Fault("out", f"{folder.path} holds the model; choose another directory.")])
    try:
        other = folder.recipe()
    except StoreError:
        if folder.exists and any(folder.path.iterdir()):
            raise RecipeError(
                [
                    Fault(
                        "out",
                        f"{folder.path} holds other files, which a run could overwrite; choose an empty "
                        "directory or a new one.",
                    )
                ]
            ) from None
        return folder
    # The same recipe resumes there.
    if other.key != recipe.key:
        raise RecipeError(
            [
                Fault(
                    "out",
                    f"{folder.path} already holds another run ({other.title}); choose another directory.",
                )
            ]
        )
    return folder


def _compute(
    recipe: Recipe, folder: RunFolder, arguments: argparse.Namespace, models: ModelCache | None
) -> RunRecord:
    """Compute the run, showing its progress as a bar or as JSON lines; `models` as for `execute`."""
    from engine.jobs.execute import execute  # imports the model library

    # `nullcontext` yields its argument, so `show` is called with events either way.
    with nullcontext(print_event) if arguments.events else Bar() as show:

        def publish(event: Event) -> None:
            show(event)
            if arguments.debug and isinstance(event, Failed):
                print(event.detail, file=sys.stderr)

        return execute(recipe, folder, publish=publish, models=models)


def _save(arguments: argparse.Namespace, record: RunRecord, folder: RunFolder) -> None:
    assert record.model is not None, "a finished run has a model"
    if arguments.save_masks:
        save_masks(folder.blocks.masks(record.model.path), folder.path / "masks.safetensors")
    if arguments.save_model and not (folder.path / "model" / "config.json").exists():
        from engine.export.model import save_model

        print_notes(save_model(record, folder.blocks, folder.path / "model"))

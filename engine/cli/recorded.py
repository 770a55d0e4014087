"""The runs that come with the project, so that every page has something true to show at once: what they are,
and how they are made.

Every pruner over 10 to 90 % and 2:4 and 4:8, and the top-ups over two pruners, all on the bundled model. A
run is its recipe and its events, some 25 kB; those of `WITH_WEIGHTS` also hold their masks, so that their
model can be looked into and made to write at once. Anything else is computed again in seconds, under the same
key.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import EngineError, RecipeError
from engine.jobs.execute import execute
from engine.recipe import Recipe, pin
from engine.store.folder import RunFolder

SPARSITIES = tuple(tenth / 10 for tenth in range(1, 10))
PATTERNS = ("2:4", "4:8")
PRUNERS = (
    "magnitude", "wanda", "ria", "stochria", "symwanda", "multiflow", "sparsegpt", "apt-sm", "apt-mm", "apt-ms", "wanda-dsnot", "ria-r2-dsnot",
)  # fmt: skip
"""Listed, not taken from the registry: a new pruner comes without recorded runs until it is added here."""
BASES = ("wanda", "sparsegpt")
"""The pruners that allocations are recorded over."""
TOP_UPS: tuple[dict[str, Any], ...] = (
    {"allocation": "alphapruning"},
    {"allocation": "neuroal"},
    {"allocation": "owl"},
    {"allocation": "neuroal", "settings": {"neuroal.step": "block"}},  # which every score allows
)
WITH_WEIGHTS = ("magnitude", "wanda")
"""The pruners whose masks are kept, where the sparsity is uniform."""


def recipes() -> list[Recipe]:
    """The recipes of all recorded runs, pinned; those that a method refuses are left out."""
    shapes: list[dict[str, Any]] = [
        *({"sparsity": sparsity} for sparsity in SPARSITIES),
        *({"pattern": pattern} for pattern in PATTERNS),
    ]
    choices: list[dict[str, Any]] = [{"pruner": name} for name in PRUNERS]
    choices += [{"pruner": base, **top_up} for base in BASES for top_up in TOP_UPS]
    return [
        recipe
        for choice in choices
        for shape in shapes
        if (recipe := _recipe({**choice, **shape})) is not None
    ]


def _recipe(fields: dict[str, Any]) -> Recipe | None:
    try:
        return pin(Recipe.build(fields))
    except RecipeError:
        return None


def has_weights(recipe: Recipe) -> bool:
    """Whether a recorded run of this recipe holds its masks."""
    return recipe.pruner in WITH_WEIGHTS and recipe.allocation == "uniform"


def record(directory: Path, *, afresh: bool = False) -> Iterator[tuple[int, int, Recipe]]:
    """Make the directory hold exactly the recorded runs: missing ones are computed, others removed.

    Args:
        afresh: compute those that are there as well.

    Yields:
        Before each run: how many are done, of how many, and its recipe.

    Raises:
        EngineError: a run failed.
    """
    wanted = {recipe.key: recipe for recipe in recipes()}
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name not in wanted or afresh:
            shutil.rmtree(path)
    missing = [recipe for key, recipe in wanted.items() if not (directory / key).exists()]
    with tempfile.TemporaryDirectory() as scratch:
        for done, recipe in enumerate(missing):
            yield done, len(missing), recipe
            _record(
                recipe, RunFolder(Path(scratch) / recipe.key, Path(scratch) / "cache"), directory / recipe.key
            )


def _record(recipe: Recipe, folder: RunFolder, place: Path) -> None:
    """Compute a run and take along what is kept of it."""
    ended = execute(recipe, folder)
    if ended.state != "finished":
        raise EngineError(f"{recipe.title} was to be recorded, but it {ended.state}: {ended.error}")
    place.mkdir()
    for path in (folder.recipe_path, folder.events_path):
        shutil.copyfile(path, place / path.name)
    if has_weights(recipe):
        shutil.copytree(folder.path / "blocks", place / "blocks")
    shutil.rmtree(folder.path)

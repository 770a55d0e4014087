"""The runs that are bundled with the project, so that every page has real results to show immediately.

`FAMILIES` lists them explicitly, all on the bundled model; a method or preset that is added elsewhere is not
recorded until it is added here. A recorded run is its recipe and its events, some 25 kB. Families with
`weights` also store their pruned blocks, so that their models can be inspected and generate text without
being computed. Any other run is computed again in seconds, under the same key.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.jobs.execute import execute
from engine.recipe import Recipe, pin
from engine.store.folder import RunFolder

# Literals: 3 * 0.1 is not 0.3, and the key would be another.
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
N_M = ("2:4", "4:8")


@dataclass(frozen=True)
class Family:
    """Recorded runs that differ only in sparsity.

    Attributes:
        sparsities: of the unstructured runs.
        patterns: of the N:M runs.
        weights: whether the pruned blocks are stored too.
    """

    pruner: str
    allocation: str = "uniform"
    settings: dict[str, Any] = field(default_factory=dict)
    sparsities: tuple[float, ...] = TENTHS
    patterns: tuple[str, ...] = N_M
    weights: bool = False

    def recipes(self) -> list[Recipe]:
        """Return the pinned recipes of these runs."""
        fixed = {"pruner": self.pruner, "allocation": self.allocation, "settings": self.settings}
        amounts: list[dict[str, Any]] = [
            *({"sparsity": sparsity} for sparsity in self.sparsities),
            *({"pattern": pattern} for pattern in self.patterns),
        ]
        return [pin(Recipe.build({**fixed, **amount})) for amount in amounts]


BLOCK_STEP = {"neuroal.step": "block"}

FAMILIES = (
    Family("magnitude", weights=True),
    Family("wanda", weights=True),
    Family("ria"),
    Family("stochria"),
    Family("symwanda"),
    Family("multiflow"),
    Family("sparsegpt"),
    Family("apt-sm"),
    Family("apt-mm", sparsities=()),  # APT's M:M and M:S are defined for N:M patterns only
    Family("apt-ms", sparsities=()),
    Family("wanda-dsnot"),
    Family("ria-r2-dsnot"),
    # An N:M pattern fixes the sparsity of every block, so allocations are unstructured only.
    Family("wanda", "owl", patterns=()),
    Family("wanda", "alphapruning", patterns=()),
    Family("wanda", "neuroal", patterns=()),
    Family("wanda", "neuroal", BLOCK_STEP, patterns=()),
    Family("sparsegpt", "owl", patterns=()),
    Family("sparsegpt", "alphapruning", patterns=()),
    Family("sparsegpt", "neuroal", BLOCK_STEP, patterns=()),  # SparseGPT does not support the row step
)


def recipes() -> dict[str, tuple[Recipe, bool]]:
    """Return by key the pinned recipe of every recorded run, and whether its blocks are stored."""
    return {recipe.key: (recipe, family.weights) for family in FAMILIES for recipe in family.recipes()}


def record(directory: Path, *, afresh: bool = False) -> Iterator[tuple[int, int, Recipe]]:
    """Make the directory hold exactly the recorded runs: compute the missing ones, remove all others.

    Args:
        afresh: compute existing runs again.

    Yields:
        Before each run: how many are done, how many there are to do, and its recipe.

    Raises:
        EngineError: a run failed.
    """
    wanted = recipes()
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name not in wanted or afresh:
            shutil.rmtree(path)
    missing = [key for key in wanted if not (directory / key).exists()]
    # Computed elsewhere, so that an unfinished run never appears in `directory`.
    with tempfile.TemporaryDirectory() as scratch:
        for done, key in enumerate(missing):
            recipe, weights = wanted[key]
            yield done, len(missing), recipe
            # One cache: the runs share their token windows.
            folder = RunFolder(Path(scratch) / key, Path(scratch) / "cache")
            _record(recipe, folder, directory / key, weights=weights)


def _record(recipe: Recipe, folder: RunFolder, target: Path, *, weights: bool) -> None:
    """Compute a run and copy what is recorded of it."""
    ended = execute(recipe, folder)
    if ended.state != "finished":
        raise EngineError(f"{recipe.title} could not be recorded, because it {ended.state}: {ended.error}")
    target.mkdir()
    # Without record.json, which follows from the events.
    for path in (folder.recipe_path, folder.events_path):
        shutil.copyfile(path, target / path.name)
    if weights:
        shutil.copytree(folder.path / "blocks", target / "blocks")
    shutil.rmtree(folder.path)  # frees the disk for the next run

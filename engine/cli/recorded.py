"""The runs that are bundled with the project, so that every page has real results to show immediately.

They are listed explicitly: a method or preset that is added elsewhere is not recorded until it is added here.
`FAMILIES` are on the bundled model. A recorded run is its recipe and its events, some 25 kB. Families with
`weights` also store their pruned blocks, so that their models can be inspected and generate text without
being computed. Any other run is computed again in seconds, under the same key.

`REAL_FAMILIES` are on a real language model, which is not bundled (`engine.recipe.real_model`). Their runs
name its file without the directory, and their events are compressed, because a run of 30 blocks has 100 kB of
them.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.events import Event, Fetching, RunStarted, to_line
from engine.hardware import disk
from engine.models.known_files import SMOLLM2
from engine.recipe import Recipe, pin
from engine.recipe.real_model import PATTERN, SPARSITIES, real_recipe
from engine.store.folder import RunFolder

# Literals: 3 * 0.1 is not 0.3, and the key would be another.
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
N_M = ("2:4", "4:8")


def demo_recipe(**fields: Any) -> Recipe:
    """Return the pinned recipe of a run of the bundled model."""
    return pin(Recipe.build(fields))


@dataclass(frozen=True)
class Family:
    """Recorded runs that differ only in sparsity.

    Attributes:
        group: the comparison group; None for the methods' own.
        sparsities: of the unstructured runs.
        patterns: of the N:M runs.
        weights: whether the pruned blocks are stored too.
        recipe: returns the pinned recipe with some fields.
    """

    pruner: str
    allocation: str = "uniform"
    settings: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    sparsities: tuple[float, ...] = TENTHS
    patterns: tuple[str, ...] = N_M
    weights: bool = False
    recipe: Callable[..., Recipe] = demo_recipe

    def recipes(self) -> list[Recipe]:
        """Return the pinned recipes of these runs."""
        fixed = {
            "pruner": self.pruner,
            "allocation": self.allocation,
            "settings": self.settings,
            "group": self.group,
        }
        amounts: list[dict[str, Any]] = [
            *({"sparsity": sparsity} for sparsity in self.sparsities),
            *({"pattern": pattern} for pattern in self.patterns),
        ]
        return [self.recipe(**fixed, **amount) for amount in amounts]


BLOCK_STEP = {"neuroal.step": "block"}

FAMILIES = (
    Family("magnitude", weights=True),
    Family("wanda", weights=True),
    Family("ria"),
    Family("ria", group="row", patterns=()),  # where R2-DSnoT starts
    Family("stochria"),
    Family("symwanda"),
    Family("symwanda", group="layer", patterns=()),
    Family("multiflow"),
    Family("sparsegpt"),
    Family("apt-sm"),
    Family("apt-mm", sparsities=()),  # APT's M:M and M:S are defined for N:M patterns only
    Family("apt-ms", sparsities=()),
    Family("wanda-dsnot"),
    Family("ria-r2-dsnot"),
    Family("stade"),
    Family("wanda-sparseswaps"),
    Family("wanda-sparseswaps-mrp"),
    Family("admm"),
    Family("thanos"),
    Family("alps"),
    # An N:M pattern fixes the sparsity of every block, so allocations are unstructured only.
    Family("wanda", "owl", patterns=()),
    Family("wanda", "alphapruning", patterns=()),
    Family("wanda", "neuroal", patterns=()),
    Family("wanda", "neuroal", BLOCK_STEP, patterns=()),
    Family("wanda", "evopress", sparsities=(0.5, 0.6, 0.7), patterns=()),
    Family("sparsegpt", "owl", patterns=()),
    Family("sparsegpt", "alphapruning", patterns=()),
    Family("sparsegpt", "neuroal", BLOCK_STEP, patterns=()),  # SparseGPT does not support the row step
)


def _real(pruner: str, allocation: str = "uniform", *, unstructured: bool = True, n_m: bool = True) -> Family:
    return Family(
        pruner,
        allocation,
        sparsities=SPARSITIES if unstructured else (),
        patterns=(PATTERN,) if n_m else (),
        recipe=real_recipe,
    )


REAL_FAMILIES = (
    _real("magnitude"),
    _real("wanda"),
    _real("ria"),
    _real("stochria"),
    _real("symwanda"),
    _real("multiflow"),
    _real("stade"),
    _real("wanda-dsnot"),
    _real("ria-r2-dsnot"),
    _real("sparsegpt"),
    _real("admm"),
    _real("alps"),
    _real("thanos"),
    _real("apt-ms", unstructured=False),
    _real("wanda", "owl", n_m=False),
    _real("wanda", "alphapruning", n_m=False),
    # Last, because each of these runs takes several times as long: the joint update, searches, and swaps.
    _real("apt-mm", unstructured=False),
    _real("apt-sm"),
    _real("wanda", "neuroal", n_m=False),
    _real("wanda-sparseswaps"),
    _real("wanda-sparseswaps-mrp"),
    Family("wanda", "evopress", sparsities=(0.6,), patterns=(), recipe=real_recipe),  # over half an hour
)
EVERY_FAMILY = (*FAMILIES, *REAL_FAMILIES)


def recipes(families: Sequence[Family] = FAMILIES) -> dict[str, tuple[Recipe, bool]]:
    """Return by key the pinned recipe of every recorded run, and whether its blocks are stored."""
    return {recipe.key: (recipe, family.weights) for family in families for recipe in family.recipes()}


def record(
    directory: Path, *, model: str | None = None, afresh: bool = False
) -> Iterator[tuple[int, int, Recipe]]:
    """Compute the recorded runs that are missing in the directory, and remove those that are not listed.

    Args:
        model: the path of the real model's file, to compute its runs; None to compute the bundled model's.
        afresh: compute existing runs again.

    Yields:
        Before each run: how many are done, how many there are to do, and its recipe.

    Raises:
        EngineError: a run failed, or the file is another one.
    """
    wanted = recipes(FAMILIES if model is None else REAL_FAMILIES)
    listed = recipes((*FAMILIES, *REAL_FAMILIES))
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name not in listed or (afresh and path.name in wanted):
            shutil.rmtree(path)
    missing = [key for key in wanted if not (directory / key).exists()]
    # Computed elsewhere, so that an unfinished run never appears in `directory`.
    with tempfile.TemporaryDirectory() as scratch:
        for done, key in enumerate(missing):
            recipe, weights = wanted[key]
            yield done, len(missing), recipe
            here = recipe if model is None else _with_file(recipe, model)
            # One cache: the runs share their token windows.
            folder = RunFolder(Path(scratch) / here.key, Path(scratch) / "cache")
            _compute(here, folder)
            if model is None:
                _publish(folder, directory / key, weights=weights)
            else:
                _publish_portable(folder, recipe, directory / key)
            shutil.rmtree(folder.path)  # frees the disk for the next run


def _with_file(recipe: Recipe, path: str) -> Recipe:
    """Return the recipe with the path of its model's file on this machine."""
    here = pin(recipe.model_copy(update={"model": path, "revision": None}))
    if here.revision != recipe.revision:
        raise EngineError(
            f"The bundled runs are of {SMOLLM2.name}, but {path} is another file. To get the right one, "
            f"{SMOLLM2.advice}."
        )
    return here


def _compute(recipe: Recipe, folder: RunFolder) -> None:
    from engine.jobs.execute import execute  # imports the model library

    ended = execute(recipe, folder)
    if ended.state != "finished":
        raise EngineError(f"{recipe.title} could not be recorded, because it {ended.state}: {ended.error}")


def _publish(folder: RunFolder, target: Path, *, weights: bool) -> None:
    """Copy what is recorded of a finished run."""
    target.mkdir()
    # Without record.json, which follows from the events.
    for path in (folder.recipe_path, folder.events_path):
        shutil.copyfile(path, target / path.name)
    if weights:
        shutil.copytree(folder.path / "blocks", target / "blocks")


def _publish_portable(folder: RunFolder, recipe: Recipe, target: Path) -> None:
    """Write what is recorded of a finished run under a recipe that names its model without a directory."""
    path = folder.recipe().model
    # What the machine had to download or unpack first is no part of the result.
    lines = [_line(event, recipe, path) for event in folder.events() if not isinstance(event, Fetching)]
    # Without a time, so that the same events give the same file.
    packed = gzip.compress(b"".join(line.encode() + b"\n" for line in lines), mtime=0)
    with disk.new_directory(target) as new:
        (new / folder.recipe_path.name).write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
        (new / RunFolder.PACKED_EVENTS).write_bytes(packed)
    RunFolder(target, recorded=True).checked_record()


def _line(event: Event, recipe: Recipe, path: str) -> str:
    """Return an event as a line of JSON, with the recipe's name of the model in place of its path."""
    if isinstance(event, RunStarted):
        event = event.model_copy(update={"key": recipe.key, "recipe": recipe.model_dump(mode="json")})
    # Quoted as it is in JSON, where backslashes are doubled.
    return to_line(event).replace(json.dumps(path)[1:-1], recipe.model)

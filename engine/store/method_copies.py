"""Copies of method files in the store, `HOME/methods/DIGEST.py`: what a run was started with.

The worker that computes a run, here or on another machine, loads the content that the run was started with
from there. So a waiting or interrupted run has the methods that it was queued with, whatever happens to the
file meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import MethodError
from engine.hardware import disk
from engine.pruning.axes import AXES
from engine.pruning.method_files import loading as method_files
from engine.recipe import Recipe
from engine.registry import Origin
from engine.store import atomic_files


def keep_copies(home: Path, recipe: Recipe) -> None:
    """Copy the method files of a pinned recipe into the store, unless they are there.

    Raises:
        StoreError: the disk refuses.
    """
    for origin in recipe.origins.values():
        path, source = _path(home, origin), method_files.source_of(origin.digest)
        if source is not None and not path.is_file():
            with atomic_files.store_errors(path):
                disk.make_private(path.parent)
            atomic_files.write(path, source)


def load_copies(home: Path, recipe: Recipe) -> None:
    """Load the methods of a pinned recipe that come from method files, with the content that it names.

    Raises:
        MethodError: a copy is missing, damaged, or cannot be run here.
    """
    for axis, origin in recipe.origins.items():
        if AXES[axis].has_version(getattr(recipe, axis), origin.digest):
            continue
        try:
            source = _path(home, origin).read_bytes()
        except OSError as error:
            raise MethodError(
                f"The run needs the method file {origin}, of which {home} has no copy. Load that file, with "
                "the content that it had, and try again."
            ) from error
        method_files.load_version(origin, source)


def _path(home: Path, origin: Origin) -> Path:
    # The digest of an imported run may hold anything.
    name = origin.digest if origin.digest.isalnum() else "unknown"
    return home / "methods" / f"{name}.py"

"""What a method file may add: methods of known kinds whose names no other method has, in a single file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import MethodError
from engine.pruning.axes import (
    ALLOCATIONS,
    AXES,
    REFINEMENTS,
    SCORES,
    UPDATES,
    Allocation,
    Refinement,
    Score,
    Update,
)
from engine.pruning.method_files.guard import failure, guarded
from engine.pruning.method_files.running import Added
from engine.pruning.presets import PRESETS, Preset
from engine.pruning.recommendations import RECOMMENDATIONS
from engine.registry import Method, Origin, Registry

NAME = re.compile(r"[a-z][a-z0-9_-]*")
"""A name of a method: without the dot and the comma, which `--set` and lists of names use."""
CLASSES: dict[str, tuple[Registry[Any], type[Method]]] = {
    "score": (SCORES, Score),
    "allocation": (ALLOCATIONS, Allocation),
    "update": (UPDATES, Update),
    "refinement": (REFINEMENTS, Refinement),
    "pruner": (PRESETS, Preset),
}


def checked(origin: Origin, found: Added) -> Added:
    """Return what a file adds, with its origin, with functions that report errors in sentences, and with a
    pruner for each method that no pruner of the file chooses, so that sweeps can name it.

    Raises:
        MethodError: it adds nothing, or something that cannot be offered.
    """
    added = [(registry, _checked(origin, registry, method)) for registry, method in found]
    if not added:
        raise MethodError(
            f"The method file {origin.path} adds no method. Add one in it, for instance with "
            "SCORES.add(Score(...))."
        )
    _refuse_repetition(origin, added)
    return [*added, *((PRESETS, preset) for preset in _presets_of(origin, added))]


def _checked(origin: Origin, registry: Registry[Any], method: Method) -> Method:
    """Return a method with its origin, if it can be offered."""
    wanted = CLASSES.get(registry.axis)
    what = f"The method file {origin.path} adds the {registry.axis} {method.name!r}"
    if wanted is None or registry is not wanted[0] or not isinstance(method, wanted[1]):
        kind = "no axis" if wanted is None else f"a {wanted[1].__name__}"
        raise MethodError(f"{what}, which takes {kind}, not a {type(method).__name__}. Correct the file.")
    if not NAME.fullmatch(str(method.name)):
        raise MethodError(
            f"{what}, but a name consists of lower-case letters, digits, - and _, and begins with a letter. "
            "Rename it."
        )
    for parameter in method.parameters:
        if fault := parameter.fault(parameter.default):
            raise MethodError(
                f"{what}, whose parameter {parameter.name} has an invalid default: {fault}. Correct it."
            )
    if method.uses_seed and method.parameter("seed") is None:
        raise MethodError(f"{what}, which uses a seed but has no parameter seed. Add one.")
    return guarded(method, registry.axis, origin)


def _refuse_repetition(origin: Origin, added: Added) -> None:
    seen = set()
    for registry, method in added:
        # A preset may have the name of its score, but a setting `name.parameter` must mean one method.
        place = (registry is PRESETS, method.name)
        if place in seen:
            raise MethodError(
                f"The method file {origin.path} adds {method.name!r} twice. Rename one of them."
            )
        seen.add(place)


def refuse_names(origin: Origin, added: Added, *, of_files: bool = True) -> None:
    """Refuse names that other methods have, on any axis: a setting `name.parameter` must mean one method.

    Args:
        of_files: whether names of other method files are refused as well.

    Raises:
        MethodError: there is one.
    """
    for registry, method in added:
        _refuse_name(origin, registry, method, of_files)


def _refuse_name(origin: Origin, registry: Registry[Any], method: Method, of_files: bool) -> None:
    rivals: list[Registry[Any]] = [PRESETS, RECOMMENDATIONS] if registry is PRESETS else list(AXES.values())
    for rival in rivals:
        other: Method | None = rival.get(method.name)
        if other is None:
            continue
        if other.origin is None or (of_files and other.origin.path != origin.path):
            owner = "a built-in method" if other.origin is None else f"one of {other.origin}"
            raise MethodError(
                f"The method file {origin.path} adds the {registry.axis} {method.name!r}, but {owner} has "
                "this name. Rename it."
            )


def refuse_neighbours(origin: Origin, source: bytes) -> None:
    """Refuse imports of files next to a method file: its digest would not cover them.

    Raises:
        MethodError: there is one, or the file is not Python.
    """
    try:
        tree = ast.parse(source, origin.path)
    except Exception as error:
        raise failure("could not be loaded", origin, error) from error
    directory = Path(origin.path).parent
    for name in sorted(_imported(tree) - {"engine", "prunescope"}):
        found = next(
            (path for path in (f"{name}.py", f"{name}/__init__.py") if (directory / path).is_file()), ""
        )
        if found and directory / found != Path(origin.path):
            raise MethodError(
                f"The method file {origin.path} imports {found}, whose content its digest would not cover. "
                "Put everything into one file, or install what it imports as a package."
            )


def _imported(tree: ast.Module) -> set[str]:
    """Return the first part of the name of everything that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _presets_of(origin: Origin, added: Added) -> Iterator[Preset]:
    """Yield a pruner for each method that no pruner of the file chooses."""
    own = [method for _, method in added if isinstance(method, Preset)]
    chosen = {choice for preset in own for choice in preset.choices.values()}
    for registry, method in added:
        if registry is ALLOCATIONS or registry is PRESETS or method.name in chosen:
            continue
        on_wanda = registry is not SCORES
        choices: dict[str, Any] = {"score": "wanda", registry.axis: method.name}
        yield Preset(
            name=method.name,
            title=f"Wanda + {method.title}" if on_wanda else method.title,
            explanation=method.explanation,
            helps=method.helps,
            paper=method.paper,
            origin=origin,
            pattern="2:4" if isinstance(method, Score) and method.joint else None,
            **choices,
        )

"""Checking the methods of a method file: each law, on the choices of the other axes that go with a method.

Layers of a few hundred weights take a few seconds per method; then the bundled model is pruned with two short
windows, in memory and block by block from the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from engine.errors import MethodError, PrunescopeError, RecipeError
from engine.events import Allocated, Failed, ModelLoaded
from engine.laws.laws import LAWS, Broken, Shape, require
from engine.pruning.axes import Score
from engine.pruning.method_files.loading import MethodFile
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from engine.pruning.weights import BlockWeights
from engine.recipe import Recipe, pin
from engine.registry import Method
from engine.run import run
from engine.run_cache import MODELS

SHAPES: tuple[Shape, ...] = (*(("unstructured", group) for group in Group), ("2:4", None), ("1:4", None))
PARTNERS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "score": ({"update": "none"}, {"update": "obs"}, {"refinement": "dsnot"}),
    "update": ({"score": "wanda"}, {"score": "sparsegpt"}, {"refinement": "dsnot"}),
    "refinement": ({"score": "wanda"}, {"score": "magnitude"}, {"update": "obs"}),
}
"""By axis, the choices on other axes that a method is tried with."""
SHORT = {"samples": 2, "length": 16, "evaluation": None}
ALIKE = "a model in memory and one read block by block are pruned alike"
MEAN = "the mean of the sparsities is the target, the same each time"
TARGETS = (0.1, 0.5, 0.9)
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verdict:
    """Whether a method keeps a law.

    Attributes:
        broken: what is wrong, with the numbers; empty if it keeps the law.
    """

    axis: str
    method: Method
    law: str
    broken: str = ""


def check(file: MethodFile) -> Iterator[Verdict]:
    """Yield a verdict for each method of a file and each law that applies to its axis."""
    with TemporaryDirectory() as cache:  # of what the runs share, such as the windows
        for axis, method in file.methods:
            if axis in PARTNERS:
                plans = _plans(axis, method)
                for law, holds in LAWS.items():
                    yield Verdict(axis, method, law, _first_fault(holds, plans))
            if axis == "allocation":
                yield Verdict(axis, method, MEAN, _fault(_require_mean, method, Path(cache)))
            if axis != "pruner":
                yield Verdict(axis, method, ALIKE, _fault(_require_alike, axis, method, Path(cache)))


def _plans(axis: str, method: Method) -> list[tuple[str, Plan, Shape]]:
    """Return the plans that a recipe accepts, with their names and shapes.

    Raises:
        MethodError: there is none.
    """
    found = []
    for partner in PARTNERS[axis]:
        for pattern, group in SHAPES:
            choices: dict[str, Any] = {"score": "wanda", **partner, axis: method.name}
            try:
                Recipe.build({**choices, "pattern": pattern, "group": group})
            except RecipeError:
                continue
            plan = Plan.of(**choices, pattern=pattern, group=group)
            label = " ".join([*(name for name in choices.values() if name != "none"), group or pattern])
            found.append((label, plan, (pattern, group)))
    if not found:
        raise MethodError(f"No recipe accepts the {axis} {method.name}. Change what it declares.")
    return found


def _first_fault(law: Any, plans: list[tuple[str, Plan, Shape]]) -> str:
    for label, plan, shape in plans:
        if fault := _fault(law, plan, shape):
            return f"{label}: {fault}"
    return ""


@torch.no_grad()
def _fault(law: Any, *arguments: Any) -> str:
    """Return what is wrong, empty if nothing is."""
    try:
        law(*arguments)
    except (Broken, PrunescopeError) as error:
        return str(error)
    return ""


def _require_mean(method: Method, cache: Path) -> None:
    for target in TARGETS:
        sizes, shares = _shares(method, target, cache)
        most = max(shares)
        require(min(shares) >= 0 and most <= 1, f"at {target} sparsities go from {min(shares)} to {most}")
        mean = sum(share * size for share, size in zip(shares, sizes, strict=True)) / sum(sizes)
        require(isclose(mean, target, abs_tol=TOLERANCE), f"at {target} the mean is {mean:.6g}")
    again = _shares(method, TARGETS[-1], cache)[1]
    require(shares == again, f"at {target} the sparsities are others the second time")


def _shares(method: Method, target: float, cache: Path) -> tuple[list[int], tuple[float, ...]]:
    """Return the weights and the sparsity of each block of the bundled model."""
    recipe = pin(Recipe.build({**SHORT, "allocation": method.name, "sparsity": target}))
    sizes: list[int] = []
    for event in run(recipe, {}, cache, MODELS):
        if isinstance(event, ModelLoaded):
            sizes = [sum(shape.rows * shape.columns for shape in block) for block in event.linears]
        if isinstance(event, Allocated):
            return sizes, event.ratios
        if isinstance(event, Failed):
            raise Broken(event.message)
    raise Broken("the run ends without an allocation")


def _require_alike(axis: str, method: Method, cache: Path) -> None:
    resident, streamed = (_weights(axis, method, residence, cache) for residence in ("resident", "streamed"))
    for index, block in resident.items():
        for name, linear in block.items():
            other = streamed[index][name]
            differing = int((linear.keep != other.keep).sum())
            require(not differing, f"{differing} entries of the mask of {name} in block {index} differ")


def _weights(axis: str, method: Method, residence: str, cache: Path) -> dict[int, BlockWeights]:
    """Return the pruned blocks of the bundled model."""
    joint = {"pattern": "2:4"} if isinstance(method, Score) and method.joint else {}
    blocks: dict[int, BlockWeights] = {}
    recipe = pin(Recipe.build({**SHORT, **joint, axis: method.name, "residence": residence}))
    for event in run(recipe, blocks, cache, MODELS):
        if isinstance(event, Failed):
            raise Broken(event.message)
    return blocks

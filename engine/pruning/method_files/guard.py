"""Methods of a method file, whose functions may fail in any way: an error becomes a sentence that names the
file and the line, and a result of the wrong shape is refused before it can do harm.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import fields, replace
from functools import wraps
from pathlib import PurePath
from traceback import walk_tb
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from engine.errors import MethodError, PrunescopeError
from engine.hardware.memory_plan import is_out_of_memory
from engine.pruning.axes import Refined, Shares, Updated
from engine.registry import Method, Origin

if TYPE_CHECKING:
    from torch import Tensor


M = TypeVar("M", bound=Method)


def guarded(method: M, axis: str, origin: Origin) -> M:
    """Return a method of a file with its origin, all of whose functions report errors in sentences."""
    name = f"The {axis} {method.name}"
    functions: dict[str, Any] = {
        item.name: _reporting(value, f"{name} failed", origin)
        for item in fields(method)
        if callable(value := getattr(method, item.name))
    }
    if check := CHECKS.get(axis):
        functions["function"] = _with_check(functions["function"], check, name, origin)
    return replace(method, origin=origin, **functions)


def failure(what: str, origin: Origin, error: BaseException) -> MethodError:
    """Return the error that says what happened in a file, and in which line.

    Args:
        what: for instance `The score power failed`, or `could not be loaded`, said of the file.
    """
    line = getattr(error, "lineno", None) if getattr(error, "filename", None) == origin.path else None
    frames = [frame for frame in walk_tb(error.__traceback__) if frame[0].f_code.co_filename == origin.path]
    line = frames[-1][1] if frames else line
    where = f"line {line}: " if line else ""
    reason = str(getattr(error, "msg", None) or error).splitlines()
    said = f"{where}{type(error).__name__}{f': {reason[0]}' if reason else ''}"
    if what[0].isupper():
        return MethodError(
            f"{what} in {PurePath(origin.path).name}, {said}. Correct the file, and try again."
        )
    return MethodError(f"The method file {origin.path} {what}: {said}. Correct the file.")


def _reporting(function: Callable[..., Any], what: str, origin: Origin) -> Callable[..., Any]:
    """Return a function, or a generator function, whose errors are sentences."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if _is_ours(error):
                raise
            raise failure(what, origin, error) from error
        return _steps(result) if isinstance(result, GeneratorType) else result

    def _steps(generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            return (yield from generator)
        except Exception as error:
            if _is_ours(error):
                raise
            raise failure(what, origin, error) from error

    return call


def _is_ours(error: Exception) -> bool:
    """Whether the engine handles an error itself, and says what it means."""
    return isinstance(error, PrunescopeError) or is_out_of_memory(error)


Check = Callable[..., str | None]
"""Receives the function's result and arguments, and returns what is wrong with it, None if it is right."""


def _with_check(function: Callable[..., Any], check: Check, name: str, origin: Origin) -> Callable[..., Any]:
    """Return a function that refuses a wrong result of its own."""

    def refuse(result: Any, *args: Any, **kwargs: Any) -> Any:
        if wrong := check(result, *args, **kwargs):
            raise MethodError(f"{name} in {PurePath(origin.path).name} returns {wrong}. Correct the file.")
        return result

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return _end(result, *args) if isinstance(result, GeneratorType) else refuse(result, *args, **kwargs)

    def _end(generator: Generator[Any, Any, Any], *args: Any) -> Generator[Any, Any, Any]:
        return refuse((yield from generator), *args)

    return call


def _score(result: Any, weight: Tensor, statistics: Any, **parameters: Any) -> str | None:
    if not isinstance(result, torch.Tensor):
        return f"a {type(result).__name__}, not a tensor of scores"
    if result.shape != weight.shape and "m" not in parameters:
        return f"scores of shape {list(result.shape)} for weights of shape {list(weight.shape)}"
    if result.isnan().any():
        return f"{int(result.isnan().sum())} scores that are not numbers"
    return None


def _update(result: Any, weight: Tensor, *args: Any, **parameters: Any) -> str | None:
    if not isinstance(result, Updated):
        return f"a {type(result).__name__}, not an Updated"
    if result.weight.shape != weight.shape or result.keep.shape != weight.shape:
        return f"a weight or mask that is not of the shape {list(weight.shape)}"
    if result.weight[~result.keep].any():
        return "a weight that is not 0 where its mask removes it"
    return None


def _refinement(result: Any, keep: Tensor, *args: Any, **parameters: Any) -> str | None:
    if not isinstance(result, Refined):
        return f"a {type(result).__name__}, not a Refined"
    if result.keep.shape != keep.shape or result.keep.dtype != torch.bool:
        return f"a mask that is not boolean and of the shape {list(keep.shape)}"
    if not torch.equal(result.keep.sum(1), keep.sum(1)):
        return "a mask that keeps more or fewer weights of a row than before"
    return None


def _allocation(result: Any, context: Any, *args: Any) -> str | None:
    if not isinstance(result, Shares):
        return f"a {type(result).__name__}, not Shares"
    blocks, total = result.blocks, sum(context.sizes)
    if len(blocks) != len(context.sizes):
        return f"{len(blocks)} sparsities for {len(context.sizes)} blocks"
    if not all(0 <= share <= 1 for share in blocks):
        return f"sparsities from {min(blocks):.4g} to {max(blocks):.4g}, outside 0 to 1"
    mean = sum(share * size for share, size in zip(blocks, context.sizes, strict=True)) / total
    if not (result.rows or result.linears) and abs(mean - context.target) > MEAN_TOLERANCE:
        return f"sparsities whose mean is {mean:.6g}, but the target is {context.target:.6g}"
    return None


MEAN_TOLERANCE = 1e-6
CHECKS: dict[str, Check] = {
    "score": _score,
    "update": _update,
    "refinement": _refinement,
    "allocation": _allocation,
}

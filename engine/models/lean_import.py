"""Importing the part of transformers that builds models without what it brings along for other purposes.

That part imports torch's compiler, torch's distributed tensors and scipy's optimisers, for serving and
training. Nothing here uses them, and they take 1.5 of the 4 seconds of processor time of the import.

Only for processes that do nothing else, such as workers and the command line: afterwards transformers behaves
as if the latter two were not installed, so it cannot distribute a model or train an object detector. torch
can compile as usual.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
UNUSED = ("is_torch_distributed_available", "is_scipy_available")
"""How transformers asks for what it would import."""
BUILDING = ("transformers.modeling_layers", "transformers.masking_utils", "transformers.generation.utils")


def import_library() -> None:
    """Import what builds a model, unless the process has done so already. No other thread may import torch's
    compiler meanwhile.
    """
    if {COMPILER, "transformers.modeling_utils"} & sys.modules.keys():
        return
    with _without_compiler():
        with _without_unused():
            for name in BUILDING:
                importlib.import_module(name)
        _build_bundled_model()


def _build_bundled_model() -> None:
    """Build the bundled model without its weights. Its code is then imported; and the functions of torch that
    would import the compiler when they are first called on the meta device have been called.
    """
    from engine.models.identity import DEMO_DIRECTORY
    from engine.models.loading import build_skeleton, read_config

    build_skeleton(read_config(DEMO_DIRECTORY), DEMO_DIRECTORY.name)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Put a module in the place of torch's compiler with only the decorators of what is not compiled."""
    spec = find_spec(COMPILER)
    stub: Any = ModuleType(COMPILER)
    stub.allow_in_graph = stub.assume_constant_result = stub.disable = _decorate
    # One module of the package is needed, and does not need the rest.
    stub.__path__ = list(spec.submodule_search_locations or ()) if spec else []
    sys.modules[COMPILER] = stub
    try:
        yield
    finally:
        del sys.modules[COMPILER]


def _decorate(function: Callable[..., Any] | None = None, *_: object, **options: object) -> Any:
    """Return the function as it is, or a decorator that does so."""
    return _decorate if function is None else function


@contextmanager
def _without_unused() -> Iterator[None]:
    """Have transformers believe that the unused libraries are not installed while the `with` lasts."""
    from transformers import utils
    from transformers.utils import import_utils

    asked = [(module, name, getattr(module, name)) for module in (utils, import_utils) for name in UNUSED]
    for module, name, _ in asked:
        setattr(module, name, lambda: False)
    try:
        yield
    finally:
        for module, name, function in asked:
            setattr(module, name, function)

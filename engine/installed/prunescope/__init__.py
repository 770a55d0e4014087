"""Prunescope in notebooks and scripts: `from prunescope import Recipe, Store, pin, run`.

This package exists only when Prunescope is installed; it then also contains `app.py`, `engine`, `pages` and
`assets`. Modules keep the names `engine.x` and `pages.x`, because an app and its workers exchange pickles
that contain them. So the package adds its directory to the module search path, which multiprocessing hands on
to child processes; at the end, so that it hides no module of the user's.

Importing it is fast: what it offers is imported when it is first used.
"""

from __future__ import annotations

import filecmp
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# In an editable installation, this file stays deep in the checkout.
ROOT = next(folder for folder in Path(__file__).parents if (folder / "app.py").is_file())
MODULES = {
    "Recipe": "engine.recipe",
    "pin": "engine.recipe",
    "run": "engine.run",
    "Store": "engine.store.runs",
    "load_methods": "engine.pruning.method_files.loading",
}

__all__ = ["Recipe", "Store", "load_methods", "pin", "run"]

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


def __getattr__(name: str) -> Any:
    """Import what is first used.

    Raises:
        ImportError: another module is named `engine`.
    """
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _require_own_engine()
    return getattr(importlib.import_module(MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *MODULES]


def _require_own_engine() -> None:
    """Check that `import engine` finds this Prunescope's, or that of a checkout of the same version."""
    spec = find_spec("engine")
    found = spec.origin if spec else None
    if found is None or not filecmp.cmp(found, ROOT / "engine" / "__init__.py", shallow=False):
        raise ImportError(
            f"Prunescope needs the module name engine, but Python finds another module with it, {found}. "
            "Rename that module, or start Python in another directory."
        )

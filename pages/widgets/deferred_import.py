"""Importing a module when it is first used.

The registry of methods imports torch, which takes as long as all other imports of the first page together and
which no page needs until it computes something.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_lock = threading.Lock()


class Deferred(ModuleType):
    """Stands for a module, which is imported when an attribute of it is used, also by `from NAME import`."""

    def __getattr__(self, attribute: str) -> Any:
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        # A thread that comes while another one is importing the module waits for it here.
        return getattr(importlib.import_module(self.__name__), attribute)


def defer(name: str) -> None:
    """Have the process import a module when it is first used, unless it has been imported already.

    Modules that import it afterwards keep the object that stands for it.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or name in sys.modules:
        return
    sys.modules[name] = module = Deferred(name)
    # What is looked at without using the module: by `find_spec`, and by `inspect` in all modules.
    module.__spec__, module.__file__ = spec, spec.origin

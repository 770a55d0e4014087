"""Running a method file: once, from memory, in a thread that can be given up."""

from __future__ import annotations

import ctypes
import sys
import threading
from functools import partial
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import FrameType
from typing import Any

from engine.errors import MethodError
from engine.pruning.method_files.guard import failure
from engine.registry import Method, Origin, Registry, collecting

PATIENCE = 30.0
"""Seconds that a file may take to be run, which includes its imports."""

Added = list[tuple[Registry[Any], Method]]
"""What a file adds, and to which registry."""


def run_file(origin: Origin, source: bytes) -> Added:
    """Run a file, and return what it adds, in order.

    Raises:
        MethodError: it fails, or does not end.
    """
    found: Added = []
    ended: list[BaseException | None] = []
    thread = threading.Thread(
        target=_execute, args=(origin, source, found, ended), name=f"load {origin}", daemon=True
    )
    thread.start()
    thread.join(PATIENCE)
    if not ended:
        raise MethodError(_stop(origin, thread))
    if ended[0] is not None:
        raise failure("could not be loaded", origin, ended[0]) from ended[0]
    return found


class _Source(SourceLoader):
    """Makes a module of a source in memory. It stores no bytecode, which would survive quick edits."""

    def __init__(self, origin: Origin, source: bytes) -> None:
        self._origin, self._source = origin, source

    def get_filename(self, fullname: str) -> str:
        return self._origin.path

    def get_data(self, path: str | bytes) -> bytes:
        return self._source


def _execute(origin: Origin, source: bytes, found: Added, ended: list[BaseException | None]) -> None:
    """Run a file in this thread, append what it adds to `found`, and at the end its error or None."""
    name = f"prunescope_methods_{origin.digest}"
    loader = _Source(origin, source)
    spec = ModuleSpec(name, loader, origin=origin.path)
    spec.has_location = True
    module = module_from_spec(spec)
    module.__dict__["print"] = partial(print, file=sys.stderr)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        with collecting() as added:
            loader.exec_module(module)
    except BaseException as error:  # also SystemExit, which would end the thread without a word
        del sys.modules[name]
        ended.append(error)
        return
    found += added
    ended.append(None)


def _stop(origin: Origin, thread: threading.Thread) -> str:
    """End the thread that runs a file, and return where it was."""
    frame = sys._current_frames().get(thread.ident or 0)
    line = _line_in(frame, origin)
    # Ends a loop in Python; what waits elsewhere ends with this process, as the thread is a daemon.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )
    where = f", where it was in line {line}" if line else ""
    return (
        f"The method file {origin.path} had not been run to its end after {PATIENCE:g} s{where}, so it was "
        "stopped. A method file only defines methods and adds them; move computations into their functions."
    )


def _line_in(frame: FrameType | None, origin: Origin) -> int | None:
    """Return the line of the file in which a thread is, or None."""
    while frame is not None and frame.f_code.co_filename != origin.path:
        frame = frame.f_back
    return frame.f_lineno if frame else None

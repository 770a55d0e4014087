"""The background engine of a process without a server: it answers questions itself instead of a worker, one
after the other, and computes no runs. It takes over nothing that an app has left, and deletes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, TypeVarTuple

from engine.errors import EngineError
from engine.jobs import worker
from engine.jobs.questions import Answer
from engine.jobs.service import BackgroundEngine

Value = TypeVar("Value")
Args = TypeVarTuple("Args")


class InProcessEngine(BackgroundEngine):
    """Reads the user's store with the user's rights, also where an app would be public."""

    def __init__(self) -> None:
        super().__init__()
        self.public = None

    def start(self) -> None:
        """Refuse to compute runs.

        Raises:
            EngineError: always.
        """
        raise EngineError("This process computes no runs. Use the app, or the command prune.")

    def _ask(
        self,
        function: Callable[[*Args], Value],
        *args: *Args,
        version: Hashable = None,
        quick: bool = False,
    ) -> Answer[Value]:
        """Answer at once; see `Inquiries._ask`."""
        return worker.call(function, *args)

"""What blocks change among the arguments of their calls: caches, dictionaries and lists that are passed on
from block to block.

A recorded call holds these objects as they were before the first block, because the blocks were stubbed out.
Recorded calls serve many passes, so no pass may touch them: each stream has its own copies, one `State` per
batch. An object that several blocks of a batch receive is one object in the state, too. Models without such
arguments, which are most, have an empty state, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from engine.models.block import Call

if TYPE_CHECKING:
    pass

READ_ONLY = (type(None), bool, int, float, complex, str, bytes, slice, range)
"""Classes of arguments that a block only reads, besides those of torch. A tuple changes if one of its items
does.
"""


@dataclass(frozen=True)
class State:
    """The arguments of one batch that blocks change, as they are between two blocks.

    Attributes:
        objects: a copy of each recorded object, by the recorded one's `id`. The calls keep the recorded ones
            alive, so their ids stay unique.
    """

    objects: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def recorded(cls, calls: Iterable[Call]) -> State:
        """Return the state before the first block: the recorded objects themselves, to be copied."""
        arguments = ((*call.args, *call.kwargs.values()) for call in calls)
        return cls({id(value): value for values in arguments for value in _changing(values)})

    def __bool__(self) -> bool:
        return bool(self.objects)

    def copy(self) -> State:
        """Return a state that shares nothing with this one; tensors in it are copied, too."""
        # In one go, so that an object which two others contain is copied once.
        return State(deepcopy(self.objects)) if self else self

    def call(self, recorded: Call) -> Call:
        """Return a recorded call with this state's objects in place of the recorded ones."""
        if not self:
            return recorded
        kwargs = {name: self._replaced(value) for name, value in recorded.kwargs.items()}
        return Call(self._replaced(recorded.args), kwargs)

    def _replaced(self, value: Any) -> Any:
        if id(value) in self.objects:
            return self.objects[id(value)]
        if type(value) is tuple:
            return tuple(map(self._replaced, value))
        return value


def fresh(call: Call) -> Call:
    """Return a call whose changing arguments are copies, for one more pass with the given ones."""
    return State.recorded([call]).copy().call(call)


def _changing(value: Any) -> Iterator[Any]:
    """Yield the outermost objects in an argument that a block may change."""
    if type(value) is tuple:
        for item in value:
            yield from _changing(item)
    # Modules and functions are callable, and only used. Other tuples (named ones) are copied whole.
    elif not _is_only_read(value) and not callable(value) and not _is_plain(value):
        yield value


def _is_only_read(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, torch.dtype, torch.device, *READ_ONLY))


def _is_plain(value: Any) -> bool:
    return isinstance(value, tuple | frozenset) and not any(True for item in value for _ in _changing(item))

"""Whether a model can be pruned block by block. One that cannot is rejected when it is loaded.

Pruning replays the blocks one at a time. That equals the model's own forward pass only if hidden states
`[windows, tokens, width]` pass through all blocks, once each and in their order; if nothing else changes them
on the way, or reads them before the last block; and if no other argument of a block depends on other blocks.
This is tested on a few tokens, with stand-ins in place of the blocks that permute the features. So it costs
about as much as embedding those tokens, and a model that is streamed is not read. Does not cover the inside
of a block, which is the same code either way, or what a block writes into its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine.errors import ModelError, PrunescopeError
from engine.hardware.memory_plan import is_out_of_memory
from engine.hub.failures import first_words
from engine.models.block import Call
from engine.models.language_model import LanguageModel
from engine.models.stubs import UnsuitableError, differ

WINDOWS, TOKENS = 3, 8  # different, so that the axes of the hidden states can be told apart
ROUNDING = 1e-4


@torch.no_grad()
def require_suitable(model: LanguageModel, name: str) -> None:
    """Test that a model can be pruned block by block; `name` is what the error message calls it.

    Raises:
        ModelError: it cannot.
    """
    with computing(model, name, TOKENS):
        _test(model)


@contextmanager
def computing(model: LanguageModel, name: str, tokens: int) -> Iterator[None]:
    """Turn what a model's own code raises in the `with` into a sentence.

    Args:
        name: what the error message calls the model.
        tokens: the length of the windows that pass through it.

    Raises:
        ModelError: it raised something.
    """
    try:
        yield
    except PrunescopeError:  # a damaged file, for instance
        raise
    except Exception as error:  # of many types
        if is_out_of_memory(error):
            raise
        if isinstance(error, UnsuitableError):
            reason, remedy = str(error), "Choose another model."
        else:
            reason = f"it fails on {tokens} tokens ({type(error).__name__}: {first_words(error, 150)})"
            remedy = (
                "Choose another model, or shorter windows." if tokens > TOKENS else "Choose another model."
            )
        raise ModelError(
            f"The model {name} ({type(model.module).__name__}) cannot be pruned block by block: {reason}. "
            f"{remedy}"
        ) from error


def _test(model: LanguageModel) -> None:
    ids = torch.arange(WINDOWS * TOKENS, device=model.device).view(WINDOWS, TOKENS) % model.vocabulary
    stand_ins = _StandIns(len(model.blocks))
    # A tensor, so that it shows if a block is given what an earlier one returned besides the hidden states.
    with model.stubbed(stand_ins, filler=torch.ones(1, device=model.device)):
        own = model.forward(ids)
    if len(stand_ins.calls) < len(model.blocks):
        raise UnsuitableError(f"it does not call its block {len(stand_ins.calls)}")
    # The stubs of `record` pass their inputs on unchanged.
    recorded = model.record(ids, WINDOWS)
    for index, call in enumerate(stand_ins.calls):
        if different := _difference(call, recorded.calls[index][0]):
            raise UnsuitableError(
                f"the argument {different} of its block {index} depends on the blocks before it"
            )
    if differ(model.logits(stand_ins.hidden, ids), own, ROUNDING):
        raise UnsuitableError("its predictions depend on more than the output of its last block")


class _StandIns:
    """Takes the place of all blocks in one pass, and checks what they are given.

    Attributes:
        calls: the other arguments of each block.
        hidden: what the last block passed on.
    """

    def __init__(self, blocks: int) -> None:
        self.calls: list[Call] = []
        self.hidden = torch.empty(0)
        self._blocks = blocks

    def __call__(self, index: int, given: tuple[Tensor, Call]) -> Tensor:
        hidden, call = given
        called = len(self.calls)
        if index != called:
            raise UnsuitableError(
                f"its {self._blocks} blocks are not called in their order: call {called} is of block {index}"
            )
        if hidden.ndim != 3 or hidden.shape[:2] != (WINDOWS, TOKENS):
            raise UnsuitableError(
                f"for {WINDOWS} windows of {TOKENS} tokens its blocks are given {list(hidden.shape)}, "
                "not [windows, tokens, width]"
            )
        if called and differ(hidden, self.hidden, ROUNDING):
            raise UnsuitableError(f"it changes the hidden states between its blocks {index - 1} and {index}")
        self.calls.append(call)
        self.hidden = hidden.roll(1, dims=-1)
        return self.hidden


def _difference(one: Call, other: Call) -> str:
    """Return the name of the first argument whose tensors differ, empty if there is none."""
    pairs = [(str(place), pair) for place, pair in enumerate(zip(one.args, other.args, strict=True), 1)]
    # with the head, some classes pass on an argument more
    pairs += [(f"`{key}`", (value, other.kwargs.get(key))) for key, value in one.kwargs.items()]
    return next((key for key, pair in pairs if not _equal(*pair)), "")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and not differ(one, other, ROUNDING)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return True

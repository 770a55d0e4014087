"""Stubs in place of a model's blocks, so that its own code before, between and after them runs without them.

A stub returns hidden states as its block does: alone, or first in a tuple of the same length. How long that
is shows a probe, in which the first block of each class is computed. It also shows whether these blocks may
be computed one at a time at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from engine.models.block import Block, Call
from engine.models.state import fresh

NOISE = 0.01
"""Relative difference of two passes of one block: sums on an accelerator may have no fixed order."""

Extras = tuple[bool, ...] | None
"""Whether each value that a block returns in a tuple after the hidden states is more than None; None if the
block returns no tuple.
"""

Visit = Callable[[int, tuple[Tensor, Call]], Tensor | None]
"""Called with the index of a block and what it is given: hidden states and the other arguments. What it
returns is passed on, or the hidden states themselves if that is None.
"""


class UnsuitableError(Exception):
    """A model that cannot be pruned block by block. The message is a clause that says why."""


@contextmanager
def stubbed(
    blocks: Sequence[Block], extras: Sequence[Extras], visit: Visit, filler: Tensor | None = None
) -> Iterator[None]:
    """Replace blocks by stubs while the `with` lasts.

    Args:
        extras: see `probe`.
        filler: what a stub returns in place of every value that its block returns besides.
    """

    def forward(index: int, *args: Any, **kwargs: Any) -> Any:
        hidden, call = _split(args, kwargs)
        replaced = visit(index, (hidden, call))
        return _in_tuple(hidden if replaced is None else replaced, extras[index], filler)

    with _replaced(blocks, lambda block: partial(forward, block.index)):
        yield


def probe(
    blocks: Sequence[Block],
    present: Callable[[Block], AbstractContextManager[Block]],
    run: Callable[[], object],
) -> list[Extras]:
    """Return what each block returns besides the hidden states.

    Args:
        present: holds a block's weights in memory.
        run: passes a few tokens through the model.

    Raises:
        UnsuitableError: a block changes its input, does not return hidden states in the shape of its input,
            returns others in each pass, or keeps a tensor from one pass to the next.
    """
    extras: dict[type, Extras] = {}

    def forward(block: Block, *args: Any, **kwargs: Any) -> Any:
        kind = type(block.module)
        hidden, call = _split(args, kwargs)
        if kind not in extras:
            with present(block):
                extras[kind], hidden = _computed(block, hidden, call)
        return _in_tuple(hidden, extras[kind])

    with _replaced(blocks, lambda block: partial(forward, block)):
        run()
    # a class whose blocks are not called has no entry
    return [extras.get(type(block.module)) for block in blocks]


def _computed(block: Block, hidden: Tensor, call: Call) -> tuple[Extras, Tensor]:
    """Return what a block returns besides its output, and the output."""
    kind, before, kept = type(block.module), hidden.clone(), _kept_tensors(block)
    calls = [fresh(call), call]  # itself last: later blocks may need what this one writes there
    # the instance's own `forward` is a stub
    outputs = [kind.forward(block.module, hidden, *given.args, **given.kwargs) for given in calls]
    if new := sorted(_kept_tensors(block) - kept):
        raise UnsuitableError(
            f"its blocks ({kind.__name__}) keep {new[0]} from one pass to the next, but passes of several "
            "texts take turns"
        )
    in_tuple = isinstance(outputs[0], (tuple, list))
    extras = tuple(value is not None for value in outputs[0][1:]) if in_tuple else None
    one, other = (output[0] if in_tuple else output for output in outputs)
    if differ(hidden, before):
        raise UnsuitableError(f"its blocks ({kind.__name__}) overwrite the hidden states that they are given")
    if not isinstance(one, Tensor) or one.shape != hidden.shape:
        raise UnsuitableError(
            f"its blocks ({kind.__name__}) do not return hidden states like those they are given"
        )
    if differ(one, other, NOISE):
        raise UnsuitableError(f"its blocks ({kind.__name__}) return something else each time they are called")
    return extras, one


def _kept_tensors(block: Block) -> set[str]:
    """Return the attributes of the block's modules that hold a tensor, except parameters and buffers."""
    return {
        f"{path}.{name}"
        for path, module in block.module.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    }


@contextmanager
def _replaced(blocks: Sequence[Block], replacement: Callable[[Block], Any]) -> Iterator[None]:
    """Replace the forward methods of blocks while the `with` lasts."""
    with ExitStack() as undo:
        for block in blocks:
            # on the instance, where it shadows the class's method
            block.module.forward = replacement(block)
            undo.callback(delattr, block.module, "forward")
        yield


def differ(one: Tensor, other: Tensor, tolerance: float = 0.0) -> bool:
    """Return whether the norm of the difference is more than this share of the norm; NaN is no difference."""
    # rotary embeddings may be complex numbers
    one, other = (tensor if tensor.is_complex() else tensor.float() for tensor in (one, other))
    return one.shape != other.shape or bool((one - other).norm() > tolerance * one.norm())


def _in_tuple(hidden: Tensor, extras: Extras, filler: Tensor | None = None) -> Any:
    """Return the hidden states as a block does that returns them with `extras`."""
    # without a cache or attentions, the model does not read what is returned besides
    return hidden if extras is None else (hidden, *(filler if present else None for present in extras))


def _split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Call]:
    """Separate the hidden states, positional or by name, from the other arguments."""
    if args:
        return args[0], Call(args[1:], dict(kwargs))
    rest = dict(kwargs)
    return rest.pop("hidden_states"), Call((), rest)  # some classes pass it by name

"""Which linear of a block reads what another one wrote: found in the block's own computation, never by names or places in a list.

Every linear's output is cut loose from what made it and marked, so the autograd graph behind a linear's input ends at exactly the marks of the
linears that reach it with no other in between (residual paths, norms and attention are part of the way). The graph is walked, not differentiated,
and nothing is saved for a backward pass: one forward pass of one batch a block, two more where queries, keys and values come from one fused
linear, whose value rows are those that attention hands on unchanged for a token that sees itself alone (causal attention). Does not cover rows
that become columns in another order or number than their own (a fused gate and up, keys shared by heads): they have no clear consumer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from engine.models.block import Block, Call

DIGIT = 256
"""Row numbers go through attention as two digits, each 1 to 256 of 256: exact in bfloat16, and small enough for the products of float16."""

Replace = Callable[[Tensor, Tensor], Tensor | None]


@dataclass(frozen=True)
class Consumer:
    """What becomes of a linear's rows.

    Attributes:
        name: the linear whose input they become, the first to be called where several take the same; None where there is no clear one.
        columns: of each row the column of that input, `[out]` int64.
        reason: why there is no clear consumer; empty where there is one.
    """

    name: str | None
    columns: Tensor | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Called:
    """One call of a linear: the end of the graph that its input came by, and the mark on its output, a zero that was added."""

    name: str
    origin: Any
    mark: Tensor


def feeds(block: Block, hidden: Tensor, call: Call) -> dict[str, tuple[str, ...]]:
    """Of each of the block's linears, the linears that its output reaches with no other linear in between, in the order in which they are called.

    Args:
        hidden: one batch at the block's input, `[windows, tokens, width]`; the values hardly matter, one short window will do.
        call: the batch's recorded call of this block.
    """
    return _fed(block, _calls(block, hidden, call))


def consumers(block: Block, hidden: Tensor, call: Call, *, heads: str = "uniform") -> dict[str, Consumer]:
    """The consumer of each of the block's linears, from one batch and its recorded call (as for `feeds`).

    Row i is column i where the widths agree. Of linears that feed the same consumer none has a clear one where one is of another width
    (grouped-query attention), as published (arXiv 2411.07066); with `heads="query"` those whose widths agree keep theirs.
    """
    calls = _calls(block, hidden, call)
    fed, times = _fed(block, calls), Counter(called.name for called in calls)
    first = {name: reached[0] for name, reached in fed.items() if reached and times[name] == 1}
    found: dict[str, Consumer] = {}
    for name in block.linears:
        if name not in first:
            found[name] = Consumer(None, reason=_why_alone(times[name]))
            continue
        beside = [other for other in first if first[other] == first[name] and other != name]
        reader, fused = first[name], not beside and block.linears[name].shape[0] == 3 * block.linears[first[name]].shape[1]
        found[name] = _thirds(block, hidden, call, name, reader) if fused else _by_width(block, name, reader, beside, heads)
    return found


def _why_alone(times: int) -> str:
    if times == 0:
        return "it is never called as a module"
    return "its output leaves the block" if times == 1 else "it is called more than once in a pass"


def _by_width(block: Block, name: str, reader: str, beside: Sequence[str], heads: str) -> Consumer:
    rows, width = block.linears[name].shape[0], block.linears[reader].shape[1]
    uneven = any(block.linears[other].shape[0] != width for other in (name, *beside))
    if beside and uneven and (rows != width or heads == "uniform"):
        return Consumer(None, reason=f"the linears that feed {reader} differ in their rows (grouped-query attention)")
    if rows != width:
        return Consumer(None, reason=f"its {rows} rows are not one by one the {width} columns of {reader}'s input")
    return Consumer(reader, torch.arange(rows, device=block.linears[name].weight.device))


def _thirds(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Consumer:
    """The consumer of queries, keys and values in one linear, `[3 * width, width]`, whichever way they are laid out.

    The value rows are those that arrive at the reader for a token that sees itself alone. With the keys one stride before them and the queries
    two, the three must cover all rows once; else there is no clear consumer.
    """
    values = _arriving_rows(block, hidden, call, name, reader)  # [width]: of each column the row that arrives there
    stride = int(values.min()) // 2
    rows = torch.cat([values, values - stride, values - 2 * stride])
    if not torch.equal(rows.sort().values, torch.arange(len(rows), device=rows.device)):
        return Consumer(None, reason=f"its rows are not clearly the queries, keys and values of {reader}'s input")
    return Consumer(reader, rows.argsort() % len(values))


def _arriving_rows(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Tensor:
    """Of each column of the reader's input the row of the linear that arrives there for the first token, `[width]` int64; -1 where none does.

    The linear's first token is made to say its row numbers, digit by digit, and the reader is listened to.
    """
    rows = torch.arange(block.linears[name].shape[0], device=hidden.device)
    low, high = (_heard(block, hidden, call, name, reader, digit) for digit in (rows % DIGIT + 1, rows // DIGIT + 1))
    return torch.where((low > 0) & (high > 0), (high - 1) * DIGIT + low - 1, -1)


def _heard(block: Block, hidden: Tensor, call: Call, name: str, reader: str, digits: Tensor) -> Tensor:
    """What the reader hears of the digits `[rows]` that the linear says at the first token, `[width]` int64; 0 where it is no digit."""
    heard: dict[str, Tensor] = {}

    def say(given: Tensor, gave: Tensor) -> Tensor:
        spoken = gave.clone(memory_format=torch.contiguous_format)
        spoken.view(-1, len(digits))[0] = digits.to(gave.dtype) / DIGIT
        return spoken

    def listen(given: Tensor, gave: Tensor) -> None:
        heard[reader] = given.reshape(-1, given.shape[-1])[0].double() * DIGIT

    with torch.no_grad(), _hooked(block, {name: say, reader: listen}):
        block(hidden, call)
    whole = heard[reader].round()
    clear = (heard[reader] - whole).abs() < 0.01
    return torch.where(clear & (whole >= 1) & (whole <= DIGIT), whole, 0).long()


def _calls(block: Block, hidden: Tensor, call: Call) -> list[_Called]:
    """The calls of the block's linears in their order, each cut loose from those before it."""
    calls: list[_Called] = []

    def cut(name: str) -> Replace:
        def note(given: Tensor, gave: Tensor) -> Tensor:
            mark = torch.zeros((), dtype=gave.dtype, device=gave.device, requires_grad=True)
            calls.append(_Called(name, given.grad_fn, mark))
            return gave.detach() + mark

        return note

    nothing_saved = saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing)  # the graph is wanted, not the activations
    with torch.enable_grad(), nothing_saved, _hooked(block, {name: cut(name) for name in block.linears}):
        block(hidden.detach(), call)
    return calls


@contextmanager
def _hooked(block: Block, replace: Mapping[str, Replace]) -> Iterator[None]:
    """Each linear's function is given its input and output, and what it returns takes the output's place, while the `with` lasts."""
    with ExitStack() as undo:
        for name, function in replace.items():

            def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor, function: Replace = function) -> Tensor | None:
                return function(args[0], output)

            undo.callback(block.linears[name].module.register_forward_hook(hook).remove)
        yield


def _fed(block: Block, calls: Sequence[_Called]) -> dict[str, tuple[str, ...]]:
    writers = {id(called.mark): called.name for called in calls}
    fed: dict[str, dict[str, None]] = {name: {} for name in block.linears}
    for called in calls:
        for mark in writers.keys() & _leaves(called.origin):
            fed[writers[mark]][called.name] = None
    return {name: tuple(reached) for name, reached in fed.items()}


def _leaves(origin: Any) -> set[int]:
    """The ids of the leaves at which the graph behind a node ends."""
    leaves: set[int] = set()
    waiting, seen = [origin], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaves.add(id(getattr(node, "variable", None)))  # only a leaf's node has one
        waiting += [further for further, _ in node.next_functions]
    return leaves

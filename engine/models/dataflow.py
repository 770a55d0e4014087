"""Which linear of a block reads what another one wrote: found in the block's own computation, never by names
or places in a list.

Every linear's output is cut loose from what made it and marked, so the autograd graph behind a linear's input
ends at exactly the marks of the linears that reach it with no other in between (residual paths, norms and
attention are part of the way). The graph is walked, not differentiated, and nothing is saved for a backward
pass: one forward pass of one batch a block, two more where queries, keys and values come from one fused
linear, whose value rows are those that attention hands on unchanged for a token that sees itself alone
(causal attention). Does not cover rows that become columns in another order or number than their own (a fused
gate and up, keys shared by heads): they have no clear consumer.

Experts see different tokens, so they are no clear consumer of what all of them read; where a shared expert
reads it too, that one is. An expert that the batch does not reach is wired like one of the same parameter
that it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from engine.models.block import Block, Call, Linear
from engine.models.hooks import hooked

DIGIT = 256
"""Row numbers go through attention as two digits, each 1 to 256 of 256: exact in bfloat16, and small enough
for the products of float16.
"""


@dataclass(frozen=True)
class Consumer:
    """What becomes of a linear's rows.

    Attributes:
        name: the linear whose input they become, the first to be called where several take the same; None
            where there is no clear one.
        columns: of each row the column of that input, `[out]` int64.
        reason: why there is no clear consumer; empty where there is one.
    """

    name: str | None
    columns: Tensor | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Called:
    """One call of a linear: the end of the graph that its input came by, and the mark on its output, a zero
    that was added.
    """

    name: str
    origin: Any
    mark: Tensor


def feeds(block: Block, hidden: Tensor, call: Call) -> dict[str, tuple[str, ...]]:
    """Of each of the block's linears, the linears that its output reaches with no other linear in between, in
    the order in which they are called.

    Args:
        hidden: one batch at the block's input, `[windows, tokens, width]`; the values hardly matter, one
            short window will do.
        call: the batch's recorded call of this block.
    """
    return _fed(block, _calls(block, hidden, call))


def consumers(block: Block, hidden: Tensor, call: Call, *, heads: str = "uniform") -> dict[str, Consumer]:
    """The consumer of each of the block's linears, from one batch and its recorded call (as for `feeds`).

    Row i is column i where the widths agree. Of linears that feed the same consumer none has a clear one
    where one is of another width (grouped-query attention), as published (arXiv 2411.07066); with
    `heads="query"` those whose widths agree keep theirs.
    """
    calls = _calls(block, hidden, call)
    fed, times = _fed(block, calls), Counter(called.name for called in calls)
    first = {
        name: _reader(block, name, reached)
        for name, reached in fed.items()
        if reached and _wired(block, name, times) == 1
    }
    found: dict[str, Consumer] = {}
    for name in block.linears:
        if name not in first:
            found[name] = Consumer(None, reason=_why_alone(_wired(block, name, times)))
            continue
        if (
            block.linears[first[name]].expert != block.linears[name].expert
            and block.linears[first[name]].expert is not None
        ):
            found[name] = Consumer(None, reason="its readers are experts, each of which sees other tokens")
            continue
        beside = [other for other in first if first[other] == first[name] and other != name]
        reader, fused = (
            first[name],
            not beside and block.linears[name].shape[0] == 3 * block.linears[first[name]].shape[1],
        )
        found[name] = (
            _thirds(block, hidden, call, name, reader)
            if fused
            else _by_width(block, name, reader, beside, heads)
        )
    return found


def _reader(block: Block, name: str, reached: Sequence[str]) -> str:
    """The first linear that reads another's rows; those that see every token come before experts, unless it
    is an expert itself.
    """
    expert = block.linears[name].expert
    return next((other for other in reached if block.linears[other].expert == expert), reached[0])


def _wired(block: Block, name: str, times: Mapping[str, int]) -> int:
    """How often a linear is called in a pass, for an expert that the batch does not reach as often as one of
    its fellows.
    """
    if name in times or block.linears[name].expert is None:
        return times.get(name, 0)
    fellow = _fellow(block, name, times)
    return 0 if fellow is None else times[fellow]


def _fellow(block: Block, name: str, called: Container[str]) -> str | None:
    """A linear that was called and is another expert's slice of the same parameter."""
    return next(
        (
            other
            for other, linear in block.linears.items()
            if other in called and _fused(linear) == _fused(block.linears[name])
        ),
        None,
    )


def _fused(linear: Linear) -> tuple[int, str]:
    return id(linear.module), linear.parameter


def _why_alone(times: int) -> str:
    if times == 0:
        return "it is never called as a module"
    return "its output leaves the block" if times == 1 else "it is called more than once in a pass"


def _by_width(block: Block, name: str, reader: str, beside: Sequence[str], heads: str) -> Consumer:
    rows, width = block.linears[name].shape[0], block.linears[reader].shape[1]
    uneven = any(block.linears[other].shape[0] != width for other in (name, *beside))
    if beside and uneven and (rows != width or heads == "uniform"):
        return Consumer(
            None, reason=f"the linears that feed {reader} differ in their rows (grouped-query attention)"
        )
    if rows != width:
        return Consumer(
            None, reason=f"its {rows} rows are not one by one the {width} columns of {reader}'s input"
        )
    return Consumer(reader, torch.arange(rows, device=block.linears[name].weight.device))


def _thirds(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Consumer:
    """The consumer of queries, keys and values in one linear, `[3 * width, width]`, whichever way they are
    laid out.

    The value rows are those that arrive at the reader for a token that sees itself alone. With the keys one
    stride before them and the queries two, the three must cover all rows once; else there is no clear
    consumer.
    """
    values = _arriving_rows(
        block, hidden, call, name, reader
    )  # [width]: of each column the row that arrives there
    stride = int(values.min()) // 2
    rows = torch.cat([values, values - stride, values - 2 * stride])
    if not torch.equal(rows.sort().values, torch.arange(len(rows), device=rows.device)):
        return Consumer(
            None, reason=f"its rows are not clearly the queries, keys and values of {reader}'s input"
        )
    return Consumer(reader, rows.argsort() % len(values))


def _arriving_rows(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Tensor:
    """Of each column of the reader's input the row of the linear that arrives there for the first token,
    `[width]` int64; -1 where none does.

    The linear's first token is made to say its row numbers, digit by digit, and the reader is listened to.
    """
    rows = torch.arange(block.linears[name].shape[0], device=hidden.device)
    low, high = (
        _heard(block, hidden, call, name, reader, digit) for digit in (rows % DIGIT + 1, rows // DIGIT + 1)
    )
    return torch.where((low > 0) & (high > 0), (high - 1) * DIGIT + low - 1, -1)


def _heard(block: Block, hidden: Tensor, call: Call, name: str, reader: str, digits: Tensor) -> Tensor:
    """What the reader hears of the digits `[rows]` that the linear says at the first token, `[width]` int64;
    0 where it is no digit.
    """
    heard: dict[str, Tensor] = {}

    def replace(called: str, given: Tensor, gave: Tensor, bias: Tensor | None) -> Tensor | None:
        if called == reader:
            heard[reader] = given.reshape(-1, given.shape[-1])[0].double() * DIGIT
            return None
        spoken = gave.clone(memory_format=torch.contiguous_format)
        spoken.view(-1, len(digits))[0] = digits.to(gave.dtype) / DIGIT
        return spoken

    linears = {called: block.linears[called] for called in (name, reader)}
    with torch.no_grad(), hooked(linears, after=replace):
        block(hidden, call)
    whole = heard[reader].round()
    clear = (heard[reader] - whole).abs() < 0.01
    return torch.where(clear & (whole >= 1) & (whole <= DIGIT), whole, 0).long()


def _calls(block: Block, hidden: Tensor, call: Call) -> list[_Called]:
    """The calls of the block's linears in their order, each cut loose from those before it."""
    calls: list[_Called] = []

    def cut(name: str, given: Tensor, gave: Tensor, bias: Tensor | None) -> Tensor:
        mark = torch.zeros((), dtype=gave.dtype, device=gave.device, requires_grad=True)
        calls.append(_Called(name, given.grad_fn, mark))
        return gave.detach() + mark

    nothing_saved = saved_tensors_hooks(
        lambda tensor: None, lambda nothing: nothing
    )  # the graph is wanted, not the activations
    with torch.enable_grad(), nothing_saved, hooked(block.linears, after=cut):
        block(hidden.detach(), call)
    return calls


def _fed(block: Block, calls: Sequence[_Called]) -> dict[str, tuple[str, ...]]:
    writers = {id(called.mark): called.name for called in calls}
    fed: dict[str, dict[str, None]] = {name: {} for name in block.linears}
    for called in calls:
        for mark in writers.keys() & _leaves(called.origin):
            fed[writers[mark]][called.name] = None
    by_name = {name: tuple(reached) for name, reached in fed.items()}
    seen = {called.name for called in calls}
    return {
        name: reached if name in seen else _as_fellow(block, name, by_name, seen)
        for name, reached in by_name.items()
    }


def _as_fellow(
    block: Block, name: str, fed: Mapping[str, tuple[str, ...]], seen: Container[str]
) -> tuple[str, ...]:
    """What an expert that was not called would have reached: what one of its fellows did, with the fellow's
    own linears exchanged for its own.
    """
    fellow = None if block.linears[name].expert is None else _fellow(block, name, seen)
    if fellow is None:
        return ()
    theirs = {
        _fused(linear): other
        for other, linear in block.linears.items()
        if linear.expert == block.linears[name].expert
    }
    mine = [
        reader if block.linears[reader].expert is None else theirs[_fused(block.linears[reader])]
        for reader in fed[fellow]
    ]
    return tuple(mine)


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

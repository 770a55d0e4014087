"""Which linear of a block reads the output of another one, determined from the block's computation.

Names and positions of linears play no role. Each linear's output is detached and marked, so the autograd
graph of a linear's input ends at exactly the marks of the linears that feed it without another linear in
between; residual paths, norms and attention may be in between. The graph is only walked: there is no backward
pass, and no activations are saved. This takes one forward pass of one batch per block.

If queries, keys and values come from one fused linear, two more passes find its value rows: those are the
rows that causal attention passes on unchanged for a token that attends only to itself. Does not cover rows
that become columns in another order or number (fused gate and up, keys shared by heads): they have no clear
consumer.

Experts process different tokens, so none of them is the clear consumer of their common input; a shared expert
that reads it too is. An expert that the batch does not reach is treated like another expert of the same
parameter that it does reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from engine.models.block import Block, Call, Linear, hooked
from engine.models.state import fresh

if TYPE_CHECKING:
    from torch import Tensor


DIGIT = 256
"""Row numbers pass through attention as two digits, each 1/256 to 256/256.

These are exact in bfloat16, and small enough for products in float16.
"""


@dataclass(frozen=True)
class Consumer:
    """Where a linear's output rows go.

    Attributes:
        name: the linear whose input they become, the first one called if several read the same input; None if
            there is no clear consumer.
        columns: for each row its column in that input, `[out]` int64.
        reason: why there is no clear consumer; empty if there is one.
    """

    name: str | None
    columns: Tensor | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Called:
    """One call of a linear.

    Attributes:
        origin: the node of the autograd graph that produced its input.
        mark: the zero that was added to its output.
    """

    name: str
    origin: Any
    mark: Tensor


def feeds(block: Block, hidden: Tensor, call: Call) -> dict[str, tuple[str, ...]]:
    """Return for each linear the linears that read its output with no other linear in between.

    They are in the order in which they are called.

    Args: hidden: one batch at the block's input, `[windows, tokens, width]`. Its values hardly matter; one
        short window is enough. call: the batch's recorded call of this block.
    """
    return _fed(block, _calls(block, hidden, call))


def consumers(block: Block, hidden: Tensor, call: Call, *, heads: str = "uniform") -> dict[str, Consumer]:
    """Return the consumer of each of the block's linears. Arguments as for `feeds`.

    If the widths are equal, row i becomes column i. If several linears feed the same consumer and one of them
    has another width (grouped-query attention), none of them has a clear consumer, as published
    (arXiv 2411.07066); with `heads="query"` those with the consumer's width do.
    """
    calls = _calls(block, hidden, call)
    fed, times = _fed(block, calls), Counter(called.name for called in calls)
    readers = {
        name: _reader(block, name, reached)
        for name, reached in fed.items()
        # A linear called twice in a pass has rows that go to two places.
        if reached and _times_called(block, name, times) == 1
    }
    found: dict[str, Consumer] = {}
    for name, linear in block.linears.items():
        if name not in readers:
            found[name] = Consumer(None, reason=_why_none(_times_called(block, name, times)))
            continue
        reader = block.linears[readers[name]]
        siblings = [other for other in readers if readers[other] == reader.name and other != name]
        if reader.expert is not None and reader.expert != linear.expert:
            found[name] = Consumer(
                None, reason="its readers are experts, each of which processes other tokens"
            )
        elif not siblings and linear.shape[0] == 3 * reader.shape[1]:  # queries, keys and values
            found[name] = _fused_heads(block, hidden, call, name, reader.name)
        else:
            found[name] = _by_width(block, name, reader.name, siblings, heads)
    return found


def _reader(block: Block, name: str, reached: Sequence[str]) -> str:
    """Return the first linear that reads the rows of `name`.

    A reader of the same expert, or of none if `name` is not an expert, takes precedence.
    """
    expert = block.linears[name].expert
    return next((other for other in reached if block.linears[other].expert == expert), reached[0])


def _times_called(block: Block, name: str, times: Mapping[str, int]) -> int:
    """Return how often a linear is called in a pass.

    An expert that the batch did not reach counts as often as another expert of its parameter.
    """
    if name in times or block.linears[name].expert is None:
        return times.get(name, 0)
    other = _called_expert(block, name, times)
    return 0 if other is None else times[other]


def _called_expert(block: Block, name: str, called: Container[str]) -> str | None:
    """Return a linear in `called` that is another expert's slice of the same parameter, None if there is
    none.
    """
    key = _parameter_key(block.linears[name])
    candidates = (other for other, linear in block.linears.items() if _parameter_key(linear) == key)
    return next((other for other in candidates if other in called), None)


def _parameter_key(linear: Linear) -> tuple[int, str]:
    """Return what the slices of one fused parameter have in common."""
    return id(linear.module), linear.parameter


def _why_none(times: int) -> str:
    if times == 0:
        return "it is never called as a module"
    return "its output leaves the block" if times == 1 else "it is called more than once in a pass"


def _by_width(block: Block, name: str, reader: str, siblings: Sequence[str], heads: str) -> Consumer:
    """Return the consumer if row i becomes column i; `siblings`: the other linears that feed it."""
    rows, width = block.linears[name].shape[0], block.linears[reader].shape[1]
    uneven = any(block.linears[other].shape[0] != width for other in (name, *siblings))
    if siblings and uneven and (rows != width or heads == "uniform"):
        return Consumer(
            None, reason=f"the linears that feed {reader} differ in their rows (grouped-query attention)"
        )
    if rows != width:
        return Consumer(
            None, reason=f"its {rows} rows do not map one-to-one to the {width} columns of {reader}'s input"
        )
    return Consumer(reader, torch.arange(rows, device=block.linears[name].weight.device))


def _fused_heads(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Consumer:
    """Return the consumer of queries, keys and values in one linear, `[3 * width, width]`, in any layout.

    The value rows are those that arrive at the reader for a token that attends only to itself. With the keys
    one stride before them and the queries two, the three must cover all rows exactly once; otherwise there is
    no clear consumer.
    """
    values = _arriving_rows(block, hidden, call, name, reader)  # [width]: the row that arrives in each column
    stride = int(values.min()) // 2  # queries and keys precede the first value row
    # `[3 * width]`. A column at which nothing arrived (-1) fails the check below.
    rows = torch.cat([values, values - stride, values - 2 * stride])
    if not torch.equal(rows.sort().values, torch.arange(len(rows), device=rows.device)):
        return Consumer(
            None, reason=f"its rows are not clearly the queries, keys and values of {reader}'s input"
        )
    return Consumer(reader, rows.argsort() % len(values))  # `[3 * width]`: the column of each row


def _arriving_rows(block: Block, hidden: Tensor, call: Call, name: str, reader: str) -> Tensor:
    """Return for each column of the reader's input the row of the linear that arrives there, `[width]` int64.

    It is -1 if none does. For the first token the linear's output is replaced by its row numbers, one digit
    per pass, and the reader's input is observed.
    """
    rows = torch.arange(block.linears[name].shape[0], device=hidden.device)
    low, high = (
        _arriving_digits(block, hidden, call, name, reader, digits)
        for digits in (rows % DIGIT + 1, rows // DIGIT + 1)  # from 1, because 0 means that nothing arrived
    )
    return torch.where((low > 0) & (high > 0), (high - 1) * DIGIT + low - 1, -1)


def _arriving_digits(
    block: Block, hidden: Tensor, call: Call, name: str, reader: str, digits: Tensor
) -> Tensor:
    """Return what arrives at the reader, `[width]` int64, if the linear outputs `digits`, `[rows]`.

    Only the first token is replaced and observed. The result is 0 where no digit arrives.
    """
    arrived: dict[str, Tensor] = {}

    def replace(called: str, given: Tensor, gave: Tensor, bias: Tensor | None) -> Tensor | None:
        if called == reader:
            # `[width]`: the first token of the first window; the factor undoes the division below
            arrived[reader] = given.reshape(-1, given.shape[-1])[0].double() * DIGIT
            return None
        changed = gave.clone(memory_format=torch.contiguous_format)  # `view` needs this layout
        changed.view(-1, len(digits))[0] = digits.to(gave.dtype) / DIGIT
        return changed

    linears = {called: block.linears[called] for called in (name, reader)}
    with torch.no_grad(), hooked(linears, after=replace):
        block(hidden, fresh(call))
    # attention mixes values into fractions; only an exact digit came straight through
    whole = arrived[reader].round()
    clear = (arrived[reader] - whole).abs() < 0.01
    return torch.where(clear & (whole >= 1) & (whole <= DIGIT), whole, 0).long()


def _calls(block: Block, hidden: Tensor, call: Call) -> list[_Called]:
    """Return the calls of the block's linears in order, each detached from the ones before it."""
    calls: list[_Called] = []

    def detach(name: str, given: Tensor, gave: Tensor, bias: Tensor | None) -> Tensor:
        # A leaf: from later inputs, the walk along the graph ends at it.
        mark = torch.zeros((), dtype=gave.dtype, device=gave.device, requires_grad=True)
        calls.append(_Called(name, given.grad_fn, mark))
        return gave.detach() + mark

    # Stores None in place of each tensor that a backward pass would need.
    nothing_saved = torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing)
    with torch.enable_grad(), nothing_saved, hooked(block.linears, after=detach):
        block(hidden.detach(), fresh(call))
    return calls


def _fed(block: Block, calls: Sequence[_Called]) -> dict[str, tuple[str, ...]]:
    """Return for each linear the linears that it feeds; see `feeds`."""
    # ids stay unique while `calls` keeps the marks alive
    writers = {id(called.mark): called.name for called in calls}
    fed: dict[str, dict[str, None]] = {name: {} for name in block.linears}  # the inner dicts are ordered sets
    for called in calls:
        for mark in writers.keys() & _leaves(called.origin):  # other leaves are weights of norms
            fed[writers[mark]][called.name] = None
    by_name = {name: tuple(reached) for name, reached in fed.items()}
    called_names = {called.name for called in calls}
    return {
        name: reached if name in called_names else _as_called_expert(block, name, by_name, called_names)
        for name, reached in by_name.items()
    }


def _as_called_expert(
    block: Block, name: str, fed: Mapping[str, tuple[str, ...]], called: Container[str]
) -> tuple[str, ...]:
    """Return the readers of an expert that was not called.

    They are those of another expert that was, with that expert's linears replaced by this one's.
    """
    linear = block.linears[name]
    other = None if linear.expert is None else _called_expert(block, name, called)
    if other is None:
        return ()
    own = {
        _parameter_key(candidate): path
        for path, candidate in block.linears.items()
        if candidate.expert == linear.expert
    }
    return tuple(
        reader if block.linears[reader].expert is None else own[_parameter_key(block.linears[reader])]
        for reader in fed[other]
    )


def _leaves(origin: Any) -> set[int]:
    """Return the ids of the leaf tensors from which a node of the autograd graph was computed."""
    # Iterative, because a graph can be deeper than Python's limit for recursion.
    leaves: set[int] = set()
    stack, visited = [origin], set()
    while stack:
        node = stack.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        leaves.add(id(getattr(node, "variable", None)))  # only the node of a leaf has a variable
        stack += [parent for parent, _ in node.next_functions]
    return leaves

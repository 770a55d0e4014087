"""A causal language model as blocks, with its head and tail around them.

The first block's inputs and every block's own call arguments are recorded with the blocks stubbed out, so recording costs the embedding
and the masks, not a forward pass. The tail (final norm and head, whatever the class does there) is the model's own forward with the
stream put in the blocks' place. Both rest on one assumption, which the family tests hold: blocks receive hidden states and return them,
as a tensor or as the first element of a tuple.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.block import Block, Call, Linear, share
from engine.models.discovery import find_blocks


@dataclass
class Stream:
    """Windows on their way through the blocks, in batches.

    Attributes:
        ids: token ids of each batch, `[windows, tokens]`.
        hidden: hidden states of each batch, `[windows, tokens, width]`, at the input of the next block.
        calls: call arguments, `calls[block][batch]`.
    """

    ids: list[Tensor]
    hidden: list[Tensor]
    calls: list[list[Call]]

    @property
    def windows(self) -> int:
        return sum(len(batch) for batch in self.ids)

    def fork(self) -> Stream:
        """A second stream from the same place. Tensors are shared: a block never changes its input."""
        return Stream(self.ids, list(self.hidden), self.calls)

    def through(self, block: Block) -> Iterator[Tensor]:
        """The block's output for each batch, without advancing."""
        for hidden, call in zip(self.hidden, self.calls[block.index], strict=True):
            yield block(hidden, call)

    def advance(self, block: Block) -> None:
        """Replace the hidden states by the block's outputs."""
        for place, output in enumerate(self.through(block)):
            self.hidden[place] = output


class LanguageModel:
    """A loaded model.

    Attributes:
        module: the `transformers` model, in evaluation mode.
        tokenizer: its tokenizer, or None where the directory has none.
        blocks: its decoder layers.
    """

    def __init__(self, module: nn.Module, tokenizer: Any = None) -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.blocks = find_blocks(module)
        self._returns_tuple: list[bool] | None = None

    @property
    def linears(self) -> dict[str, Linear]:
        """All prunable linears by their path in the model."""
        return {linear.path: linear for block in self.blocks for linear in block.linears.values()}

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return int(self.module.config.get_text_config().vocab_size)  # type: ignore[operator, union-attr]

    def record(self, windows: Tensor, batch: int) -> Stream:
        """The stream of `windows`, `[windows, tokens]` ids, at the input of block 0, in batches of at most `batch` windows."""
        stream = Stream([], [], [[] for _ in self.blocks])
        for part in windows.split(batch):
            ids = part.to(self.device)
            hidden, calls = self._record_batch(ids)
            stream.ids.append(ids)
            stream.hidden.append(hidden)
            for kept, call in zip(stream.calls, calls, strict=True):
                kept.append(_shared(call, kept[-1]) if kept else call)
        return stream

    def logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Next-token logits `[windows, tokens, vocabulary]` of hidden states that have left the last block."""
        with self._stubbed(lambda index, _: hidden if index == 0 else None):
            return self._forward(ids)

    def _record_batch(self, ids: Tensor) -> tuple[Tensor, list[Call]]:
        seen: dict[int, tuple[Tensor, Call]] = {}

        def note(index: int, given: tuple[Tensor, Call]) -> None:
            seen[index] = given

        with self._stubbed(note):
            self._forward(ids, head=False)
        return seen[0][0], [seen[index][1] for index in range(len(self.blocks))]

    def _forward(self, ids: Tensor, *, head: bool = True) -> Tensor:
        body = self.module if head else getattr(self.module, "base_model", self.module)
        output = body(input_ids=ids, use_cache=False)
        result: Tensor = output.logits if head else output[0]
        return result

    @contextmanager
    def _stubbed(self, visit: Any) -> Iterator[None]:
        """Blocks that hand on what they are given, or what `visit(index, (hidden, call))` returns in its place."""
        if self._returns_tuple is None:
            self._returns_tuple = self._probe()
        with ExitStack() as undo:
            for block, in_tuple in zip(self.blocks, self._returns_tuple, strict=True):
                block.module.forward = _stub(block.index, in_tuple, visit)
                undo.callback(delattr, block.module, "forward")
            yield

    def _probe(self) -> list[bool]:
        """Whether each block returns a tuple: one real forward pass over two tokens."""
        returns: dict[int, bool] = {}
        with ExitStack() as undo:
            for block in self.blocks:

                def look(module: nn.Module, args: Any, output: Any, index: int = block.index) -> None:
                    returns[index] = isinstance(output, tuple)

                undo.callback(block.module.register_forward_hook(look).remove)
            self._forward(torch.zeros(1, 2, dtype=torch.long, device=self.device), head=False)
        return [returns[block.index] for block in self.blocks]


def _stub(index: int, in_tuple: bool, visit: Any) -> Any:
    def forward(*args: Any, **kwargs: Any) -> Any:
        hidden, call = _split(args, kwargs)
        replaced = visit(index, (hidden, call))
        result = hidden if replaced is None else replaced
        return (result, None) if in_tuple else result

    return forward


def _split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Call]:
    if args:
        return args[0], Call(args[1:], dict(kwargs))
    rest = dict(kwargs)
    return rest.pop("hidden_states"), Call((), rest)


def _shared(new: Call, old: Call) -> Call:
    return Call(share(new.args, old.args), share(new.kwargs, old.kwargs))

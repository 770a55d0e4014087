"""A causal language model as blocks, with its head and tail around them.

The first block's inputs and every block's own call arguments are recorded with the blocks stubbed out, so
recording costs the embedding and the masks, not a forward pass. The tail (final norm and head, whatever the
class does there) is the model's own forward with the stream put in the blocks' place. Both rest on one
assumption, which the family tests hold: blocks receive hidden states and return them, as a tensor or as the
first element of a tuple.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from engine.hardware.batching import Residence
from engine.models.block import Block, Call, Linear, share
from engine.models.checkpoint import Checkpoint
from engine.models.discovery import find_blocks
from engine.models.hooks import compute_experts_separately
from engine.models.streaming import Streamer


@dataclass
class Stream:
    """Windows on their way through the blocks, in batches.

    Attributes:
        ids: token ids of each batch, `[windows, tokens]`.
        hidden: hidden states of each batch, `[windows, tokens, width]`, at the input of the next block.
        calls: call arguments, `calls[block][batch]`.
        offloaded: whether the hidden states wait on the host, and go to the blocks' device (that of the ids)
            a batch at a time.
    """

    ids: list[Tensor]
    hidden: list[Tensor]
    calls: list[list[Call]]
    offloaded: bool = False

    @property
    def windows(self) -> int:
        return sum(len(batch) for batch in self.ids)

    def fork(self) -> Stream:
        """A second stream from the same place. Tensors are shared: a block never changes its input."""
        return Stream(self.ids, list(self.hidden), self.calls, self.offloaded)

    def again(self) -> Stream:
        """The same windows at the same place, for another pass of the same kind."""
        return self.fork()

    @classmethod
    def joined(cls, streams: Sequence[Stream]) -> Stream:
        """One stream of all these streams' batches, in order."""
        calls = [
            [call for batches in block for call in batches]
            for block in zip(*(stream.calls for stream in streams), strict=True)
        ]
        ids, hidden = (
            [ids for one in streams for ids in one.ids],
            [hidden for one in streams for hidden in one.hidden],
        )
        return cls(ids, hidden, calls, any(one.offloaded for one in streams))

    def part(self, batches: slice) -> Stream:
        """The stream of some of the batches."""
        return Stream(
            self.ids[batches], self.hidden[batches], [calls[batches] for calls in self.calls], self.offloaded
        )

    def through(self, block: Block) -> Iterator[Tensor]:
        """The block's output for each batch, without advancing."""
        for ids, hidden, call in zip(self.ids, self.hidden, self.calls[block.index], strict=True):
            yield block(hidden.to(ids.device), call)

    def advance(self, block: Block) -> None:
        """Replace the hidden states by the block's outputs."""
        for place, output in enumerate(self.through(block)):
            self.hidden[place] = output.cpu() if self.offloaded else output


class LanguageModel:
    """A loaded model.

    Attributes:
        module: the `transformers` model, in evaluation mode.
        tokenizer: its tokenizer, or None where the directory has none.
        blocks: its decoder layers.
        residence: `resident` where they are in memory, `streamed` where each is read from the disk when it is
            present.
    """

    def __init__(
        self, module: nn.Module, tokenizer: Any = None, checkpoint: Checkpoint | None = None, **held: Any
    ) -> None:
        """`checkpoint` and `held` (dtype, device): where the blocks of a model without weights come from."""
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.blocks = find_blocks(module)
        compute_experts_separately(module)
        self._returns_tuple: list[bool] | None = None
        self._streamer = None if checkpoint is None else Streamer(module, self.blocks, checkpoint, **held)
        self.residence: Residence = "resident" if checkpoint is None else "streamed"

    @property
    def linears(self) -> dict[str, Linear]:
        """All prunable linears by their path in the model."""
        return {linear.path: linear for block in self.blocks for linear in block.linears.values()}

    @property
    def device(self) -> torch.device:
        return next(parameter.device for parameter in self.module.parameters() if not parameter.is_meta)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @contextmanager
    def present(self, block: Block) -> Iterator[Block]:
        """The block with its weights in memory while the `with` lasts. Behind it a streamed block is gone,
        with all that was written to it.
        """
        with nullcontext() if self._streamer is None else self._streamer.present(block):
            yield block

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return int(self.module.config.get_text_config().vocab_size)  # type: ignore[operator, union-attr]

    def record(self, windows: Tensor, batch: int, *, offload: bool = False) -> Stream:
        """The stream of `windows`, `[windows, tokens]` ids, at the input of block 0, in batches of at most
        `batch` windows.

        Args:
            offload: keep the hidden states on the host.
        """
        stream = Stream([], [], [[] for _ in self.blocks], offload)
        for part in windows.split(batch):
            ids = part.to(self.device)
            hidden, calls = self._record_batch(ids)
            stream.ids.append(ids)
            stream.hidden.append(hidden.cpu() if offload else hidden)
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
        """Blocks that hand on what they are given, or what `visit(index, (hidden, call))` returns in its
        place.
        """
        if self._returns_tuple is None:
            self._returns_tuple = self._probe()
        with ExitStack() as undo:
            for block, in_tuple in zip(self.blocks, self._returns_tuple, strict=True):
                block.module.forward = _stub(block.index, in_tuple, visit)
                undo.callback(delattr, block.module, "forward")
            yield

    def _probe(self) -> list[bool]:
        """Whether each block returns a tuple: one forward pass over two tokens, real for the first block of
        each class.
        """
        returns: dict[type, bool] = {}
        with ExitStack() as undo:
            for block in self.blocks:
                block.module.forward = partial(self._probed, returns, block)
                undo.callback(delattr, block.module, "forward")
            self._forward(torch.zeros(1, 2, dtype=torch.long, device=self.device), head=False)
        return [returns[type(block.module)] for block in self.blocks]

    def _probed(self, returns: dict[type, bool], block: Block, *args: Any, **kwargs: Any) -> Any:
        """The forward pass of a block that is being probed; later ones of its class hand on what they are
        given.
        """
        kind = type(block.module)
        if kind in returns:
            hidden, _ = _split(args, kwargs)
            return (hidden, None) if returns[kind] else hidden
        with self.present(block):
            output = kind.forward(block.module, *args, **kwargs)
        returns[kind] = isinstance(output, tuple)
        return output


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

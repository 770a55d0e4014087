"""A causal language model as a list of blocks, with everything before and after them.

The inputs of the first block and the call arguments of every block are recorded with the blocks stubbed out,
so recording costs the embedding and the masks, not a forward pass. What comes after the blocks (final norm
and head, whatever the class does) is the model's own forward pass with the hidden states inserted in place of
the blocks. Both rest on one assumption, which `engine.models.suitability` tests: blocks receive hidden states
and return them, as a tensor or as the first element of a tuple.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.hardware.device import SMALL
from engine.hardware.memory_plan import Residence
from engine.hardware.transfers import parked, returned
from engine.models.block import Block, Call, Linear, compute_experts_separately
from engine.models.discovery import find_blocks
from engine.models.state import State
from engine.models.streaming import Streamer
from engine.models.stubs import Extras, Visit, probe, stubbed

if TYPE_CHECKING:
    from engine.models.checkpoint import Checkpoint


@dataclass
class Stream:
    """Windows on their way through the blocks, in batches.

    Attributes:
        ids: token ids of each batch, `[windows, tokens]`, on the device of the blocks.
        hidden: hidden states of each batch, `[windows, tokens, width]`, at the input of the next block.
        calls: call arguments, `calls[block][batch]`; streams share them, and no pass changes them.
        states: for each batch its own copies of the arguments that blocks change, as they are at the input of
            the next block.
        offloaded: whether the hidden states are kept on the host and moved to the device one batch at a time.
    """

    ids: list[Tensor]
    hidden: list[Tensor]
    calls: list[list[Call]]
    states: list[State]
    offloaded: bool = False

    @property
    def windows(self) -> int:
        return sum(len(batch) for batch in self.ids)

    def fork(self) -> Stream:
        """Return a second stream at the same block. It shares the hidden states, because a block never
        modifies its input, but not the arguments that blocks do modify.
        """
        # Lists of its own, because `advance` assigns to them.
        states = [state.copy() for state in self.states]
        return Stream(self.ids, list(self.hidden), self.calls, states, self.offloaded)

    def again(self) -> Stream:
        """Return the same windows at the same block, for another pass of the same kind."""
        return self.fork()

    @classmethod
    def joined(cls, streams: Sequence[Stream]) -> Stream:
        """Return one stream with the batches of all `streams`, in order."""
        # `[stream][block][batch]` becomes `[block][batch]`
        calls = [
            [call for batches in block for call in batches]
            for block in zip(*(stream.calls for stream in streams), strict=True)
        ]
        return cls(
            [ids for stream in streams for ids in stream.ids],
            [hidden for stream in streams for hidden in stream.hidden],
            calls,
            [state.copy() for stream in streams for state in stream.states],
            any(stream.offloaded for stream in streams),
        )

    def part(self, batches: slice) -> Stream:
        """Return a second stream at the same block with some of the batches."""
        return Stream(
            self.ids[batches],
            self.hidden[batches],
            [calls[batches] for calls in self.calls],
            [state.copy() for state in self.states[batches]],
            self.offloaded,
        )

    def through(self, block: Block) -> Iterator[Tensor]:
        """Yield the block's output for each batch, without advancing."""
        for batch in range(len(self.ids)):
            yield self.output(block, batch)

    def output(self, block: Block, batch: int) -> Tensor:
        """Return the block's output for one batch, without advancing."""
        return self._pass(block, batch, self.states[batch].copy())

    def advance(self, block: Block) -> None:
        """Replace the hidden states by the block's outputs."""
        for batch, state in enumerate(self.states):
            # One batch at a time, so a batch's input is freed before the next one (unless a fork holds it).
            self.replace(batch, self._pass(block, batch, state))

    def replace(self, batch: int, hidden: Tensor) -> None:
        """Put hidden states in the place of a batch's."""
        self.hidden[batch] = parked(hidden) if self.offloaded else hidden

    def on_device(self) -> Iterator[Tensor]:
        """Yield the hidden states of each batch on the device of the blocks."""
        for hidden, ids in zip(self.hidden, self.ids, strict=True):
            yield returned(hidden, ids.device)

    def call(self, block: Block) -> Call:
        """Return a call of the block by the first batch, which must not be used for more than one pass."""
        return self.states[0].copy().call(self.calls[block.index][0])

    def _pass(self, block: Block, batch: int, state: State) -> Tensor:
        """Return the block's output for a batch; the block may change `state`."""
        hidden = returned(self.hidden[batch], self.ids[batch].device)
        return block(hidden, state.call(self.calls[block.index][batch]))


class LanguageModel:
    """A loaded model.

    Attributes:
        module: the `transformers` model, in evaluation mode, its weights without gradients.
        tokenizer: its tokenizer, None if the directory has none that can be used.
        tokenizer_fault: a sentence if it has one that cannot be used; empty otherwise.
        blocks: its decoder layers.
        residence: `resident` if all blocks are in memory, `streamed` if each is read from the disk only while
            it is in use.
        left_out: number of weights in the files that belong to parts which the class does not build, by part.
        warnings: what transformers warned about when it read the model and its tokenizer.
    """

    def __init__(
        self,
        module: nn.Module,
        tokenizer: Any = None,
        checkpoint: Checkpoint | None = None,
        *,
        tokenizer_fault: str = "",
        **held: Any,
    ) -> None:
        """Wrap a model.

        Args:
            module: the model; without weights if `checkpoint` is given.
            checkpoint: the files from which blocks are streamed.
            held: `dtype` and `device` of the streamed blocks.
        """
        # Nothing is trained: otherwise the logits of a whole text would be kept for a backward pass.
        self.module = module.eval().requires_grad_(False)
        self.tokenizer, self.tokenizer_fault = tokenizer, tokenizer_fault
        self.blocks = find_blocks(module)
        compute_experts_separately(module)
        self._extras: list[Extras] | None = None
        self._streamer = None if checkpoint is None else Streamer(module, self.blocks, checkpoint, **held)
        self.residence: Residence = "resident" if checkpoint is None else "streamed"
        self.left_out: dict[str, int] = {}
        self.warnings: list[str] = []

    @property
    def linears(self) -> dict[str, Linear]:
        """All prunable linears by their path within the model."""
        return {linear.path: linear for block in self.blocks for linear in block.linears.values()}

    @property
    def sizes(self) -> list[int]:
        """The number of prunable weights of each block."""
        return [sum(linear.weight.numel() for linear in block.linears.values()) for block in self.blocks]

    @property
    def device(self) -> torch.device:
        # blocks of a streamed model are on the meta device between their uses
        return next(parameter.device for parameter in self.module.parameters() if not parameter.is_meta)

    @property
    def is_small(self) -> bool:
        """Whether the model's products are fastest on one thread."""
        return (
            self.device.type == "cpu"
            and max(linear.weight.numel() for linear in self.linears.values()) <= SMALL
        )

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @contextmanager
    def present(self, block: Block) -> Iterator[Block]:
        """Hold the block's weights in memory while the `with` lasts.

        After that a streamed block is dropped, with everything that was written to it.
        """
        with nullcontext() if self._streamer is None else self._streamer.present(block):
            yield block

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        # a multimodal configuration nests that of its text model
        return int(self.module.config.get_text_config().vocab_size)  # type: ignore[operator, union-attr]

    def record(self, windows: Tensor, batch: int, *, offload: bool = False) -> Stream:
        """Return the stream of `windows` at the input of block 0.

        Args:
            windows: token ids, `[windows, tokens]`.
            batch: windows per batch.
            offload: keep the hidden states on the host between blocks.
        """
        stream = Stream([], [], [[] for _ in self.blocks], [], offload)
        for part in windows.split(batch):
            ids = part.to(self.device)
            hidden, calls = self._record_batch(ids)
            stream.ids.append(ids)
            stream.hidden.append(parked(hidden) if offload else hidden)
            known: Reused = {}
            for recorded, call in zip(stream.calls, calls, strict=True):
                # The previous batch suffices: only the last one can have another size.
                recorded.append(_deduplicated(call, recorded[-1], known) if recorded else call)
            stream.states.append(State.recorded(calls).copy())
        return stream

    def logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Return next-token logits, `[windows, tokens, vocabulary]`, for outputs of the last block.

        Args:
            hidden: `[windows, tokens, width]`.
            ids: the token ids, `[windows, tokens]`.
        """
        # the first block returns these hidden states, and the others pass them on
        with self.stubbed(lambda index, _: hidden if index == 0 else None):
            return self.forward(ids)

    def _record_batch(self, ids: Tensor) -> tuple[Tensor, list[Call]]:
        """Return the hidden states at the input of block 0 and the call of every block."""
        inputs: dict[int, tuple[Tensor, Call]] = {}

        def record(index: int, given: tuple[Tensor, Call]) -> None:
            inputs[index] = given

        with self.stubbed(record):
            self.forward(ids, head=False)
        return inputs[0][0], [inputs[index][1] for index in range(len(self.blocks))]

    def forward(self, ids: Tensor, *, head: bool = True) -> Tensor:
        """Return the class's own forward pass through ids `[windows, tokens]`: the logits, or without the
        head the last hidden states. All blocks must be in memory or stubbed.
        """
        # without the head, whose `[windows, tokens, vocabulary]` would be the largest tensor by far
        body = self.module if head else getattr(self.module, "base_model", self.module)
        # With a cache, the recorded calls would hold it, and each replay would append to it.
        output = body(input_ids=ids, use_cache=False)
        result: Tensor = output.logits if head else output[0]
        return result

    @contextmanager
    def stubbed(self, visit: Visit, filler: Tensor | None = None) -> Iterator[None]:
        """Replace the blocks by stubs while the `with` lasts; see `engine.models.stubs`."""
        if self._extras is None:
            ids = torch.arange(2, device=self.device)[None]
            self._extras = probe(self.blocks, self.present, partial(self.forward, ids, head=False))
        with stubbed(self.blocks, self._extras, visit, filler):
            yield


Reused = dict[tuple[int, int], Any]
"""What `_reuse` returned, by the ids of its arguments: most blocks receive the same objects, and a comparison
waits for an accelerator.
"""


def _deduplicated(new: Call, old: Call, known: Reused) -> Call:
    kwargs = {name: _reuse(value, old.kwargs.get(name), known) for name, value in new.kwargs.items()}
    return Call(_reuse(new.args, old.args, known), kwargs)


def _reuse(new: Any, old: Any, known: Reused) -> Any:
    """Return `old` if it equals `new`, so that masks and positions that all batches share are stored once."""
    if isinstance(new, Tensor) and isinstance(old, Tensor):
        if (id(new), id(old)) not in known:
            same = new.shape == old.shape and new.dtype == old.dtype and torch.equal(new, old)
            known[id(new), id(old)] = old if same else new
        return known[id(new), id(old)]
    if type(new) is tuple and type(old) is tuple and len(new) == len(old):
        return tuple(_reuse(left, right, known) for left, right in zip(new, old, strict=True))
    return new  # every batch has its own caches, dictionaries and lists

"""Proof that a model may be pruned and measured here: each token is predicted from the tokens before it, and
the blocks one after the other compute what the model computes as a whole.

The first is what a perplexity assumes, and masked language models load as causal ones without an error. Two
short windows that differ in their second half pass through the model; what it computes for the first half
must not differ. Every block is checked separately, from equal hidden states. So the numbers are equal in any
dtype, except that experts, which are multiplied with other numbers of tokens, may round differently.

Cost: two forward passes over 16 tokens, and a third one through the model as a whole if it is in memory. A
model that is read block by block is checked while its blocks are read for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from engine.errors import ModelError, NonFiniteError, PrunescopeError
from engine.hardware.memory_plan import is_out_of_memory
from engine.hub.failures import first_words
from engine.models.block import Block
from engine.models.language_model import LanguageModel, Stream
from engine.models.stubs import differ
from engine.models.summary import context_length

TOKENS = 16  # per window
ROUNDING = 16
"""Units in the last place of the largest value by which experts may differ."""
NOISE = 4
"""How many times the difference of two equal passes two different ones may differ."""
WHOLE, WHOLE_IN_HALF = 1e-3, 3e-2
"""Largest difference between the logits of the blocks and of the model as a whole, as a share of their norm,
in float32 and in half precision. They are the same products in the same order, so it is usually 0.
"""


class CausalityProof:
    """The proof for one model, from its first block to its last, while its weights are dense.

    Args:
        model: must not have a block in use if it is streamed.
        name: what error messages call it.

    Raises:
        ModelError: what comes before the blocks is not causal.
    """

    @torch.no_grad()
    def __init__(self, model: LanguageModel, name: str) -> None:
        self._model, self._name = model, name
        self._checked = 0  # blocks
        self._length = min(TOKENS, context_length(model.module.config) or TOKENS)
        with self._computing():
            self._streams = [model.record(ids[None], 1) for ids in self._windows()]
        one, other = (stream.hidden[0] for stream in self._streams)
        self._require_equal(one, other, lambda: one)

    def check_early(self) -> None:
        """Check all blocks, or the first one of a streamed model, whose blocks take long to read.

        Raises:
            ModelError: see `check`.
        """
        streamed = self._model.residence == "streamed"
        for block in self._model.blocks[: 1 if streamed else None]:
            if block.index >= self._checked:
                with self._model.present(block):
                    self.check(block)

    @torch.no_grad()
    def check(self, block: Block) -> None:
        """Check the next block, whose weights are in memory; after the last one, also what comes after it.

        Does nothing if the block is checked already.

        Raises:
            ModelError: it is not causal or cannot be computed separately from the other blocks.
            NonFiniteError: what comes after the last block gives NaN or infinity.
        """
        if block.index < self._checked:
            return
        # Forks, so that a check that fails can be repeated.
        first, second = self._streams[0].fork(), self._streams[1].fork()
        with self._computing():
            first.advance(block)
            second.advance(block)
        routed = any(map(_holds_experts, block.module.modules()))
        self._require_equal(
            first.hidden[0],
            second.hidden[0],
            lambda: next(self._streams[0].through(block)),
            rounding=ROUNDING if routed else 0,
        )
        # The next block starts from equal numbers again.
        second.hidden = [second.hidden[0].clone()]
        self._early(second.hidden[0]).copy_(self._early(first.hidden[0]))
        if block.index == len(self._model.blocks) - 1:
            self._check_whole(first, second)
        self._streams = [first, second]
        self._checked += 1

    def _check_whole(self, first: Stream, second: Stream) -> None:
        """Check what comes after the blocks, and the blocks together against the model as a whole."""
        with self._computing():
            logits, other = (
                self._model.logits(stream.hidden[0], stream.ids[0]).float() for stream in (first, second)
            )
        # Minus infinity rules a token out.
        if first.hidden[0].isfinite().all() and (logits.isnan() | logits.isposinf()).any():
            raise NonFiniteError("The dense model's predictions after its last block are not finite.")
        self._require_equal(logits, other, lambda: self._model.logits(first.hidden[0], first.ids[0]).float())
        if self._model.residence == "streamed":
            return
        whole = self._model.forward(first.ids[0]).float()
        if differ(whole, logits, WHOLE if self._model.dtype == torch.float32 else WHOLE_IN_HALF):
            raise ModelError(
                f"The blocks of {self._title}, computed one after the other, do not give what the model as a "
                "whole gives: they exchange more than hidden states. So it cannot be pruned block by block. "
                "Choose another model."
            )

    def _windows(self) -> tuple[Tensor, Tensor]:
        """Return two windows of token ids `[tokens]` with the same first half; the others all differ."""
        # The ids that stand for images and audio, which need more than the id, are among the last.
        vocabulary, generator = max(2, self._model.vocabulary // 2), torch.Generator().manual_seed(0)
        ids = torch.randint(0, vocabulary, (self._length,), generator=generator)
        shift = torch.randint(1, vocabulary, (self._length,), generator=generator)
        self._early(shift[None]).zero_()
        return ids, (ids + shift) % vocabulary

    def _require_equal(
        self, one: Tensor, other: Tensor, repeat: Callable[[], Tensor], *, rounding: int = 0
    ) -> None:
        """Check that the first halves of `[windows, tokens, width]` are equal.

        Args:
            repeat: computes `one` again, because sums on an accelerator may have no fixed order.
            rounding: the units in the last place by which they may differ.
        """
        one, other = self._early(one), self._early(other)
        # Numbers that are not finite prove nothing; they end the run later, with their cause.
        if torch.equal(one, other) or not (one.isfinite().all() and other.isfinite().all()):
            return
        allowed = rounding * torch.finfo(one.dtype).eps * float(one.abs().max())
        noise = NOISE * float((self._early(repeat()) - one).abs().max())
        if float((one - other).abs().max()) > allowed + noise:
            raise ModelError(
                f"The model {self._title} is not a causal language model: what it computes for a token "
                "depends on the tokens after it. So it has no perplexity and cannot be pruned here. Choose a "
                "model that was trained to predict the next token.",
                kind="not-causal",
            )

    def _early(self, values: Tensor) -> Tensor:
        """Return a view of the first half of the tokens of `[windows, tokens, ...]`."""
        return values[:, : max(1, self._length // 2)]

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Turn what a model's own code raises into a sentence."""
        try:
            yield
        except Exception as error:
            if isinstance(error, PrunescopeError) or is_out_of_memory(error):
                raise
            raise ModelError(
                f"The blocks of {self._title} cannot be computed one after the other "
                f"({type(error).__name__}: {first_words(error, 200)}), so it cannot be pruned here. Choose "
                "another model."
            ) from error

    @property
    def _title(self) -> str:
        return f"{self._name} ({type(self._model.module).__name__})"


def _holds_experts(module: nn.Module) -> bool:
    """Return whether a module holds several experts: in a list, in parameters `[experts, ...]`, or, by its
    class's name, in another layout (DBRX).
    """
    fused = any(parameter.ndim == 3 for parameter in module.parameters(recurse=False))
    return fused or isinstance(module, nn.ModuleList) or "experts" in type(module).__name__.lower()

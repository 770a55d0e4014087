"""How far the predictions of a pruned model are from those wanted, and what the candidates of a search share.

Candidates of an evolution have most sparsities in common with their parent. As long as those of the first
blocks are equal, so are the windows behind them, so these blocks are passed only once (`SharedPlaces`): a
fifth to a third of all passes, because a mutant changes two to six blocks. The dense model's predictions are
kept as well, if they are small.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import exp, inf, isfinite
from threading import Lock
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.language_model import LanguageModel, Stream
    from engine.pruning.statistics import Statistics


Fitness = Literal["kl", "perplexity"]
LOGITS_AT_ONCE = 8_000_000
"""Most logits of one model in memory at a time (32 MB)."""
LOGITS_KEPT = 16_000_000
"""Most logits of the dense model that are kept (64 MB)."""
PLACES_KEPT = 2**27
"""Bytes of windows and statistics that candidates may share."""
LARGEST = 700.0  # nats; exp overflows float64 above 709

Path = tuple[Hashable, ...]
"""The sparsities of the blocks that were passed, one entry each."""


@dataclass
class Place:
    """The input of a block behind certain pruned blocks.

    Attributes:
        stream: the windows there.
        dense: statistics of the block's linears, dense, once a candidate has needed them.
    """

    stream: Stream
    dense: Mapping[str, Statistics] | None = None


class SharedPlaces:
    """Where candidates have been, within a limit of memory; threads may share it.

    Args:
        start: the input of block 0.
        limit: bytes; beyond them the places that were not used for longest are dropped.
    """

    def __init__(self, start: Place, limit: int = PLACES_KEPT) -> None:
        self._start, self._limit, self._left = start, limit, limit
        self._places: OrderedDict[Path, tuple[Place, int]] = OrderedDict()
        self._lock = Lock()

    def deepest(self, path: Path) -> tuple[int, Place]:
        """Return how many blocks of a path need not be passed again, and the place behind them."""
        with self._lock:
            known = next((n for n in range(len(path), 0, -1) if path[:n] in self._places), 0)
            self._use(path[:known])
            return known, self._places[path[:known]][0] if known else self._start

    def add(self, path: Path, place: Place, size: int) -> None:
        """Share a place, which takes `size` bytes."""
        with self._lock:
            # Another thread may have been there at the same time.
            if path in self._places or size > self._limit:
                return
            self._places[path] = place, size
            self._left -= size
            self._use(path)
            while self._left < 0:
                _, (_, freed) = self._places.popitem(last=False)
                self._left += freed

    def _use(self, path: Path) -> None:
        """Note that the places of a path are in use: the deeper ones, which fewer candidates share, first."""
        for n in range(len(path), 0, -1):
            if path[:n] in self._places:
                self._places.move_to_end(path[:n])


class Judge:
    """Judges pruned models by their predictions.

    Args:
        dense: the windows after the last dense block.
        vocabulary: number of token ids.
    """

    def __init__(self, dense: Stream, vocabulary: int) -> None:
        self._dense, self._vocabulary = dense, vocabulary
        tokens = sum(ids.numel() for ids in dense.ids)
        self._kept: dict[tuple[int, int], Tensor] | None = {} if tokens * vocabulary <= LOGITS_KEPT else None

    def unfitness(self, model: LanguageModel, pruned: Stream, kind: Fitness) -> float:
        """Return the mean KL divergence of the windows after the last pruned block, in nats per token, or
        their perplexity; infinite if it is not finite.
        """
        total, count = 0.0, 0
        for batch, (h, h_pruned, ids) in enumerate(
            zip(self._dense.on_device(), pruned.on_device(), self._dense.ids, strict=True)
        ):
            tokens = max(1, LOGITS_AT_ONCE // (len(ids) * self._vocabulary))
            # The tail treats every token separately, so a window may be split; the last token predicts
            # nothing.
            for start in range(0, ids.shape[1] - 1, tokens):
                part = slice(start, min(start + tokens, ids.shape[1] - 1))
                log_q = _log_p(model, h_pruned[:, part], ids[:, part])
                if kind == "kl":
                    log_p = self._dense_log_p(model, (batch, start), h[:, part], ids[:, part])
                    total += torch.nn.functional.kl_div(log_q, log_p, reduction="sum", log_target=True).item()
                else:
                    wanted = ids[:, part.start + 1 : part.stop + 1]  # [windows, tokens]
                    total -= log_q.gather(-1, wanted[..., None]).sum().item()
                count += log_q.shape[0] * log_q.shape[1]
        mean = total / count
        if not isfinite(mean):
            return inf
        return mean if kind == "kl" else exp(min(mean, LARGEST))

    def _dense_log_p(self, model: LanguageModel, key: tuple[int, int], hidden: Tensor, ids: Tensor) -> Tensor:
        if self._kept is None:
            return _log_p(model, hidden, ids)
        if key not in self._kept:  # at worst two threads compute it
            self._kept[key] = _log_p(model, hidden, ids)
        return self._kept[key]


def _log_p(model: LanguageModel, hidden: Tensor, ids: Tensor) -> Tensor:
    """Return log probabilities of the next token, `[windows, tokens, vocabulary]` float32."""
    return model.logits(hidden, ids).float().log_softmax(-1)

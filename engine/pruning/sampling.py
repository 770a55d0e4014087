"""Keeping a few rows of a stream of activations, spread evenly over it, whether or not its length is known
beforehand.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Sample(Protocol):
    """Rows that are kept of all rows that pass."""

    def add(self, rows: Tensor) -> None:
        """Let the next rows `[tokens, in]` pass."""

    @property
    def rows(self) -> Tensor:
        """The rows kept, `[sampled tokens, in]`, in the order in which they passed."""


class EvenSample:
    """`most` rows of the `tokens` that will pass."""

    def __init__(self, most: int, tokens: int) -> None:
        kept = min(most, tokens)
        self._places = torch.arange(kept) * tokens // max(1, kept)  # of the sampled rows among all tokens
        self._passed = 0
        self._kept: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        first, last = torch.searchsorted(
            self._places, torch.tensor([self._passed, self._passed + len(rows)])
        ).tolist()
        self._kept.append(rows[(self._places[first:last] - self._passed).to(rows.device)])
        self._passed += len(rows)

    @property
    def rows(self) -> Tensor:
        return torch.cat(self._kept)


class ThinnedSample:
    """Every n-th row of an unknown number, n the smallest power of two that keeps at most `most` (so at least
    half of that, where as many pass).
    """

    def __init__(self, most: int, width: int, device: torch.device) -> None:
        self._most = max(1, most)
        self._step = 1
        self._passed = 0
        self._kept = torch.empty(0, width, device=device)

    def add(self, rows: Tensor) -> None:
        chosen = rows[-self._passed % self._step :: self._step]
        self._kept = torch.cat([self._kept.to(rows), chosen])
        self._passed += len(rows)
        while len(self._kept) > self._most:
            self._kept = self._kept[::2].clone()
            self._step *= 2

    @property
    def rows(self) -> Tensor:
        return self._kept

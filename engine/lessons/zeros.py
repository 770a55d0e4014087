"""Lesson 8, the second half: what zeros do not buy. One weight in the formats that there are, counted, and
its product, timed on the spot.

The sizes come from the counts of `engine.evaluation.size`, the rounds of the clock from
`engine.evaluation.speed`. Timing takes about a second and a half, on the machine that serves the page.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.evaluation.size import LinearCount, bitmask_bytes, csr_bytes, semi_structured_bytes
from engine.evaluation.speed import Turn, in_turn, quartiles
from engine.hardware.device import Clock
from engine.pruning.patterns import Group, Unstructured, removed

SIDE, TOKENS = 1024, 64
"""The weight `[SIDE, SIDE]` and how many inputs it is multiplied with."""
SHARES = tuple(percent / 100 for percent in range(100))
"""The sparsities of the curves."""
TIMED = (0.0, 0.5, 0.9, 0.99)
"""The sparsities that are timed."""
SECONDS, ROUNDS = 1.5, 60

Kernel = Literal["dense", "csr"]


@dataclass(frozen=True)
class Sizes:
    """Bytes of one weight in each format; `semi_structured` is None where 2:4 cannot hold as many values."""

    dense: int
    bitmask: int
    csr: int
    semi_structured: int | None


def sizes(sparsity: float, width: int) -> Sizes:
    """The weight's bytes with this share of zeros and `width` bytes a value; for 2:4 they would have to lie
    in its pattern.
    """
    count = LinearCount(
        SIDE, SIDE, kept=SIDE * SIDE - removed(SIDE * SIDE, sparsity), two_of_four=sparsity >= 0.5
    )
    packed = semi_structured_bytes(count, width) if count.two_of_four else None
    return Sizes(count.weights * width, bitmask_bytes(count, width), csr_bytes(count, width), packed)


def break_even(width: int) -> dict[str, float]:
    """By format, the least of `SHARES` from which on it is smaller than dense storage."""
    curves = [(share, sizes(share, width)) for share in SHARES]
    return {
        "bitmask": next(share for share, found in curves if found.bitmask < found.dense),
        "csr": next(share for share, found in curves if found.csr < found.dense),
    }


@dataclass(frozen=True)
class Product:
    """One kernel at one sparsity, seconds a product; half of the rounds lie between `low` and `high`."""

    kernel: Kernel
    sparsity: float
    median: float
    low: float
    high: float
    rounds: int


def timings(
    side: int = SIDE, shares: Sequence[float] = TIMED, *, seconds: float = SECONDS, clock: Clock | None = None
) -> tuple[Product, ...]:
    """Times `W X` by the dense kernel and by the one for sparse rows, at each sparsity in turn.

    Args:
        seconds: how long it may take, about; three rounds are always made.
        clock: reads the time; the CPU's own by default.
    """
    generator = torch.Generator().manual_seed(0)
    weight, inputs = (
        torch.randn(side, side, generator=generator),
        torch.randn(side, TOKENS, generator=generator),
    )
    turns: dict[tuple[Kernel, float], Turn] = {}
    for share in shares:
        zeroed = weight * Unstructured(Group.LAYER).keep(weight.abs(), share)
        turns["dense", share] = (_nothing, _product(zeroed, inputs))
        turns["csr", share] = (_nothing, _product(_sparse_rows(zeroed), inputs))
    taken = in_turn(turns, clock or Clock(torch.device("cpu")), ROUNDS, seconds)
    return tuple(
        Product(kernel, share, *quartiles(values), len(values)) for (kernel, share), values in taken.items()
    )


def _product(weight: Tensor, inputs: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def multiply() -> None:
        weight @ inputs

    return multiply


def _sparse_rows(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says that this interface may change
        return weight.to_sparse_csr()


def _nothing() -> None:
    """Nothing has to be made ready."""

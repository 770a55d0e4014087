"""Lesson 8, second half: what zeros save. The size of one weight in the common storage formats, and the time
of its product, measured on the spot.

The sizes come from the counts of `engine.evaluation.size`, the rounds of timing from
`engine.evaluation.speed`. Timing takes about 1.5 seconds on the machine that serves the page.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.evaluation.size import LinearCount, bitmask_bytes, csr_bytes, semi_structured_bytes
from engine.evaluation.speed import Turn, interleaved, quartiles
from engine.hardware.device import Clock
from engine.pruning.patterns import Group, Unstructured, removed

SIDE, TOKENS = 1024, 64
"""The weight is `[SIDE, SIDE]` and is multiplied with this many inputs."""
SHARES = tuple(percent / 100 for percent in range(100))
"""The sparsities of the size curves."""
TIMED = (0.0, 0.5, 0.9, 0.99)
"""The sparsities that are timed."""
SECONDS, ROUNDS = 1.5, 60

Kernel = Literal["dense", "csr"]


@dataclass(frozen=True)
class Sizes:
    """Bytes of one weight in each format; `semi_structured` is None if 2:4 cannot hold that many values."""

    dense: int
    bitmask: int
    csr: int
    semi_structured: int | None


def sizes(sparsity: float, width: int) -> Sizes:
    """Return the size of the weight in each format; for 2:4 the zeros are assumed to follow its pattern.

    Args:
        sparsity: the share of zeros.
        width: bytes per value.
    """
    count = LinearCount(
        SIDE, SIDE, kept=SIDE * SIDE - removed(SIDE * SIDE, sparsity), two_of_four=sparsity >= 0.5
    )
    packed = semi_structured_bytes(count, width) if count.two_of_four else None
    return Sizes(count.weights * width, bitmask_bytes(count, width), csr_bytes(count, width), packed)


def break_even(width: int) -> dict[str, float]:
    """Return, by format, the smallest of `SHARES` at which it is smaller than dense storage."""
    curves = [(share, sizes(share, width)) for share in SHARES]
    return {
        "bitmask": next(share for share, size in curves if size.bitmask < size.dense),
        "csr": next(share for share, size in curves if size.csr < size.dense),
    }


@dataclass(frozen=True)
class Product:
    """The time of one kernel at one sparsity, in seconds per product.

    Attributes:
        median: the median of the rounds.
        low, high: the lower and the upper quartile.
        rounds: how often it was timed.
    """

    kernel: Kernel
    sparsity: float
    median: float
    low: float
    high: float
    rounds: int


def timings(
    side: int = SIDE, shares: Sequence[float] = TIMED, *, seconds: float = SECONDS, clock: Clock | None = None
) -> tuple[Product, ...]:
    """Time `W X` by the dense kernel and by the kernel for sparse rows, at each sparsity in turn.

    Args:
        side: the weight is `[side, side]`.
        shares: the sparsities.
        seconds: about how long it may take; at least three rounds are always run.
        clock: reads the time; by default that of the CPU.
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(side, side, generator=generator)
    inputs = torch.randn(side, TOKENS, generator=generator)  # [in, tokens]
    turns: dict[tuple[Kernel, float], Turn] = {}
    for share in shares:
        # The magnitudes are random, so the zeros are spread evenly over the rows.
        pruned = weight * Unstructured(Group.LAYER).keep(weight.abs(), share)
        turns["dense", share] = (_prepare_nothing, _product(pruned, inputs))
        turns["csr", share] = (_prepare_nothing, _product(as_csr(pruned), inputs))
    taken = interleaved(turns, clock or Clock(torch.device("cpu")), ROUNDS, seconds)
    return tuple(
        Product(kernel, share, *quartiles(values), len(values)) for (kernel, share), values in taken.items()
    )


def _product(weight: Tensor, inputs: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def multiply() -> None:
        weight @ inputs

    return multiply


def as_csr(weight: Tensor) -> Tensor:
    """Return a weight in compressed sparse row format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that its CSR interface is in beta
        return weight.to_sparse_csr()


def _prepare_nothing() -> None:
    """A turn consists of preparation and work; a product needs no preparation."""

"""Lesson 8: losses by hand, a chain of layers compared with its formula, sizes by hand, and timing with a
fake clock.
"""

from __future__ import annotations

from math import exp, log, prod

import pytest
import torch

from engine.hardware.device import Clock
from engine.lessons import perplexity_explosion, sparse_formats
from engine.lessons.sparse_formats import SIDE, Sizes


def test_perplexity_is_the_geometric_mean_of_one_over_p():
    found = perplexity_explosion.token_losses()
    assert found.perplexity == pytest.approx(prod(1 / p for p in found.probabilities) ** (1 / 20))
    assert found.nll == pytest.approx(log(found.perplexity))
    assert not found.damaged


def test_a_damaged_token_multiplies_the_perplexity_by_its_share_of_the_sum():
    before, after = perplexity_explosion.token_losses(), perplexity_explosion.token_losses(1, 6)
    (at,) = after.damaged
    lost = 6 * log(10) + log(before.probabilities[at])
    assert after.perplexity / before.perplexity == pytest.approx(exp(lost / 20))
    assert after.losses[at] == pytest.approx(6 * log(10))


def test_a_token_is_never_made_more_probable():
    assert perplexity_explosion.token_losses(5, 0).probabilities == perplexity_explosion.PROBABILITIES


def test_without_pruning_the_signal_is_unchanged():
    chain = perplexity_explosion.chain(0.0)
    assert set(chain.own) == set(chain.error) == set(chain.law) == {0.0}


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7])
def test_the_kept_shares_of_a_chain_multiply(sparsity):
    """The formula, computed as a product, and the measured error close to it."""
    chain = perplexity_explosion.chain(sparsity)
    kept = 1.0
    for law, error in zip(chain.law, chain.error, strict=True):
        kept *= 1 - sum(own**2 for own in chain.own) / len(chain.own)
        assert law == pytest.approx((1 - kept) ** 0.5)
        assert error == pytest.approx(law, rel=0.2)
    assert chain.error[0] == pytest.approx(chain.own[0])


def test_the_errors_neither_cancel_nor_add():
    chain = perplexity_explosion.chain(0.3)
    assert 4 * chain.typical < chain.error[-1] < sum(chain.own) / 4


def test_sizes_by_hand():
    weights = SIDE * SIDE
    assert sparse_formats.sizes(0.5, 2) == Sizes(
        dense=2 * weights,
        bitmask=weights // 8 + weights,
        csr=weights // 2 * 6 + 4 * (SIDE + 1),
        semi_structured=weights + weights // 8,
    )
    assert sparse_formats.sizes(0.25, 4).semi_structured is None


@pytest.mark.parametrize(("width", "csr", "bitmask"), [(2, 0.67, 0.07), (4, 0.51, 0.04)])
def test_the_break_even_of_a_format(width, csr, bitmask):
    """Sparse rows: (w + 4) (1 - s) < w; bitmask: 1/8 + w (1 - s) < w."""
    assert sparse_formats.break_even(width) == {"csr": csr, "bitmask": bitmask}


class SteppingClock(Clock):
    """A clock that advances by one second at each reading."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.readings = 0

    def now(self) -> float:
        self.readings += 1
        return float(self.readings)


def test_each_kernel_is_timed_at_each_share_and_at_least_three_times():
    found = sparse_formats.timings(16, (0.0, 0.5), seconds=5.0, clock=SteppingClock())
    assert {(each.kernel, each.sparsity) for each in found} == {
        ("dense", 0.0),
        ("csr", 0.0),
        ("dense", 0.5),
        ("csr", 0.5),
    }
    assert all((each.median, each.low, each.high, each.rounds) == (1.0, 1.0, 1.0, 3) for each in found)


def test_both_kernels_compute_the_same_product():
    generator = torch.Generator().manual_seed(2)
    weight, inputs = torch.randn(8, 8, generator=generator).relu(), torch.randn(8, 3, generator=generator)
    assert torch.allclose(sparse_formats.as_csr(weight) @ inputs, weight @ inputs)

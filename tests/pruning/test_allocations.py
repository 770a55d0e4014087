"""Sparsity per block: its parameter-weighted mean is the target for any block sizes."""

from typing import Any

import pytest
import torch

from engine.pruning.allocations.neuroal import block_candidates, row_sparsities
from engine.pruning.axes import Shares
from engine.pruning.plan import Plan
from engine.pruning.search import AllocationContext
from engine.pruning.shares import HIGHEST, centred, rescaled, weighted_mean, within_limits

SIZES = [[100, 100, 100, 100], [10, 200, 3000, 40], [1, 1_000_000, 1, 7], [37, 37, 911, 5]]
SIZE_ONLY = {"uniform": {}, "manual": {"manual.ratios": (0.1, 0.9, 0.4, 0.6), "manual.rescale": "yes"}}
"""Allocations that depend on block sizes only, with settings for four blocks."""


def mean(ratios: list[float], sizes: list[int]) -> float:
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def shares(target: float, sizes: list[int], **choices: Any) -> Shares:
    """Return an allocation's result after consuming its events."""
    steps = Plan.of(score="magnitude", **choices).allocate(AllocationContext(target, sizes))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.05, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("name", SIZE_ONLY)
def test_the_weighted_mean_is_the_target(name: str, target: float, sizes: list[int]) -> None:
    ratios = shares(target, sizes, allocation=name, settings=SIZE_ONLY[name]).blocks
    assert len(ratios) == len(sizes) and all(0 <= ratio <= 0.99 + 1e-12 for ratio in ratios)
    assert mean(list(ratios), sizes) == pytest.approx(target, abs=1e-9)


def test_uniform() -> None:
    assert shares(0.37, [5, 9, 2]) == Shares((0.37, 0.37, 0.37))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.005, 0.01, 0.3, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 3.0])
def test_clipping_preserves_the_mean(strength: float, target: float, sizes: list[int]) -> None:
    spread = centred([strength * place for place in (0, 1, 2, 3)], sizes, target)
    ratios, clipped = within_limits(spread, sizes, target)
    assert mean(ratios, sizes) == pytest.approx(target, abs=1e-9)
    assert all(min(0.01, target) <= ratio <= 0.99 + 1e-12 for ratio in ratios)
    if not clipped and 0.01 <= target <= 0.99:
        assert ratios == pytest.approx(spread), "rescaled although nothing was clipped"


def test_limits_by_hand() -> None:
    # -0.1 and 0.6 with mean 0.25: the first is clipped to 0.01, and c solves 0.01 + c * 0.6 = 0.5.
    assert within_limits([-0.1, 0.6], [1, 1], 0.25) == (pytest.approx([0.01, 0.49], abs=1e-9), (0,))


def test_rows_with_the_largest_norm_loss_keep_most() -> None:
    rows = row_sparsities(torch.tensor([0.0, 1.0, 3.0, 4.0]), 0.6, 0.1)
    assert rows.tolist() == pytest.approx([0.7, 0.65, 0.55, 0.5])


@pytest.mark.parametrize("norm_loss", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [5.0]])
def test_equal_norm_losses_give_equal_row_sparsities(norm_loss: list[float]) -> None:
    assert row_sparsities(torch.tensor(norm_loss), 0.6, 0.25).tolist() == [0.6] * len(norm_loss)


@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.05, 0.5, 0.7, 0.95, 0.99])
@pytest.mark.parametrize("strength", [0.0, 0.02, 0.25])
def test_row_sparsities_have_the_target_mean(sparsity: float, strength: float) -> None:
    norm_loss = torch.rand(50, generator=torch.Generator().manual_seed(0)) ** 4
    rows = row_sparsities(norm_loss, sparsity, strength)
    assert rows.mean().item() == pytest.approx(sparsity, abs=1e-9)
    assert rows.min() >= min(0.01, sparsity) and rows.max() <= 0.99 + 1e-12


def test_block_candidates_rise_with_depth() -> None:
    candidates = block_candidates(AllocationContext(0.5, [10] * 5))
    assert list(candidates) == [
        0.01,
        0.02,
        0.03,
        0.04,
        0.05,
        0.06,
        0.07,
        0.08,
        0.09,
        0.1,
        0.12,
        0.15,
        0.2,
        0.25,
    ]
    assert candidates[0.1].blocks == pytest.approx([0.4, 0.45, 0.5, 0.55, 0.6])
    assert not candidates[0.25].clipped


def test_from_80_percent_the_widest_candidate_is_dropped_and_clipping_is_reported() -> None:
    candidates = block_candidates(AllocationContext(0.8, [10] * 3))
    assert 0.25 not in candidates and len(candidates) == 13
    assert candidates[0.2].clipped == (2,) and candidates[0.2].blocks[2] == pytest.approx(0.99)
    assert mean(list(candidates[0.2].blocks), [10] * 3) == pytest.approx(0.8, abs=1e-9)


def test_a_single_block_gets_the_target() -> None:
    assert {candidate.blocks for candidate in block_candidates(AllocationContext(0.6, [10])).values()} == {
        (0.6,)
    }


def test_rescaling_by_hand() -> None:
    assert rescaled([0.2, 0.4], [100, 100], 0.6) == pytest.approx([0.4, 0.8], abs=1e-9)
    assert rescaled([0.2, 0.4], [300, 100], 0.5) == pytest.approx([0.4, 0.8], abs=1e-9)  # mean 0.25, factor 2
    assert rescaled([0.4, 0.8], [100, 100], 0.3) == pytest.approx([0.2, 0.4], abs=1e-9)
    # The second is clipped, and the first takes the rest.
    assert rescaled([0.1, 0.9], [100, 100], 0.8) == pytest.approx([0.61, 0.99], abs=1e-9)


def test_unclipped_blocks_compensate_in_proportion() -> None:
    ratios = rescaled([0.1, 0.2, 0.9], [100, 100, 100], 0.6)
    assert ratios[2] == pytest.approx(HIGHEST)
    assert ratios[1] == pytest.approx(2 * ratios[0])
    assert mean(ratios, [100, 100, 100]) == pytest.approx(0.6, abs=1e-9)


def test_clipping_one_block_may_clip_another() -> None:
    sizes = [100, 100, 100, 100]
    ratios = rescaled([0.05, 0.3, 0.5, 0.9], sizes, 0.8)
    assert ratios[1:] == pytest.approx([HIGHEST] * 3)
    assert ratios[0] == pytest.approx(4 * 0.8 - 3 * HIGHEST, abs=1e-9)


def test_blocks_at_zero_stay_at_zero_if_the_others_can_reach_the_target() -> None:
    ratios = rescaled([0.0, 0.5, 0.25, 0.0], [100, 100, 100, 100], 0.4)
    assert ratios[0] == ratios[3] == 0.0
    assert mean(ratios, [100] * 4) == pytest.approx(0.4, abs=1e-9)


@pytest.mark.parametrize("ratios", [[0.0, 0.0, 0.0], [0.0, 0.3, 0.0]])
def test_if_the_others_cannot_reach_the_target_all_blocks_get_it(ratios: list[float]) -> None:
    assert rescaled(ratios, [100, 100, 100], 0.6) == pytest.approx([0.6] * 3, abs=1e-9)


def test_a_target_of_zero_sets_all_ratios_to_zero() -> None:
    assert rescaled([0.3, 0.6], [10, 90], 0.0) == pytest.approx([0.0, 0.0], abs=1e-12)


def test_ratios_with_the_target_mean_are_unchanged() -> None:
    assert rescaled([0.3, 0.7], [100, 100], 0.5) == pytest.approx([0.3, 0.7], abs=1e-12)


def test_manual_without_rescaling_returns_the_ratios_as_entered() -> None:
    assert shares(0.5, [10, 20], allocation="manual", settings={"manual.ratios": (0.1, 0.7)}).blocks == (
        0.1,
        0.7,
    )


def test_weighted_mean() -> None:
    assert weighted_mean([0.5, 0.1], [100, 300]) == pytest.approx(0.2)
    assert weighted_mean([0.3], [17]) == pytest.approx(0.3)

"""How much each block loses: the parameter-weighted mean is the target, whatever the sizes."""

from typing import Any

import pytest
import torch

from engine.pruning.allocations.neuroal import block_candidates, row_sparsities
from engine.pruning.plan import Plan
from engine.pruning.search import AllocationContext
from engine.pruning.shares import HIGHEST, Shares, centred, rescaled, weighted_mean, within_limits

SIZES = [[100, 100, 100, 100], [10, 200, 3000, 40], [1, 1_000_000, 1, 7], [37, 37, 911, 5]]
BLIND = {"uniform": {}, "manual": {"manual.ratios": (0.1, 0.9, 0.4, 0.6), "manual.rescale": "yes"}}
"""Allocations that look at the sizes alone, with settings for four blocks; `test_method_oracles` has those
that look at a model.
"""


def mean(ratios: list[float], sizes: list[int]) -> float:
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def shares(target: float, sizes: list[int], **choices: Any) -> Shares:
    """What an allocation returns when its events have been read."""
    steps = Plan.of(score="magnitude", **choices).allocate(AllocationContext(target, sizes))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.05, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("name", BLIND)
def test_the_weighted_mean_is_the_target(name: str, target: float, sizes: list[int]) -> None:
    ratios = shares(target, sizes, allocation=name, settings=BLIND[name]).blocks
    assert len(ratios) == len(sizes) and all(0 <= ratio <= 0.99 + 1e-12 for ratio in ratios)
    assert mean(list(ratios), sizes) == pytest.approx(target, abs=1e-9)


def test_uniform() -> None:
    assert shares(0.37, [5, 9, 2]) == Shares((0.37, 0.37, 0.37))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.005, 0.01, 0.3, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 3.0])
def test_within_limits_keeps_the_mean_whatever_is_clipped(
    strength: float, target: float, sizes: list[int]
) -> None:
    spread = centred([strength * place for place in (0, 1, 2, 3)], sizes, target)
    ratios, held = within_limits(spread, sizes, target)
    assert mean(ratios, sizes) == pytest.approx(target, abs=1e-9)
    assert all(min(0.01, target) <= ratio <= 0.99 + 1e-12 for ratio in ratios)
    if not held and 0.01 <= target <= 0.99:
        assert ratios == pytest.approx(spread), "rescaled though nothing was clipped"


def test_hand_worked_limits() -> None:
    # -0.1 and 0.6 with mean 0.25: the first is held at 0.01, and the factor is such that 0.01 + c * 0.6 =
    # 0.5.
    assert within_limits([-0.1, 0.6], [1, 1], 0.25) == (pytest.approx([0.01, 0.49], abs=1e-9), (0,))


def test_rows_spare_those_whose_norm_fell_most() -> None:
    rows = row_sparsities(torch.tensor([0.0, 1.0, 3.0, 4.0]), 0.6, 0.1)
    assert rows.tolist() == pytest.approx([0.7, 0.65, 0.55, 0.5])


@pytest.mark.parametrize("lost", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [5.0]])
def test_where_nothing_tells_the_rows_apart_they_are_alike(lost: list[float]) -> None:
    assert row_sparsities(torch.tensor(lost), 0.6, 0.25).tolist() == [0.6] * len(lost)


@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.05, 0.5, 0.7, 0.95, 0.99])
@pytest.mark.parametrize("strength", [0.0, 0.02, 0.25])
def test_row_sparsities_keep_their_mean(sparsity: float, strength: float) -> None:
    lost = torch.rand(50, generator=torch.Generator().manual_seed(0)) ** 4
    rows = row_sparsities(lost, sparsity, strength)
    assert rows.mean().item() == pytest.approx(sparsity, abs=1e-9)
    assert rows.min() >= min(0.01, sparsity) and rows.max() <= 0.99 + 1e-12


def test_a_block_step_rises_with_depth() -> None:
    found = block_candidates(AllocationContext(0.5, [10] * 5))
    assert list(found) == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25]
    assert found[0.1].blocks == pytest.approx([0.4, 0.45, 0.5, 0.55, 0.6])
    assert not found[0.25].clipped


def test_from_80_percent_on_the_widest_is_left_out_and_what_is_clipped_is_said() -> None:
    found = block_candidates(AllocationContext(0.8, [10] * 3))
    assert 0.25 not in found and len(found) == 13
    assert found[0.2].clipped == (2,) and found[0.2].blocks[2] == pytest.approx(0.99)
    assert mean(list(found[0.2].blocks), [10] * 3) == pytest.approx(0.8, abs=1e-9)


def test_one_block_has_nothing_to_share_out() -> None:
    assert {candidate.blocks for candidate in block_candidates(AllocationContext(0.6, [10])).values()} == {
        (0.6,)
    }


def test_hand_worked_rescaling() -> None:
    assert rescaled([0.2, 0.4], [100, 100], 0.6) == pytest.approx([0.4, 0.8], abs=1e-9)
    assert rescaled([0.2, 0.4], [300, 100], 0.5) == pytest.approx([0.4, 0.8], abs=1e-9)  # mean 0.25, factor 2
    assert rescaled([0.4, 0.8], [100, 100], 0.3) == pytest.approx([0.2, 0.4], abs=1e-9)
    assert rescaled([0.1, 0.9], [100, 100], 0.8) == pytest.approx(
        [0.61, 0.99], abs=1e-9
    )  # the second is clipped, the first takes the rest


def test_what_is_clipped_is_made_up_for_by_the_others_in_proportion() -> None:
    ratios = rescaled([0.1, 0.2, 0.9], [100, 100, 100], 0.6)
    assert ratios[2] == pytest.approx(HIGHEST)
    assert ratios[1] == pytest.approx(2 * ratios[0])
    assert mean(ratios, [100, 100, 100]) == pytest.approx(0.6, abs=1e-9)


def test_clipping_one_may_clip_the_next() -> None:
    sizes = [100, 100, 100, 100]
    ratios = rescaled([0.05, 0.3, 0.5, 0.9], sizes, 0.8)
    assert ratios[1:] == pytest.approx([HIGHEST] * 3)
    assert ratios[0] == pytest.approx(4 * 0.8 - 3 * HIGHEST, abs=1e-9)


def test_blocks_at_zero_stay_there_while_the_others_suffice() -> None:
    ratios = rescaled([0.0, 0.5, 0.25, 0.0], [100, 100, 100, 100], 0.4)
    assert ratios[0] == ratios[3] == 0.0
    assert mean(ratios, [100] * 4) == pytest.approx(0.4, abs=1e-9)


@pytest.mark.parametrize("ratios", [[0.0, 0.0, 0.0], [0.0, 0.3, 0.0]])
def test_where_the_others_do_not_suffice_all_get_the_target(ratios: list[float]) -> None:
    assert rescaled(ratios, [100, 100, 100], 0.6) == pytest.approx([0.6] * 3, abs=1e-9)


def test_a_target_of_zero_empties_all() -> None:
    assert rescaled([0.3, 0.6], [10, 90], 0.0) == pytest.approx([0.0, 0.0], abs=1e-12)


def test_ratios_already_right_stay() -> None:
    assert rescaled([0.3, 0.7], [100, 100], 0.5) == pytest.approx([0.3, 0.7], abs=1e-12)


def test_manual_without_rescaling_is_what_was_typed() -> None:
    assert shares(0.5, [10, 20], allocation="manual", settings={"manual.ratios": (0.1, 0.7)}).blocks == (
        0.1,
        0.7,
    )


def test_weighted_mean() -> None:
    assert weighted_mean([0.5, 0.1], [100, 300]) == pytest.approx(0.2)
    assert weighted_mean([0.3], [17]) == pytest.approx(0.3)

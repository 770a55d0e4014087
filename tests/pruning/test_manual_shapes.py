"""Starting shapes of a manual allocation: the mean is the target for any sizes, and the form is as named."""

from itertools import pairwise

import pytest

from engine.pruning.allocations.manual import TOLERANCE, ends_spared, flat, ramp
from engine.pruning.shares import HIGHEST, weighted_mean

SIZES = [[100] * 8, [10, 200, 3000, 40], [1, 1_000_000, 1, 7], [5, 9], [12]]
SHAPES = {
    "flat": flat,
    "rising": ramp,
    "falling": lambda sizes, target: ramp(sizes, target, falling=True),
    "ends": ends_spared,
}


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.05, 0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("name", SHAPES)
def test_the_weighted_mean_is_the_target(name, target, sizes):
    ratios = SHAPES[name](sizes, target)
    assert len(ratios) == len(sizes) and all(0 <= ratio <= HIGHEST for ratio in ratios)
    assert weighted_mean(ratios, sizes) == pytest.approx(target, abs=1e-9)


def test_shapes_by_hand():
    even = [7] * 5
    assert flat(even, 0.3) == [0.3] * 5
    assert ramp(even, 0.5) == pytest.approx([0.4, 0.45, 0.5, 0.55, 0.6], abs=1e-9)
    assert ramp(even, 0.5, falling=True) == pytest.approx([0.6, 0.55, 0.5, 0.45, 0.4], abs=1e-9)
    assert ends_spared([1, 1, 1, 1], 0.6) == pytest.approx([0.4, 0.8, 0.8, 0.4], abs=1e-9)
    assert ends_spared([1, 2, 1], 0.6) == pytest.approx([0.4, 0.8, 0.4], abs=1e-9), (
        "blocks are weighted by their number of weights"
    )


@pytest.mark.parametrize("sizes", [[100] * 8, [10, 200, 3000, 40]], ids=str)
def test_a_ramp_rises_until_it_is_clipped(sizes):
    assert all(lower < upper for lower, upper in pairwise(ramp(sizes, 0.5)))
    high = ramp(sizes, 0.93)
    assert high[-1] == HIGHEST and all(lower <= upper for lower, upper in pairwise(high))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("blocks", [1, 2])
def test_shapes_of_one_or_two_blocks(name, blocks):
    ratios = SHAPES[name]([10] * blocks, 0.5)
    if blocks == 1 or name in ("flat", "ends"):
        assert ratios == pytest.approx([0.5] * blocks, abs=1e-9), (
            "there is no block between the first and the last"
        )


@pytest.mark.parametrize("name", SHAPES)
def test_rounding_to_four_decimals_is_within_the_recipe_tolerance(name):
    sizes = [3_000_000 + 1_000 * place for place in range(32)]
    assert (
        abs(weighted_mean([round(ratio, 4) for ratio in SHAPES[name](sizes, 0.6543)], sizes) - 0.6543)
        < TOLERANCE / 5
    )

"""How much each block loses: the parameter-weighted mean is the target, whatever the sizes."""

import pytest

from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.allocations.manual import MAXIMUM, manual, rescaled, weighted_mean
from engine.pruning.methods import ALLOCATIONS
from engine.pruning.plan import Plan

SIZES = [[100, 100, 100, 100], [10, 200, 3000, 40], [1, 1_000_000, 1, 7], [37, 37, 911, 5]]
EXAMPLES = {"uniform": {}, "manual": {"manual.ratios": (0.1, 0.9, 0.4, 0.6), "manual.rescale": "yes"}}
"""Settings for each allocation, on four blocks."""


def mean(ratios: list[float], sizes: list[int]) -> float:
    return sum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)


def test_every_allocation_has_an_example() -> None:
    assert set(EXAMPLES) == set(ALLOCATIONS), "add settings for each allocation, so that the laws below are tested on it"


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("target", [0.0, 0.05, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("name", ALLOCATIONS)
def test_the_weighted_mean_is_the_target(name: str, target: float, sizes: list[int]) -> None:
    ratios = Plan.of(score="magnitude", allocation=name, settings=EXAMPLES[name]).ratios(target, sizes)
    assert len(ratios) == len(sizes) and all(0 <= ratio <= 0.99 + 1e-12 for ratio in ratios)
    assert mean(list(ratios), sizes) == pytest.approx(target, abs=1e-9)


def test_uniform() -> None:
    assert Plan.of(score="magnitude").ratios(0.37, [5, 9, 2]) == (0.37, 0.37, 0.37)


def test_hand_worked_rescaling() -> None:
    assert rescaled([0.2, 0.4], [100, 100], 0.6) == pytest.approx([0.4, 0.8], abs=1e-9)
    assert rescaled([0.2, 0.4], [300, 100], 0.5) == pytest.approx([0.4, 0.8], abs=1e-9)  # mean 0.25, factor 2
    assert rescaled([0.4, 0.8], [100, 100], 0.3) == pytest.approx([0.2, 0.4], abs=1e-9)
    assert rescaled([0.1, 0.9], [100, 100], 0.8) == pytest.approx([0.61, 0.99], abs=1e-9)  # the second is clipped, the first takes the rest


def test_what_is_clipped_is_made_up_for_by_the_others_in_proportion() -> None:
    ratios = rescaled([0.1, 0.2, 0.9], [100, 100, 100], 0.6)
    assert ratios[2] == pytest.approx(MAXIMUM)
    assert ratios[1] == pytest.approx(2 * ratios[0])
    assert mean(ratios, [100, 100, 100]) == pytest.approx(0.6, abs=1e-9)


def test_clipping_one_may_clip_the_next() -> None:
    sizes = [100, 100, 100, 100]
    ratios = rescaled([0.05, 0.3, 0.5, 0.9], sizes, 0.8)
    assert ratios[1:] == pytest.approx([MAXIMUM] * 3)
    assert ratios[0] == pytest.approx(4 * 0.8 - 3 * MAXIMUM, abs=1e-9)


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
    assert list(manual(0.5, [10, 20], ratios=(0.1, 0.7), rescale="no")) == [0.1, 0.7]


def test_weighted_mean() -> None:
    assert weighted_mean([0.5, 0.1], [100, 300]) == pytest.approx(0.2)
    assert weighted_mean([0.3], [17]) == pytest.approx(0.3)

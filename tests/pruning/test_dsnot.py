"""DSnoT by hand and by the published code's rules: the order of swaps, when a row stops, edge cases.

`test_dsnot_oracles.py` compares with float64; the examples here show why a swap is made, and simulate the
published order of steps.
"""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning.axes import REFINEMENTS, Refined
from engine.pruning.patterns import SemiStructured
from engine.pruning.refinements.swaps import COLUMNS_PER_SWAP, MOST_CYCLES, default_cycles, highest
from engine.pruning.selection import remove_lowest
from engine.pruning.statistics import Statistics
from tests.pruning.calls import defaults

METHODS = ["dsnot", "r2-dsnot"]
SHAPES = [None, 4, 8]
GROUPED: dict[int | None, tuple[int, int]] = {4: (2, 4), 8: (4, 8)}


def given_statistics(norm: Tensor, total: Tensor, variance: Tensor) -> Statistics:
    """Return statistics with the given values, each `[in]`."""
    return cast(Statistics, SimpleNamespace(input_norm=norm, input_sum=total, input_variance=variance))


def refine(
    name: str, keep: Tensor, weight: Tensor, statistics: Statistics, group: int | None = None, **chosen: Any
) -> Refined:
    chosen = {"cycles": 50, **chosen}
    parameters = defaults(REFINEMENTS[name], **chosen)
    parameters.pop("layers")
    return REFINEMENTS[name].function(keep, weight, statistics, group=group, **parameters)


def wide_layer(rows: int = 40, width: int = 1024, seed: int = 0) -> tuple[Tensor, Statistics]:
    """Return a layer with so many columns that no row runs out of candidates."""
    generator = torch.Generator().manual_seed(seed)
    variance = torch.rand(width, generator=generator) + 0.1
    total = torch.randn(width, generator=generator) * 8
    norm = (128 * variance + total.square() / 128).sqrt()
    return torch.randn(rows, width, generator=generator) * 0.3, given_statistics(norm, total, variance)


def score_mask(weight: Tensor, statistics: Statistics, group: int | None) -> Tensor:
    score = weight.abs() * statistics.input_norm
    return (
        remove_lowest(score, weight.shape[1] // 2).keep
        if group is None
        else SemiStructured(*GROUPED[group]).keep(score, 0.5)
    )


# ---- by hand: m = v = a = 1, so c is the weight and the score its magnitude


def by_hand(
    weights: list[float],
    kept: str,
    group: int | None = None,
    *,
    variance: list[float] | None = None,
    **chosen: Any,
) -> tuple[str, Refined]:
    """Refine one row; `kept` and the result have a 1 for every kept weight and a 0 for every pruned one."""
    ones = torch.ones(len(weights))
    statistics = given_statistics(ones, ones, ones if variance is None else torch.tensor(variance))
    keep = torch.tensor([[digit == "1" for digit in kept]])
    got = refine("dsnot", keep, torch.tensor([weights]), statistics, group, **chosen)
    return "".join("1" if entry else "0" for entry in got.keep[0]), got


def test_swaps_are_made_in_order() -> None:
    # e = 1 + 3 + 2 = 6. Grow 3, prune -0.5: 2.5. Grow 2, prune -1: -0.5. The only negative weights that could
    # now grow have just been pruned.
    kept, got = by_hand([1.0, 3.0, 2.0, -1.0, -0.5, -4.0], "000111")
    assert kept == "011001"
    assert (got.swaps, got.drift_before, got.drift_after) == (2, 6.0, 0.5)


def test_each_sign_has_its_own_position_in_the_lists() -> None:
    # e = 5 + 1 - 2 = 4. e > 0: grow 5, prune -1.5: -2.5. e < 0: grow -2, prune 0.25: -0.25. Then no negative
    # weight is left to grow, and 1 has the wrong sign.
    kept, got = by_hand([5.0, 1.0, -2.0, -1.5, 0.25, 3.0], "000111")
    assert kept == "101001"
    assert (got.swaps, got.drift_after) == (2, 0.25)


def test_a_side_continues_from_its_last_position() -> None:
    # e = 6 + 5 - 9 + 0.5 = 2.5. Grow 6, prune -1: -4.5. Grow -9, prune 2: 6.5. Grow 5, prune -3: -1.5. No
    # negative weight is left to grow.
    kept, got = by_hand([6.0, 5.0, -9.0, 0.5, -1.0, 2.0, -3.0, 8.0], "00001111")
    assert kept == "11100001"
    assert (got.swaps, got.drift_after) == (3, 1.5)


def test_the_threshold_is_checked_before_each_swap() -> None:
    weights, kept = [1.0, 3.0, 2.0, -1.0, -0.5, -4.0], "000111"
    assert by_hand(weights, kept, threshold=2.5)[1].swaps == 1
    assert by_hand(weights, kept, threshold=2.4)[1].swaps == 2
    assert by_hand(weights, kept, threshold=6.0)[1].swaps == 0
    assert by_hand(weights, kept, cycles=1)[1].swaps == 1


def test_a_row_stops_when_no_prunable_entry_is_left() -> None:
    kept, got = by_hand([3.0, 2.0, -0.5, 4.0, 5.0], "00111")
    assert (kept, got.swaps, got.drift_after) == ("10011", 1, 1.5)


def test_entries_without_effect_are_neither_grown_nor_pruned() -> None:
    assert by_hand([0.0, 2.0, 0.0, 1.0], "0011")[1].swaps == 0
    assert by_hand([0.0, 0.0, -1.0, 1.0], "0011")[1].swaps == 0


def test_swaps_that_raise_the_error_are_made_as_published_unless_disabled() -> None:
    # e = 1 becomes 1 - 1 - 4 = -4, and no further swap is possible.
    assert by_hand([1.0, -4.0], "01")[0] == "10"
    assert by_hand([1.0, -4.0], "01", lower="yes")[0] == "01"


def test_a_swap_that_negates_the_error_does_not_lower_it() -> None:
    assert by_hand([1.0, -1.0], "01", lower="yes")[0] == "01"


def test_same_sign_rejects_swaps_that_flip_the_sign() -> None:
    weights, kept = [1.0, 3.0, 2.0, -1.0, -0.5, -4.0], "000111"
    assert by_hand(weights, kept, same_sign="yes")[0] == "010101"
    assert (
        by_hand(weights, kept, same_sign="no")[0]
        == by_hand(weights, kept, same_sign="published")[0]
        == "011001"
    )
    # In groups of two, e = 3: grow 2, prune 1 of its group: 2. Grow 1, prune -3: that would be -2.
    for choice, expected in (("published", "1001"), ("yes", "1001"), ("no", "1010")):
        assert by_hand([2.0, 1.0, 1.0, -3.0], "0101", 2, same_sign=choice)[0] == expected


def test_in_a_group_the_lowest_score_is_pruned_regardless_of_sign() -> None:
    # e = 6: grow 4, prune 1, the lowest of its group, although that does not help: e = 3.
    kept, got = by_hand([4.0, 1.0, -2.0, 2.0, 7.0, 7.0], "011011", 3, cycles=1)
    assert (kept, got.drift_before, got.drift_after) == ("101011", 6.0, 3.0)


def test_a_group_without_a_partner_is_skipped() -> None:
    # Groups of four with one kept weight each. Grow 5, prune 1: 4 and 3 have no partner left. In the next
    # group grow 2, prune -6.
    kept, got = by_hand([5.0, 4.0, 3.0, 1.0, 2.0, 0.5, 0.25, -6.0], "00010001", 4)
    assert kept == "10001000"
    assert (got.swaps, got.drift_before, got.drift_after) == (2, 14.75, 2.75)


def test_constant_inputs_grow_first_larger_before_smaller() -> None:
    weights, kept = [50.0, 1.0, 2.0, 0.0, -1.0], "00001"
    assert by_hand(weights, kept)[0] == "10000"
    assert by_hand(weights, kept, variance=[1.0, 0.0, 1.0, 0.0, 1.0])[0] == "01000"
    assert by_hand(weights, kept, variance=[1.0, 0.0, 0.0, 0.0, 1.0])[0] == "00100"
    assert by_hand(weights, kept, variance=[1.0, 0.0, 1e-30, 0.0, 1.0])[0] == "01000", (
        "a small variance is not zero"
    )


def test_ties_are_broken_by_column() -> None:
    assert by_hand([1.0, 1.0, 1.0, -0.5, -0.5, 9.0], "000111", cycles=1)[0] == "100011"
    assert by_hand([-1.0, -1.0, -1.0, 0.5, 0.5, 9.0], "000111", cycles=1)[0] == "100011"
    assert by_hand([1.0, 1.0, 0.5, 0.5], "0011", 4, cycles=1)[0] == "1001"


# ---- edges


@pytest.mark.parametrize("group", SHAPES)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kept", [True, False])
def test_all_kept_or_all_pruned_is_unchanged(name: str, group: int | None, kept: bool) -> None:
    weight, statistics = wide_layer(4, 64)
    got = refine(
        name, torch.full_like(weight, kept, dtype=torch.bool), weight, statistics, group, same_sign="no"
    )
    assert bool((got.keep == kept).all()) and got.swaps == 0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kept", [True, False])
def test_one_column(name: str, kept: bool) -> None:
    statistics = given_statistics(torch.ones(1), torch.ones(1), torch.ones(1))
    got = refine(name, torch.full((3, 1), kept), torch.tensor([[2.0], [0.0], [-2.0]]), statistics)
    assert bool((got.keep == kept).all()) and got.swaps == 0
    assert got.drift_after == (0 if kept else pytest.approx(4 / 3))


@pytest.mark.parametrize("group", SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_rows_of_zeros_and_inputs_without_variance(name: str, group: int | None) -> None:
    weight, statistics = wide_layer(6, 256)
    weight[2] = 0
    constant = given_statistics(statistics.input_norm, statistics.input_sum.clone(), torch.zeros(256))
    constant.input_sum[::3] = 0  # dead inputs
    keep = score_mask(weight, constant, group)
    for gamma in (0.0, 1.0):
        chosen = {} if name == "dsnot" else {"gamma1": gamma, "gamma2": gamma}
        got = refine(name, keep, weight, constant, group, same_sign="no", **chosen)
        assert torch.equal(got.keep[2], keep[2]), "a row of zeros has no error"
        assert (
            got.swaps > 0
            and got.drift_after is not None
            and got.drift_before is not None
            and got.drift_after < got.drift_before
        )


@pytest.mark.parametrize("group", SHAPES)
def test_rows_are_independent(group: int | None) -> None:
    """Other rows that stop, run out of candidates or continue longer have no effect."""
    weight, statistics = wide_layer(12, 128)
    keep = score_mask(weight, statistics, group)
    whole = refine("dsnot", keep, weight, statistics, group, same_sign="no")
    alone = [
        refine("dsnot", keep[i : i + 1], weight[i : i + 1], statistics, group, same_sign="no")
        for i in range(12)
    ]
    assert torch.equal(whole.keep, torch.cat([row.keep for row in alone]))
    assert whole.swaps == sum(row.swaps for row in alone)
    assert len({row.swaps for row in alone}) > 2, "the rows should stop after different numbers of swaps"


def test_skipped_groups_are_independent_between_rows() -> None:
    """With few kept weights per group, each row skips groups at different positions."""
    weight, statistics = wide_layer(12, 128)
    keep = SemiStructured(1, 4).keep(weight.abs() * statistics.input_norm, 0.75)
    whole = refine("dsnot", keep, weight, statistics, 4, same_sign="no").keep
    assert torch.equal(
        whole,
        torch.cat(
            [
                refine("dsnot", keep[i : i + 1], weight[i : i + 1], statistics, 4, same_sign="no").keep
                for i in range(12)
            ]
        ),
    )
    assert bool((whole.view(12, -1, 4).sum(2) == 1).all())


@pytest.mark.parametrize("group", SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_the_input_mask_is_not_modified(name: str, group: int | None) -> None:
    weight, statistics = wide_layer(6, 256)
    keep = score_mask(weight, statistics, group)
    copy = keep.clone()
    got = refine(name, keep, weight, statistics, group)
    assert got.swaps > 0 and torch.equal(keep, copy)
    assert torch.equal(got.keep.sum(1), keep.sum(1))
    if group:
        assert torch.equal(got.keep.view(6, -1, group).sum(2), keep.view(6, -1, group).sum(2))


@pytest.mark.parametrize("name", METHODS)
def test_overflowed_activations_are_rejected(name: str) -> None:
    weight, statistics = wide_layer(3, 64)
    for bad in (torch.inf, torch.nan):
        statistics.input_sum[5] = bad
        with pytest.raises(NumericsError, match="not finite"):
            refine(name, score_mask(weight, statistics, None), weight, statistics)


def test_the_number_of_swaps_grows_with_the_width() -> None:
    assert [
        default_cycles(width)
        for width in (1, COLUMNS_PER_SWAP - 1, COLUMNS_PER_SWAP, 4 * COLUMNS_PER_SWAP + 1)
    ] == [1, 1, 1, 4]
    assert default_cycles(10**6) == default_cycles(4096) == MOST_CYCLES, (
        "the published number of cycles at published widths"
    )
    weight, statistics = wide_layer(5, 4 * COLUMNS_PER_SWAP)
    keep = score_mask(weight, statistics, None)
    default, explicit = (
        refine("dsnot", keep, weight, statistics, cycles=0),
        refine("dsnot", keep, weight, statistics, cycles=4),
    )
    assert torch.equal(default.keep, explicit.keep) and 0 < default.swaps == explicit.swaps <= 5 * 4


def test_highest_breaks_ties_by_column() -> None:
    rank = torch.tensor(
        [[1.0, 2.0, 2.0, 2.0, 3.0], [5.0, -torch.inf, 5.0, -torch.inf, -torch.inf], [-torch.inf] * 5]
    )
    places, lengths = highest(rank, 3)
    assert places[0].tolist() == [4, 1, 2] and places[1, :2].tolist() == [0, 2]
    assert lengths.tolist() == [3, 2, 0]
    coarse = torch.randint(0, 6, (200, 80), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(
        highest(coarse, 13)[0], coarse.sort(dim=1, descending=True, stable=True).indices[:, :13]
    )


# ---- the order of steps in the published code


def published_row(
    c: list[float], grow: list[float], score: list[float], keep: list[bool], group: int | None
) -> tuple[list[bool], bool]:
    """Return one row's mask as the published code computes it, and whether its lists sufficed.

    It sorts the whole row for growing, with kept entries counted as 0, and reads it from the top or from the
    bottom depending on the sign of e. For pruning it sorts the kept entries by score and uses those with c <
    0 if e > 0, those with c > 0 if e < 0; with N:M it takes the lowest of the group, and e must keep its
    initial sign. An exhausted list continues into entries that are not meant.
    """
    width, keep = len(c), list(keep)
    order = sorted(range(width), key=lambda j: 0.0 if keep[j] else grow[j])
    by_score = sorted((j for j in range(width) if keep[j]), key=lambda j: score[j])
    prunable = {1: [j for j in by_score if c[j] < 0], -1: [j for j in by_score if c[j] > 0]}
    left = {j: score[j] for j in by_score}
    places, error, sufficed = {1: 0, -1: 0}, sum(c[j] for j in range(width) if not keep[j]), True
    first = error
    for _ in range(50):
        sign = 1 if error > 0 else -1
        grown = order[-1 - places[sign]] if sign > 0 else order[places[sign]]
        in_group = sorted((j for j in left if group and j // group == grown // group), key=lambda j: left[j])
        candidates = in_group if group else prunable[sign][places[sign] :]
        if abs(error) <= 0.1:
            break
        if keep[grown] or sign * c[grown] <= 0 or not candidates:
            sufficed = False
            break
        after = error + c[candidates[0]] - c[grown]
        if group is not None and (after > 0) != (first > 0):
            break
        keep[grown], keep[candidates[0]], error = True, False, after
        left.pop(candidates[0], None)
        places[sign] += 1
    return keep, sufficed


@pytest.mark.parametrize("group", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_masks_match_the_published_order_of_steps(seed: int, group: int | None) -> None:
    weight, statistics = wide_layer(seed=seed)
    keep = score_mask(weight, statistics, group)
    c, score = weight * statistics.input_sum, weight.abs() * statistics.input_norm
    grow = c / statistics.input_variance
    rows = [
        published_row(c[i].tolist(), grow[i].tolist(), score[i].tolist(), keep[i].tolist(), group)
        for i in range(len(keep))
    ]
    assert all(sufficed for _, sufficed in rows), "the published lists must not run out in a wide row"
    got = refine("dsnot", keep, weight, statistics, group)
    same = got.keep == torch.tensor([mask for mask, _ in rows])
    assert same.float().mean() >= 0.999
    assert got.swaps >= 10 * len(keep) if group is None else got.swaps > 0


# ---- R2-DSnoT


def r2_by_hand(mirror: float = 1.0, **chosen: Any) -> str:
    """Return row 0 of two after one swap. The column sums of |W| are 10, 2.5, 4 and 8; the row sum is 12."""
    weight = torch.tensor([[5.0, 1.0, 2.0, -4.0], [5.0, 1.5, -2.0, 4.0]]) * mirror
    ones = torch.ones(4)
    chosen = {"relative_grow": "no", "alpha": 1.0, "cycles": 1, **chosen}
    keep = torch.tensor([[False, False, False, True], [True, True, True, True]])
    got = refine(
        "r2-dsnot", keep, weight, given_statistics(ones, ones, torch.tensor([1.0, 0.25, 1.0, 1.0])), **chosen
    )
    return "".join("1" if entry else "0" for entry in got.keep[0])


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_growing_by_relative_importance_and_norm(mirror: float) -> None:
    # The relative importance D of row 0: 5/10 + 5/12 = 0.917, 1/2.5 + 1/12 = 0.483, 2/4 + 2/12 = 0.667.
    assert r2_by_hand(mirror) == r2_by_hand(mirror, relative_prune="yes") == "1000", "c / v is 5, 4, 2"
    assert r2_by_hand(mirror, relative_grow="yes") == "0100", "D m / v is 0.92, 1.93, 0.67"
    assert r2_by_hand(mirror, relative_grow="yes", gamma1=10.0) == "1000", "with 10 D it is 10.1, 6.8, 7.3"


def test_relative_importance_uses_sums_and_the_regulariser_the_chosen_norm() -> None:
    # Column sums 9, 2, 9, 9; norms (p = 2) sqrt(41), 2, sqrt(65), sqrt(41). Row 0: sum 11, norm sqrt(37).
    weight = torch.tensor([[4.0, 2.0, 1.0, -4.0], [5.0, 0.0, 8.0, 5.0]])
    statistics = given_statistics(torch.ones(4), torch.ones(4), torch.tensor([1.0, 1.2, 1.0, 1.0]))
    keep = torch.tensor([[False, False, False, True], [True, True, True, True]])

    def grown(**chosen: Any) -> int:
        after = refine("r2-dsnot", keep, weight, statistics, cycles=1, **chosen).keep
        return int((after & ~keep)[0].nonzero())

    assert grown() == 1, "4/9 + 4/11 = 0.81 against (1 + 2/11) / 1.2 = 0.98; norms would give 1.28 and 1.11"
    assert grown(relative_grow="no", gamma1=10.0) == 1, "4 + 10 * 0.81 against 1.67 + 10 * 1.18"
    assert grown(relative_grow="no", gamma1=10.0, p=2.0) == 0, "4 + 10 * 1.28 against 1.67 + 10 * 1.33"


def test_pruning_by_relative_importance_exponent_and_norm() -> None:
    weight = torch.tensor([[10.0, -1.0, -1.5, 0.0], [0.0, -0.1, -9.0, 0.0]])
    norm, ones = torch.tensor([1.0, 4.0, 1.0, 1.0]), torch.ones(4)
    keep = torch.tensor([[False, True, True, True], [True, True, True, True]])

    def pruned(**chosen: Any) -> int:
        options = {"relative_grow": "no", "alpha": 1.0, "cycles": 1, **chosen}
        after = refine("r2-dsnot", keep, weight, given_statistics(norm, ones, ones), **options).keep
        return int((keep & ~after)[0].nonzero())

    assert pruned() == 2, "|W| a is 4 and 1.5"
    assert pruned(alpha=0.0) == 1, "|W| is 1 and 1.5"
    assert pruned(alpha=0.0, relative_prune="yes") == 2, "D is 1/1.1 + 1/12.5 and 1.5/10.5 + 1.5/12.5"
    assert pruned(alpha=0.0, gamma2=1.0) == 2, "|W| + D is 1.99 and 1.76"
    assert pruned(alpha=0.0, gamma2=0.1) == 1, "|W| + 0.1 D is 1.1 and 1.53"


@pytest.mark.parametrize("group", SHAPES)
def test_r2_dsnot_without_relative_terms_equals_dsnot_exactly(group: int | None) -> None:
    weight, statistics = wide_layer(20, 512)
    keep = score_mask(weight, statistics, group)
    plain = refine("dsnot", keep, weight, statistics, group)
    off = {"relative_grow": "no", "relative_prune": "no", "gamma1": 0.0, "gamma2": 0.0, "alpha": 1.0}
    relative = refine("r2-dsnot", keep, weight, statistics, group, **off)
    assert torch.equal(plain.keep, relative.keep)
    assert (plain.swaps, plain.drift_before, plain.drift_after) == (
        relative.swaps,
        relative.drift_before,
        relative.drift_after,
    )
    assert not torch.equal(plain.keep, refine("r2-dsnot", keep, weight, statistics, group).keep)

"""Columns dealt over the groups of an N:M pattern: by hand, against all groupings of small cases, and by what
must hold for any score.
"""

from collections.abc import Iterator
from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning import permutation
from engine.pruning.patterns import SemiStructured
from engine.pruning.permutation import assignment, column_order, kept_score, zigzag

PERMUTATIONS = ["zigzag", "assignment"]
N_OF_M = [(1, 2), (2, 4), (1, 4), (3, 4), (4, 8), (3, 5), (1, 8), (7, 8)]
KINDS = ["even", "columns", "shared", "sparse", "ties"]
Grouping = list[list[int]]


def noise(rows: int, width: int, seed: int, kind: str = "columns") -> Tensor:
    """Scores: alike, of uneven columns, of columns that are strong in the same rows, with many zeros, or with
    few values.
    """
    generator = torch.Generator().manual_seed(1000 * seed + 10 * rows + width)
    score = torch.randn(rows, width, generator=generator).abs()
    if kind == "ties":
        return torch.randint(0, 3, (rows, width), generator=generator).float()
    if kind == "sparse":
        return score * (torch.rand(rows, width, generator=generator) > 0.7)
    if kind == "columns":
        return score * torch.randn(width, generator=generator).exp()
    if kind == "shared":
        return (
            score
            * (torch.randn(rows, 3, generator=generator) @ torch.randn(3, width, generator=generator)).exp()
        )
    return score


def kept_by_hand(score: Tensor, groups: Grouping, n: int) -> float:
    rows = score.double().tolist()
    return sum(
        sum(sorted((row[column] for column in group), reverse=True)[:n]) for row in rows for group in groups
    )


def grouped(groups: Tensor) -> Grouping:
    """The columns of each group, of `[m, groups]`."""
    return [sorted(group) for group in groups.T.tolist()]


def standing(width: int, m: int) -> Grouping:
    return [list(range(start, start + m)) for start in range(0, width, m)]


def in_order(order: Tensor, m: int) -> Grouping:
    return [order.tolist()[start : start + m] for start in range(0, len(order), m)]


def groupings(columns: list[int], m: int) -> Iterator[Grouping]:
    """All ways to part columns into groups of m."""
    if not columns:
        yield []
        return
    first, *others = columns
    for more in combinations(others, m - 1):
        rest = [column for column in others if column not in more]
        yield from ([[first, *more], *after] for after in groupings(rest, m))


def best(score: Tensor, n: int, m: int) -> float:
    return max(kept_by_hand(score, groups, n) for groups in groupings(list(range(score.shape[1])), m))


# ---- by hand
# --------------------------------------------------------------------------------------------------------


def test_one_row_of_four() -> None:
    """1:2 keeps 9 and 2 of (9, 8), (2, 1); dealt there and back, 1 stands with 9 and 2 with 8."""
    score = torch.tensor([[9.0, 8.0, 2.0, 1.0]])
    assert grouped(zigzag(score, 1, 2)) == [[0, 3], [1, 2]]
    for name in PERMUTATIONS:
        assert column_order(score, 1, 2, name).tolist() == [0, 3, 1, 2]
        assert SemiStructured(1, 2, name).keep(score, 0.5).tolist() == [[True, True, False, False]]
    assert SemiStructured(1, 2).keep(score, 0.5).tolist() == [[True, False, True, False]]


def test_one_row_of_eight() -> None:
    """Ascending 3 5 | 1 7 | 0 6 | 4 2, the second and fourth part backwards: 3, 7, 0, 2 and 5, 1, 6, 4."""
    score = torch.tensor([[5.0, 3.0, 8.0, 1.0, 7.0, 2.0, 6.0, 4.0]])
    assert zigzag(score, 2, 4).tolist() == [[3, 5], [7, 1], [0, 6], [2, 4]]
    assert column_order(score, 2, 4, "zigzag").tolist() == [0, 2, 3, 7, 1, 4, 5, 6]
    assert SemiStructured(2, 4, "zigzag").keep(score, 0.5).tolist() == [
        [True, False, True, False, True, False, True, False]
    ]


def test_three_parts_go_forwards_backwards_forwards() -> None:
    score = torch.tensor([[2.0, 0.0, 1.0, 5.0, 3.0, 4.0, 8.0, 6.0, 7.0]])  # ascending 1 2 0 | 4 5 3 | 7 8 6
    assert zigzag(score, 1, 3).tolist() == [[1, 2, 0], [3, 5, 4], [7, 8, 6]]


def test_zigzag_goes_by_the_sum_over_the_rows() -> None:
    score = torch.tensor([[4.0, 0.0, 3.0, 0.0], [0.0, 1.0, 2.0, 2.0]])  # sums 4, 1, 5, 2: ascending 1 3 | 0 2
    assert zigzag(score, 1, 2).tolist() == [[1, 3], [2, 0]]


def test_assignment_sees_the_rows_that_zigzag_does_not() -> None:
    """Columns 0 and 1 are strong in one row, 2 and 3 in the other: side by side half is lost, and dealt by
    totals as well.
    """
    score = torch.tensor([[5.0, 2.0, 0.0, 0.0], [0.0, 0.0, 4.0, 3.0]])
    assert kept_by_hand(score, standing(4, 2), 1) == kept_by_hand(score, grouped(zigzag(score, 1, 2)), 1) == 9
    assert kept_by_hand(score, grouped(assignment(score, 1, 2)), 1) == 14 == best(score, 1, 2)
    assert SemiStructured(1, 2, "assignment").keep(score, 0.5).tolist() == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_a_place_is_dealt_as_the_best_of_all_ways() -> None:
    """The reduction to distances from the bar: against trying every way to deal the columns at one place."""
    for seed, (n, m) in enumerate(N_OF_M):
        score = noise(5, 4 * m, seed, KINDS[seed % len(KINDS)])
        groups = torch.randperm(4 * m, generator=torch.Generator().manual_seed(seed)).view(m, 4)
        for place in (0, m - 1):
            new = groups.clone()
            new[place] = permutation._reassigned(score.T.contiguous(), groups, n, place)
            assert sorted(new[place].tolist()) == sorted(groups[place].tolist())
            tried = []
            for columns in permutations(groups[place].tolist()):
                dealt = groups.clone()
                dealt[place] = torch.tensor(columns)
                tried.append(kept_by_hand(score, grouped(dealt), n))
            assert kept_by_hand(score, grouped(new), n) == pytest.approx(max(tried), rel=1e-12), (n, m, place)


# ---- what holds for any score
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERMUTATIONS)
@pytest.mark.parametrize(("n", "m"), N_OF_M)
def test_the_mask_keeps_the_n_highest_of_each_permuted_group(n: int, m: int, name: str) -> None:
    pattern = SemiStructured(n, m, name)
    for seed, kind in enumerate(KINDS):
        score = noise(6, 7 * m, seed, kind)
        before = score.clone()
        keep, order = pattern.keep(score, 1 - n / m), pattern.order(score)
        assert order is not None and sorted(order.tolist()) == list(range(7 * m))
        assert keep.dtype == torch.bool and keep.shape == score.shape and torch.equal(score, before)
        for row, mask in zip(score.tolist(), keep.tolist(), strict=True):
            for group in in_order(order, m):
                assert group == sorted(group)
                lost = sorted(group, key=row.__getitem__)[
                    : m - n
                ]  # stable: of equals the lower column goes first
                assert [column for column in group if not mask[column]] == sorted(lost), kind


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_the_order_and_its_inverse_take_a_mask_there_and_back(name: str) -> None:
    pattern, score = SemiStructured(2, 4, name), noise(5, 32, 1)
    order, keep = pattern.order(score), pattern.keep(score, 0.5)
    assert order is not None and not torch.equal(order, torch.arange(32))
    assert torch.equal(keep[:, order], SemiStructured(2, 4).keep(score[:, order], 0.5))
    assert torch.equal(keep[:, order][:, order.argsort()], keep)
    assert torch.equal(pattern.keep_within(score, order), keep)
    assert torch.equal(pattern.keep_within(score, None), SemiStructured(2, 4).keep(score, 0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_assignment_keeps_no_less_than_zigzag_and_than_the_columns_as_they_stand(kind: str) -> None:
    for seed in range(12):
        n, m = N_OF_M[seed % len(N_OF_M)]
        score = noise(1 + seed, m * (1 + seed), seed, kind)
        kept = {
            name: float(score[SemiStructured(n, m, name).keep(score, 1 - n / m)].double().sum())
            for name in ("none", *PERMUTATIONS)
        }
        slack = 1e-9 * float(score.double().sum())
        assert kept["assignment"] >= max(kept["zigzag"], kept["none"]) - slack, (seed, n, m, kept)


def test_both_gain_where_strong_columns_stand_together() -> None:
    score = noise(64, 128, 0).sort(dim=1).values  # neighbours are about equally strong
    kept = {
        name: kept_by_hand(score, in_order(column_order(score, 2, 4, name), 4), 2) for name in PERMUTATIONS
    }
    before = kept_by_hand(score, standing(128, 4), 2)
    assert kept["zigzag"] > 1.2 * before and kept["assignment"] >= kept["zigzag"]


def test_zigzag_is_dealt_even_where_that_keeps_less() -> None:
    """As published, by the totals 5, 4, 2, 3 alone; assignment starts from the better of the two."""
    score = torch.tensor([[5.0, 0.0, 2.0, 0.0], [0.0, 4.0, 0.0, 3.0]])
    assert kept_by_hand(score, standing(4, 2), 1) == 14
    assert column_order(score, 1, 2, "zigzag").tolist() == [0, 2, 1, 3]
    assert float(score[SemiStructured(1, 2, "zigzag").keep(score, 0.5)].sum()) == 9
    assert column_order(score, 1, 2, "assignment").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kept_score_never_falls_from_step_to_step(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    original = permutation._reassigned

    def watched(columns: Tensor, groups: Tensor, n: int, place: int) -> Tensor:
        before = groups.clone()
        new = original(columns, groups, n, place)
        after = before.clone()
        after[place] = new
        seen.append((before, after))
        return new

    monkeypatch.setattr(permutation, "_reassigned", watched)
    monkeypatch.setattr(permutation, "CHUNK", 4)
    score = noise(9, 40, 3, kind)
    assignment(score, 2, 4)
    assert len(seen) == 4 * 3  # ten groups in parts of four, three and three
    for before, after in seen:
        assert kept_by_hand(score, grouped(after), 2) >= kept_by_hand(score, grouped(before), 2) - 1e-9
    assert kind == "ties" or any(not torch.equal(before, after) for before, after in seen)


@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 2, 4), (1, 2, 8), (2, 4, 8), (1, 4, 8), (3, 4, 8), (1, 3, 9), (2, 3, 9)]
)
def test_no_grouping_keeps_more_than_the_best_of_all(n: int, m: int, width: int) -> None:
    for seed, kind in enumerate(KINDS):
        score = noise(4, width, seed, kind)
        most = best(score, n, m)
        for name in PERMUTATIONS:
            kept = kept_by_hand(score, in_order(column_order(score, n, m, name), m), n)
            assert kept <= most + 1e-9
            assert name == "zigzag" or kept >= 0.9 * most


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 12, 256])
def test_a_wide_linear_is_done_in_parts(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "CHUNK", chunk)
    score = noise(6, 48, 2, "shared")
    groups = assignment(score, 2, 4)
    assert sorted(groups.flatten().tolist()) == list(range(48))
    start = max(kept_by_hand(score, grouped(zigzag(score, 2, 4)), 2), kept_by_hand(score, standing(48, 4), 2))
    kept = kept_by_hand(score, grouped(groups), 2)
    assert (
        kept == pytest.approx(start, rel=1e-12) if chunk == 1 else kept > start
    )  # a group alone has nobody to exchange with
    keep = SemiStructured(2, 4, "assignment").keep(score, 0.5)
    order = SemiStructured(2, 4, "assignment").order(score)
    assert order is not None and (keep[:, order].view(6, 12, 4).sum(2) == 2).all()


def test_more_groups_than_one_part_holds() -> None:
    width = 4 * (permutation.CHUNK + 3)
    score = noise(8, width, 0)
    keep, order = (
        SemiStructured(2, 4, "assignment").keep(score, 0.5),
        SemiStructured(2, 4, "assignment").order(score),
    )
    assert order is not None and (keep[:, order].view(8, -1, 4).sum(2) == 2).all()
    assert float(score[keep].sum()) > float(score[SemiStructured(2, 4, "zigzag").keep(score, 0.5)].sum())


# ---- edges
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PERMUTATIONS)
@pytest.mark.parametrize(("n", "m"), N_OF_M)
def test_one_group_stays_as_it_is(n: int, m: int, name: str) -> None:
    score = noise(5, m, 4, "ties")
    assert column_order(score, n, m, name).tolist() == list(range(m))
    assert torch.equal(
        SemiStructured(n, m, name).keep(score, 1 - n / m), SemiStructured(n, m).keep(score, 1 - n / m)
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 3.0])
def test_assignment_moves_nothing_where_scores_are_equal(value: float) -> None:
    score = torch.full((7, 24), value)
    assert column_order(score, 2, 4, "assignment").tolist() == list(range(24))
    assert torch.equal(
        SemiStructured(2, 4, "assignment").keep(score, 0.5), SemiStructured(2, 4).keep(score, 0.5)
    )


def test_a_place_that_cannot_be_dealt_better_stays() -> None:
    """Scores of few values have many ways to deal them as well; the solver's own pick among equals is not
    taken.
    """
    for seed in range(20):
        columns = noise(2, 24, seed, "ties").T.contiguous()
        groups = torch.arange(24).view(4, 6)
        groups[1] = permutation._reassigned(columns, groups, 2, 1)
        assert torch.equal(permutation._reassigned(columns, groups, 2, 1), groups[1])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_zigzag_of_equal_scores_deals_by_the_columns_place(value: float) -> None:
    assert zigzag(torch.full((3, 8), value), 2, 4).tolist() == [[0, 1], [3, 2], [4, 5], [7, 6]]
    assert (SemiStructured(2, 4, "zigzag").keep(torch.full((3, 8), value), 0.5).sum(1) == 4).all()


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_no_permutation_is_no_order_and_a_permutation_has_no_step(name: str) -> None:
    score = noise(3, 8, 0)
    assert column_order(score, 2, 4, "none") is None and SemiStructured(2, 4).order(score) is None
    assert SemiStructured(2, 4).step == 4 and SemiStructured(2, 4, name).step is None
    assert SemiStructured(2, 4, name).fixed_sparsity == 0.5


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_infinite_scores_are_dealt_too(name: str) -> None:
    score = noise(4, 16, 0)
    score[1, :3] = float("inf")
    score[:, 5] = float("inf")
    pattern = SemiStructured(2, 4, name)
    keep, order = pattern.keep(score, 0.5), pattern.order(score)
    assert order is not None and (keep[:, order].view(4, 4, 4).sum(2) == 2).all()
    assert keep[:, 5].all()


def test_assignment_parts_infinite_columns() -> None:
    score = torch.ones(2, 8)
    score[:, :4] = float("inf")
    assert SemiStructured(2, 4, "assignment").keep(score, 0.5)[:, :4].all()


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_scores_that_are_no_numbers_are_refused(name: str) -> None:
    score = noise(4, 8, 0)
    score[1, 2] = float("nan")
    with pytest.raises(NumericsError, match="not numbers"):
        SemiStructured(2, 4, name).keep(score, 0.5)


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_the_same_score_gives_the_same_order(name: str) -> None:
    score = noise(16, 64, 5, "ties")
    first = column_order(score, 2, 4, name)
    assert torch.equal(first, column_order(score.clone(), 2, 4, name))
    assert torch.equal(first, column_order(score.T.contiguous().T, 2, 4, name))


def test_kept_score_is_the_sum_of_the_n_best() -> None:
    for n, m in N_OF_M:
        score = noise(3, 3 * m, n)
        groups = torch.randperm(3 * m, generator=torch.Generator().manual_seed(n)).view(m, 3)
        assert kept_score(score, groups, n) == pytest.approx(
            kept_by_hand(score, grouped(groups), n), rel=1e-12
        )

"""Column permutations for N:M: by hand, against all groupings of small cases, and general properties."""

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


def random_scores(rows: int, width: int, seed: int, kind: str = "columns") -> Tensor:
    """Return random scores: even, with uneven or correlated columns, sparse, or with ties."""
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


def kept_score_by_hand(score: Tensor, groups: Grouping, n: int) -> float:
    rows = score.double().tolist()
    return sum(
        sum(sorted((row[column] for column in group), reverse=True)[:n]) for row in rows for group in groups
    )


def to_grouping(groups: Tensor) -> Grouping:
    """Return the sorted columns of each group of `[m, groups]`."""
    return [sorted(group) for group in groups.T.tolist()]


def unpermuted(width: int, m: int) -> Grouping:
    return [list(range(start, start + m)) for start in range(0, width, m)]


def split_order(order: Tensor, m: int) -> Grouping:
    return [order.tolist()[start : start + m] for start in range(0, len(order), m)]


def groupings(columns: list[int], m: int) -> Iterator[Grouping]:
    """Yield all ways to divide columns into groups of m."""
    if not columns:
        yield []
        return
    first, *others = columns
    for more in combinations(others, m - 1):
        rest = [column for column in others if column not in more]
        yield from ([[first, *more], *after] for after in groupings(rest, m))


def best(score: Tensor, n: int, m: int) -> float:
    return max(kept_score_by_hand(score, groups, n) for groups in groupings(list(range(score.shape[1])), m))


# ---- by hand


def test_one_row_of_four() -> None:
    """1:2 keeps 9 and 2 of (9, 8), (2, 1); zigzag groups 9 with 1 and 8 with 2."""
    score = torch.tensor([[9.0, 8.0, 2.0, 1.0]])
    assert to_grouping(zigzag(score, 1, 2)) == [[0, 3], [1, 2]]
    for name in PERMUTATIONS:
        assert column_order(score, 1, 2, name).tolist() == [0, 3, 1, 2]
        assert SemiStructured(1, 2, name).keep(score, 0.5).tolist() == [[True, True, False, False]]
    assert SemiStructured(1, 2).keep(score, 0.5).tolist() == [[True, False, True, False]]


def test_one_row_of_eight() -> None:
    """Ascending 3 5 | 1 7 | 0 6 | 4 2; parts 2 and 4 are reversed, giving 3, 7, 0, 2 and 5, 1, 6, 4."""
    score = torch.tensor([[5.0, 3.0, 8.0, 1.0, 7.0, 2.0, 6.0, 4.0]])
    assert zigzag(score, 2, 4).tolist() == [[3, 5], [7, 1], [0, 6], [2, 4]]
    assert column_order(score, 2, 4, "zigzag").tolist() == [0, 2, 3, 7, 1, 4, 5, 6]
    assert SemiStructured(2, 4, "zigzag").keep(score, 0.5).tolist() == [
        [True, False, True, False, True, False, True, False]
    ]


def test_every_second_part_is_reversed() -> None:
    score = torch.tensor([[2.0, 0.0, 1.0, 5.0, 3.0, 4.0, 8.0, 6.0, 7.0]])  # ascending 1 2 0 | 4 5 3 | 7 8 6
    assert zigzag(score, 1, 3).tolist() == [[1, 2, 0], [3, 5, 4], [7, 8, 6]]


def test_zigzag_sorts_by_the_sum_over_rows() -> None:
    score = torch.tensor([[4.0, 0.0, 3.0, 0.0], [0.0, 1.0, 2.0, 2.0]])  # sums 4, 1, 5, 2: ascending 1 3 | 0 2
    assert zigzag(score, 1, 2).tolist() == [[1, 3], [2, 0]]


def test_assignment_uses_rows_that_zigzag_ignores() -> None:
    """Columns 0 and 1 are strong in row 0, 2 and 3 in row 1; adjacent groups and zigzag lose half."""
    score = torch.tensor([[5.0, 2.0, 0.0, 0.0], [0.0, 0.0, 4.0, 3.0]])
    assert (
        kept_score_by_hand(score, unpermuted(4, 2), 1)
        == kept_score_by_hand(score, to_grouping(zigzag(score, 1, 2)), 1)
        == 9
    )
    assert kept_score_by_hand(score, to_grouping(assignment(score, 1, 2)), 1) == 14 == best(score, 1, 2)
    assert SemiStructured(1, 2, "assignment").keep(score, 0.5).tolist() == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_one_place_is_assigned_optimally() -> None:
    """Compare the reduction to a linear assignment with all ways to deal the columns of one place."""
    for seed, (n, m) in enumerate(N_OF_M):
        score = random_scores(5, 4 * m, seed, KINDS[seed % len(KINDS)])
        groups = torch.randperm(4 * m, generator=torch.Generator().manual_seed(seed)).view(m, 4)
        for place in (0, m - 1):
            new = groups.clone()
            new[place] = permutation._reassigned(score.T.contiguous(), [groups], n, place)[0]
            assert sorted(new[place].tolist()) == sorted(groups[place].tolist())
            totals = []
            for columns in permutations(groups[place].tolist()):
                dealt = groups.clone()
                dealt[place] = torch.tensor(columns)
                totals.append(kept_score_by_hand(score, to_grouping(dealt), n))
            assert kept_score_by_hand(score, to_grouping(new), n) == pytest.approx(max(totals), rel=1e-12), (
                n,
                m,
                place,
            )


# ---- properties for any score


@pytest.mark.parametrize("name", PERMUTATIONS)
@pytest.mark.parametrize(("n", "m"), N_OF_M)
def test_the_mask_keeps_the_n_highest_of_each_permuted_group(n: int, m: int, name: str) -> None:
    pattern = SemiStructured(n, m, name)
    for seed, kind in enumerate(KINDS):
        score = random_scores(6, 7 * m, seed, kind)
        before = score.clone()
        keep, order = pattern.keep(score, 1 - n / m), pattern.order(score)
        assert order is not None and sorted(order.tolist()) == list(range(7 * m))
        assert keep.dtype == torch.bool and keep.shape == score.shape and torch.equal(score, before)
        for row, mask in zip(score.tolist(), keep.tolist(), strict=True):
            for group in split_order(order, m):
                assert group == sorted(group)
                removed = sorted(group, key=row.__getitem__)[: m - n]  # stable: on ties the lower column
                assert [column for column in group if not mask[column]] == sorted(removed), kind


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_masks_are_permuted_and_restored(name: str) -> None:
    pattern, score = SemiStructured(2, 4, name), random_scores(5, 32, 1)
    order, keep = pattern.order(score), pattern.keep(score, 0.5)
    assert order is not None and not torch.equal(order, torch.arange(32))
    assert torch.equal(keep[:, order], SemiStructured(2, 4).keep(score[:, order], 0.5))
    assert torch.equal(keep[:, order][:, order.argsort()], keep)
    selected = pattern.select(score, 0.5).order
    assert selected is not None and torch.equal(selected, order)


@pytest.mark.parametrize("kind", KINDS)
def test_assignment_keeps_at_least_as_much_as_zigzag_and_no_permutation(kind: str) -> None:
    for seed in range(12):
        n, m = N_OF_M[seed % len(N_OF_M)]
        score = random_scores(1 + seed, m * (1 + seed), seed, kind)
        kept = {
            name: float(score[SemiStructured(n, m, name).keep(score, 1 - n / m)].double().sum())
            for name in ("none", *PERMUTATIONS)
        }
        slack = 1e-9 * float(score.double().sum())
        assert kept["assignment"] >= max(kept["zigzag"], kept["none"]) - slack, (seed, n, m, kept)


def test_both_permutations_help_if_strong_columns_are_adjacent() -> None:
    score = random_scores(64, 128, 0).sort(dim=1).values  # neighbours are about equally strong
    kept = {
        name: kept_score_by_hand(score, split_order(column_order(score, 2, 4, name), 4), 2)
        for name in PERMUTATIONS
    }
    before = kept_score_by_hand(score, unpermuted(128, 4), 2)
    assert kept["zigzag"] > 1.2 * before and kept["assignment"] >= kept["zigzag"]


def test_zigzag_is_used_even_if_it_keeps_less() -> None:
    """Published zigzag uses only the totals 5, 4, 2, 3; assignment starts from the better of the two."""
    score = torch.tensor([[5.0, 0.0, 2.0, 0.0], [0.0, 4.0, 0.0, 3.0]])
    assert kept_score_by_hand(score, unpermuted(4, 2), 1) == 14
    assert column_order(score, 1, 2, "zigzag").tolist() == [0, 2, 1, 3]
    assert float(score[SemiStructured(1, 2, "zigzag").keep(score, 0.5)].sum()) == 9
    assert column_order(score, 1, 2, "assignment").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kept_score_never_decreases(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[Tensor, Tensor]] = []
    original = permutation._reassigned

    def recording(columns: Tensor, chunks: list[Tensor], n: int, place: int) -> list[Tensor]:
        found = original(columns, chunks, n, place)
        for chunk, new in zip(chunks, found, strict=True):
            after = chunk.clone()
            after[place] = new
            steps.append((chunk.clone(), after))
        return found

    monkeypatch.setattr(permutation, "_reassigned", recording)
    monkeypatch.setattr(permutation, "CHUNK", 4)
    score = random_scores(9, 40, 3, kind)
    assignment(score, 2, 4)
    assert len(steps) == 4 * 3  # ten groups in parts of four, three and three
    for before, after in steps:
        assert (
            kept_score_by_hand(score, to_grouping(after), 2)
            >= kept_score_by_hand(score, to_grouping(before), 2) - 1e-9
        )
    assert kind == "ties" or any(not torch.equal(before, after) for before, after in steps)


@pytest.mark.parametrize(
    ("n", "m", "width"), [(1, 2, 4), (1, 2, 8), (2, 4, 8), (1, 4, 8), (3, 4, 8), (1, 3, 9), (2, 3, 9)]
)
def test_no_permutation_beats_exhaustive_search(n: int, m: int, width: int) -> None:
    for seed, kind in enumerate(KINDS):
        score = random_scores(4, width, seed, kind)
        most = best(score, n, m)
        for name in PERMUTATIONS:
            kept = kept_score_by_hand(score, split_order(column_order(score, n, m, name), m), n)
            assert kept <= most + 1e-9
            assert name == "zigzag" or kept >= 0.9 * most


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 12, 256])
def test_a_wide_linear_is_processed_in_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "CHUNK", chunk)
    score = random_scores(6, 48, 2, "shared")
    groups = assignment(score, 2, 4)
    assert sorted(groups.flatten().tolist()) == list(range(48))
    start = max(
        kept_score_by_hand(score, to_grouping(zigzag(score, 2, 4)), 2),
        kept_score_by_hand(score, unpermuted(48, 4), 2),
    )
    kept = kept_score_by_hand(score, to_grouping(groups), 2)
    # A single group has no other to exchange columns with.
    assert kept == pytest.approx(start, rel=1e-12) if chunk == 1 else kept > start
    keep = SemiStructured(2, 4, "assignment").keep(score, 0.5)
    order = SemiStructured(2, 4, "assignment").order(score)
    assert order is not None and (keep[:, order].view(6, 12, 4).sum(2) == 2).all()


def test_more_groups_than_one_chunk() -> None:
    width = 4 * (permutation.CHUNK + 3)
    score = random_scores(8, width, 0)
    keep, order = (
        SemiStructured(2, 4, "assignment").keep(score, 0.5),
        SemiStructured(2, 4, "assignment").order(score),
    )
    assert order is not None and (keep[:, order].view(8, -1, 4).sum(2) == 2).all()
    assert float(score[keep].sum()) > float(score[SemiStructured(2, 4, "zigzag").keep(score, 0.5)].sum())


# ---- edge cases


@pytest.mark.parametrize("name", PERMUTATIONS)
@pytest.mark.parametrize(("n", "m"), N_OF_M)
def test_a_single_group_is_unchanged(n: int, m: int, name: str) -> None:
    score = random_scores(5, m, 4, "ties")
    assert column_order(score, n, m, name).tolist() == list(range(m))
    assert torch.equal(
        SemiStructured(n, m, name).keep(score, 1 - n / m), SemiStructured(n, m).keep(score, 1 - n / m)
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 3.0])
def test_assignment_moves_nothing_if_scores_are_equal(value: float) -> None:
    score = torch.full((7, 24), value)
    assert column_order(score, 2, 4, "assignment").tolist() == list(range(24))
    assert torch.equal(
        SemiStructured(2, 4, "assignment").keep(score, 0.5), SemiStructured(2, 4).keep(score, 0.5)
    )


def test_an_optimal_place_is_unchanged() -> None:
    """With few distinct values many assignments tie; the solver's arbitrary choice is not used."""
    for seed in range(20):
        columns = random_scores(2, 24, seed, "ties").T.contiguous()
        groups = torch.arange(24).view(4, 6)
        groups[1] = permutation._reassigned(columns, [groups], 2, 1)[0]
        assert torch.equal(permutation._reassigned(columns, [groups], 2, 1)[0], groups[1])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_zigzag_of_equal_scores_uses_the_column_order(value: float) -> None:
    assert zigzag(torch.full((3, 8), value), 2, 4).tolist() == [[0, 1], [3, 2], [4, 5], [7, 6]]
    assert (SemiStructured(2, 4, "zigzag").keep(torch.full((3, 8), value), 0.5).sum(1) == 4).all()


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_order_and_step_with_and_without_permutation(name: str) -> None:
    score = random_scores(3, 8, 0)
    assert column_order(score, 2, 4, "none") is None and SemiStructured(2, 4).order(score) is None
    assert SemiStructured(2, 4).step == 4 and SemiStructured(2, 4, name).step is None
    assert SemiStructured(2, 4, name).fixed_sparsity == 0.5


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_infinite_scores_are_permuted(name: str) -> None:
    score = random_scores(4, 16, 0)
    score[1, :3] = float("inf")
    score[:, 5] = float("inf")
    pattern = SemiStructured(2, 4, name)
    keep, order = pattern.keep(score, 0.5), pattern.order(score)
    assert order is not None and (keep[:, order].view(4, 4, 4).sum(2) == 2).all()
    assert keep[:, 5].all()


def test_assignment_separates_infinite_columns() -> None:
    score = torch.ones(2, 8)
    score[:, :4] = float("inf")
    assert SemiStructured(2, 4, "assignment").keep(score, 0.5)[:, :4].all()


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_nan_scores_are_rejected(name: str) -> None:
    score = random_scores(4, 8, 0)
    score[1, 2] = float("nan")
    with pytest.raises(NumericsError, match="not numbers"):
        SemiStructured(2, 4, name).keep(score, 0.5)


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_the_order_is_deterministic(name: str) -> None:
    score = random_scores(16, 64, 5, "ties")
    first = column_order(score, 2, 4, name)
    assert torch.equal(first, column_order(score.clone(), 2, 4, name))
    assert torch.equal(first, column_order(score.T.contiguous().T, 2, 4, name))


def test_kept_score_is_the_sum_of_the_n_highest() -> None:
    for n, m in N_OF_M:
        score = random_scores(3, 3 * m, n)
        groups = torch.randperm(3 * m, generator=torch.Generator().manual_seed(n)).view(m, 3)
        assert kept_score(score, groups, n) == pytest.approx(
            kept_score_by_hand(score, to_grouping(groups), n), rel=1e-12
        )

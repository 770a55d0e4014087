"""Masks from score matrices: exact counts, ties and N:M, compared with loops over lists."""

from decimal import Decimal

import pytest
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.pruning.patterns import (
    Group,
    SemiStructured,
    Unstructured,
    parse_pattern,
    removed,
    removed_by_row,
)
from engine.pruning.selection import FEW, remove_lowest, remove_lowest_of_few
from tests.pruning import oracles

SHAPES = [
    (1, 1),
    (1, 7),
    (5, 1),
    (3, 10),
    (4, 127),
    (4, 128),
    (4, 129),
    (3, 200),
    (2, 256),
    (2, 300),
    (9, 135),
]
SPARSITIES = [0.0, 0.01, 0.1, 0.25, 0.29, 0.3, 0.5, 0.57, 0.6, 2 / 3, 0.7, 0.9, 0.99]
N_OF_M = [(2, 4), (4, 8), (1, 4), (3, 5), (1, 2), (7, 8), (1, 16), (9, 20)]


def scores(rows: int, width: int, seed: int, kind: str = "continuous") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if kind == "ties":
        return torch.randint(0, 4, (rows, width), generator=generator).float()
    if kind == "zeros":
        return torch.rand(rows, width, generator=generator) * (
            torch.rand(rows, width, generator=generator) > 0.6
        )
    return torch.rand(rows, width, generator=generator)


def mask(text: str) -> Tensor:
    """Return a mask from text: `1` = kept, rows separated by spaces."""
    return torch.tensor([[character == "1" for character in row] for row in text.split()])


@pytest.mark.parametrize(
    ("count", "sparsity", "expected"),
    [
        (100, 0.29, 29),  # 100 * 0.29 = 28.999999999999996
        (100, 0.57, 57),  # 56.99999999999999
        (100, 0.58, 58),
        (1000, 0.001, 1),
        (10, 0.7, 7),
        (10, 0.99, 9),
        (3, 0.3, 0),
        (7, 0.5, 3),
        (1, 0.99, 0),
        (0, 0.5, 0),
        (128 * 4096, 0.6, 314572),
        (50_000_000, 0.29, 14_500_000),
        (3, 2 / 3, 2),  # 1 - n/m has no short decimal form; two thirds of three must still be two
        (3, 1 - 2 / 3, 1),
    ],
)
def test_removed_is_the_floor_in_decimal_arithmetic(count: int, sparsity: float, expected: int) -> None:
    assert removed(count, sparsity) == expected


def test_removed_agrees_with_integer_arithmetic() -> None:
    for hundredths in range(100):
        sparsity = hundredths / 100
        for count in (1, 7, 32, 100, 128, 192, 1000, 4096):
            assert removed(count, sparsity) == count * hundredths // 100, (count, sparsity)


@pytest.mark.parametrize("group", list(Group))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_counts_are_exact_in_every_group(shape: tuple[int, int], group: Group) -> None:
    for kind in ("continuous", "ties", "zeros"):
        for sparsity in (0.0, 0.01, 0.25, 0.29, 0.5, 0.57, 0.99):
            kept = Unstructured(group).keep(scores(*shape, seed=3, kind=kind), sparsity)
            assert kept.shape == shape and kept.dtype == torch.bool
            for removed_count, entries in oracles.removed_per_group(kept, "unstructured", group.value):
                assert removed_count == oracles.floor_share(entries, sparsity), (kind, sparsity)


@pytest.mark.parametrize("group", list(Group))
@pytest.mark.parametrize("kind", ["continuous", "ties", "zeros"])
def test_agrees_with_sorting_each_group_in_python(group: Group, kind: str) -> None:
    for seed, shape in enumerate(SHAPES):
        score = scores(*shape, seed, kind)
        for sparsity in (0.0, 0.29, 0.5, 0.73, 0.99):
            expected = oracles.keep_mask(score, "unstructured", group.value, sparsity)
            assert torch.equal(Unstructured(group).keep(score, sparsity), expected), (shape, sparsity)


@pytest.mark.parametrize(
    ("count", "sparsity", "expected"),
    [
        (100, 0.29, 29),
        (100, 0.71, 71),  # (1 - 0.71) * 100 = 29.000000000000004, and 0.29 of 100 is 28.999999999999996
        (100, 0.58, 58),
        (
            7,
            0.5,
            4,
        ),  # a row *keeps* the floor, three of seven; a single sparsity for all rows would remove three
        (3, 0.3, 1),
        (1, 0.99, 1),
        (1, 0.0, 0),
        (10, 0.01, 1),
        (10, 1.0, 10),
        (0, 0.5, 0),
        (4096, 0.01, 41),
    ],
)
def test_a_row_sparsity_keeps_the_floor_in_decimal_arithmetic(
    count: int, sparsity: float, expected: int
) -> None:
    assert removed_by_row(count, torch.tensor([sparsity], dtype=torch.float64)).tolist() == [expected]


def test_row_counts_agree_with_integer_arithmetic() -> None:
    hundredths = torch.arange(101)
    for count in (1, 7, 32, 100, 128, 192, 1000, 4096):
        expected = [count - count * (100 - part) // 100 for part in range(101)]
        assert removed_by_row(count, hundredths.double() / 100).tolist() == expected


@pytest.mark.parametrize("kind", ["continuous", "ties", "zeros", "equal", "infinite"])
@pytest.mark.parametrize("width", [1, 2, 7, 100, 128, 300])
def test_each_row_is_pruned_to_its_own_sparsity(width: int, kind: str) -> None:
    """Compare with a stable sort of each row in Python."""
    score = scores(40, width, width, kind if kind in ("ties", "zeros") else "continuous")
    if kind == "equal":
        score = torch.ones_like(score)
    if kind == "infinite":
        score[:, ::2] = float("inf")
    sparsity = torch.rand(40, generator=torch.Generator().manual_seed(width), dtype=torch.float64)
    sparsity[:3] = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64)
    before = score.clone()
    kept = Unstructured(Group.ROW).keep(score, sparsity)
    assert kept.dtype == torch.bool and torch.equal(score, before)
    for values, row, share in zip(score.tolist(), kept.tolist(), sparsity.tolist(), strict=True):
        keep_count = int(Decimal(repr(width)) * (1 - Decimal(repr(share))))
        lowest_places = sorted(range(width), key=values.__getitem__)[: width - keep_count]
        assert [place for place in range(width) if not row[place]] == sorted(lowest_places)


def test_row_sparsities_by_hand() -> None:
    score = torch.tensor(
        [[1.0, 8.0, 3.0, 6.0], [5.0, 2.0, 7.0, 4.0], [2.0, 2.0, 2.0, 2.0], [1.0, 2.0, 3.0, 4.0]]
    )
    sparsity = torch.tensor([0.25, 0.5, 0.3, 0.0])  # the third keeps floor(0.7 * 4) = 2
    assert torch.equal(Unstructured(Group.ROW).keep(score, sparsity), mask("0111 1010 0011 1111"))


def test_equal_row_sparsities_match_a_single_sparsity() -> None:
    score = scores(6, 100, 1, "ties")
    for share in (0.0, 0.29, 0.57, 0.6, 0.99):
        rows = torch.full((6,), share, dtype=torch.float64)
        assert torch.equal(
            Unstructured(Group.ROW).keep(score, rows), Unstructured(Group.ROW).keep(score, share)
        )


def test_row_sparsities_with_a_transposed_view() -> None:
    score = scores(6, 140, 1).T.contiguous().T
    sparsity = torch.linspace(0, 0.99, 6, dtype=torch.float64)
    assert torch.equal(
        Unstructured(Group.ROW).keep(score, sparsity),
        Unstructured(Group.ROW).keep(score.contiguous(), sparsity),
    )


@pytest.mark.parametrize("group", [Group.LAYER, Group.BLOCK])
def test_row_sparsities_require_row_groups(group: Group) -> None:
    with pytest.raises(ValueError, match=f"not in the group {group.value}"):
        Unstructured(group).keep(scores(3, 8, 0), torch.full((3,), 0.5))


@pytest.mark.parametrize("shape", [(), (1,), (2,), (8,), (3, 1)], ids=str)
def test_row_sparsities_must_match_the_number_of_rows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each of 3 rows"):
        Unstructured(Group.ROW).keep(scores(3, 8, 0), torch.full(shape, 0.5))


def test_row_sparsities_with_nan_scores_are_rejected() -> None:
    score = scores(3, 8, 0)
    score[1, 2] = float("nan")
    with pytest.raises(NumericsError, match="not numbers"):
        Unstructured(Group.ROW).keep(score, torch.full((3,), 0.5))


def test_blocks_may_have_another_width() -> None:
    kept = Unstructured(Group.BLOCK, width=4).keep(scores(3, 10, 0), 0.5)
    assert [int((~kept[:, start : start + 4]).sum()) for start in (0, 4, 8)] == [6, 6, 3]


def test_groups_by_hand() -> None:
    score = torch.tensor([[1.0, 8.0, 3.0, 6.0], [5.0, 2.0, 7.0, 4.0]])
    assert torch.equal(Unstructured(Group.LAYER).keep(score, 0.5), mask("0101 1010"))
    assert torch.equal(Unstructured(Group.LAYER).keep(score, 0.375), mask("0101 1011"))
    assert torch.equal(Unstructured(Group.ROW).keep(score, 0.25), mask("0111 1011"))
    assert torch.equal(Unstructured(Group.BLOCK, width=2).keep(score, 0.5), mask("0101 1010"))
    assert torch.equal(Unstructured(Group.BLOCK, width=3).keep(score, 0.5), mask("0101 1010"))


def test_on_ties_the_lower_position_is_removed_first() -> None:
    equal = torch.full((2, 5), 0.7)
    assert torch.equal(Unstructured(Group.LAYER).keep(equal, 0.7), mask("00000 00111"))
    assert torch.equal(Unstructured(Group.ROW).keep(equal, 0.4), mask("00111 00111"))
    assert torch.equal(SemiStructured(2, 4).keep(torch.zeros(1, 8), 0.5), mask("00110011"))


def test_ties_within_a_block_are_removed_row_by_row() -> None:
    # Columns 0-2: three of six entries are removed, those of row 0. Columns 3-4: two of four.
    assert torch.equal(Unstructured(Group.BLOCK, width=3).keep(torch.ones(2, 5), 0.5), mask("00000 11111"))


def test_zeros_are_removed_from_the_left() -> None:
    score = torch.tensor([[0.0, 3.0, 0.0, 0.0, 2.0, 0.0]])
    assert torch.equal(Unstructured(Group.ROW).keep(score, 0.5), mask("010011"))


def test_ties_are_stable_in_a_large_layer() -> None:
    """Thresholds, or sorts that are stable only for short lists, would fail here."""
    score = torch.zeros(300, 400)
    score[::2, ::3] = 1.0
    kept = Unstructured(Group.LAYER).keep(score, 0.25)
    flat = score.flatten()
    lowest = (flat == 0).nonzero().flatten()[:30_000]
    expected = torch.ones(120_000, dtype=torch.bool)
    expected[lowest] = False
    assert torch.equal(kept.flatten(), expected)


def test_infinite_scores_are_ranked() -> None:
    score = torch.tensor([[float("inf"), 1.0, float("inf"), 2.0]])
    assert torch.equal(Unstructured(Group.ROW).keep(score, 0.5), mask("1010"))
    assert torch.equal(Unstructured(Group.ROW).keep(score, 0.75), mask("0010"))


@pytest.mark.parametrize(
    "pattern", [*map(Unstructured, Group), SemiStructured(2, 4), SemiStructured(2, 4, "assignment")], ids=str
)
def test_nan_scores_are_rejected_or_counted(pattern: Unstructured | SemiStructured) -> None:
    """An infinite activation times a weight of 0 is NaN; a mask with a wrong count would go unnoticed."""
    score = scores(4, 8, 0)
    score[1, 2:5] = float("nan")
    try:
        kept = pattern.keep(score, 0.5)
    except NumericsError:
        return
    assert int(kept.sum()) == 16


@pytest.mark.parametrize("group", list(Group))
def test_the_score_is_not_modified_and_may_be_a_view(group: Group) -> None:
    score = scores(6, 140, 1).T.contiguous().T
    before = score.clone()
    kept = Unstructured(group).keep(score, 0.5)
    assert torch.equal(score, before)
    assert torch.equal(kept, Unstructured(group).keep(before.contiguous(), 0.5))


@pytest.mark.parametrize("group", list(Group))
def test_a_higher_sparsity_keeps_a_subset(group: Group) -> None:
    score, last = scores(5, 150, 4, "ties"), None
    for sparsity in SPARSITIES:
        kept = Unstructured(group).keep(score, sparsity)
        assert last is None or not (kept & ~last).any()
        last = kept


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_remove_lowest(count: int) -> None:
    score = scores(4, 6, 2, "ties")
    kept = remove_lowest(score, count).keep
    for values, row in zip(score.tolist(), kept.tolist(), strict=True):
        lowest_places = sorted(range(6), key=values.__getitem__)[:count]
        assert [place for place in range(6) if not row[place]] == sorted(lowest_places)


@pytest.mark.parametrize(("n", "m"), N_OF_M)
@pytest.mark.parametrize("kind", ["continuous", "ties", "zeros"])
def test_n_of_m_keeps_the_n_highest_of_each_m(n: int, m: int, kind: str) -> None:
    for rows, groups in ((1, 1), (3, 5), (8, 26)):
        score = scores(rows, groups * m, 5, kind)
        kept = SemiStructured(n, m).keep(score, 1 - n / m)
        assert (kept.view(rows, groups, m).sum(2) == n).all()
        assert torch.equal(kept, oracles.keep_mask(score, f"{n}:{m}", None, 1 - n / m))


@pytest.mark.parametrize("kind", ["continuous", "ties", "zeros", "negative", "infinite"])
@pytest.mark.parametrize("entries", [2, 4, 7, FEW])
def test_comparing_and_sorting_select_the_same(entries: int, kind: str) -> None:
    for seed in range(3):
        score = scores(60, entries, seed, "ties" if kind in ("negative", "infinite") else kind)
        if kind == "negative":
            score -= 2
        score[score == 3] = float("inf") if kind == "infinite" else 3.0
        for count in range(1, entries):
            compared = remove_lowest_of_few(score, count)
            # A NaN in another group makes a CPU sort instead.
            sorted_ = remove_lowest_of_few(torch.cat([score, torch.full((1, entries), torch.nan)]), count)
            assert torch.equal(compared.keep, sorted_.keep[:-1])
            assert torch.equal(compared.ties, sorted_.ties)


def test_n_of_m_by_hand() -> None:
    score = torch.tensor([[4.0, 1.0, 3.0, 2.0, 0.0, 9.0, 0.0, 0.0]])
    assert torch.equal(SemiStructured(2, 4).keep(score, 0.5), mask("10100101"))
    assert torch.equal(SemiStructured(1, 4).keep(score, 0.75), mask("10000100"))
    assert torch.equal(SemiStructured(3, 4).keep(score, 0.25), mask("10110111"))
    assert torch.equal(SemiStructured(1, 2).keep(score, 0.5), mask("10100101"))


@pytest.mark.parametrize(("n", "m"), N_OF_M)
def test_n_of_m_sparsity_and_step(n: int, m: int) -> None:
    pattern = SemiStructured(n, m)
    assert pattern.fixed_sparsity == pytest.approx(1 - n / m)
    assert pattern.step == m


def test_steps_of_unstructured_groups() -> None:
    assert {group: Unstructured(group).step for group in Group} == {
        Group.LAYER: None,
        Group.ROW: None,
        Group.BLOCK: 128,
    }


@pytest.mark.parametrize("text", ["2:4", "4:8", "1:4", "3:5", "1:2"])
def test_parse_n_of_m(text: str) -> None:
    assert parse_pattern(text) == tuple(map(int, text.split(":")))


def test_parse_unstructured() -> None:
    assert parse_pattern("unstructured") is None


@pytest.mark.parametrize(
    "text", ["", "2", "2:", ":4", "2:4:8", "a:b", "4:4", "5:4", "0:4", "-1:4", "2.5:4", "dense", "2/4"]
)
def test_invalid_patterns_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parse_pattern(text)

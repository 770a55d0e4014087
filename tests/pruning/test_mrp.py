"""The mrp update and the joint mask: float64 without damping, brute force, and independence of batching."""

from collections.abc import Callable
from itertools import combinations
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.errors import NumericsError
from engine.hardware import memory
from engine.pruning import batched_solve
from engine.pruning.axes import SCORES, UPDATES, FrozenMask, Updated
from engine.pruning.batched_solve import Systems, by_library, by_panels, solve
from engine.pruning.hessian import DAMPING_LADDER, damped, inverse_factor
from engine.pruning.plan import Plan
from engine.pruning.scores.joint import MOST_SETS, group_inverses, removed_together, sets
from engine.pruning.statistics import Statistics
from engine.pruning.updates import mrp
from engine.pruning.updates.mrp import joint_update
from tests.pruning import oracles
from tests.pruning.oracles import Layer

MRP, JOINT = UPDATES["mrp"], SCORES["joint"]
TINY, AMPLE = 1, 2**30


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uneven_mask(rows: int, width: int) -> Tensor:
    """Return a mask whose rows keep everything, nothing, and any share in between, in random order."""
    shares = torch.linspace(0, 1, rows)[torch.randperm(rows, generator=generator(1))]
    return torch.rand(rows, width, generator=generator(2)) < shares[:, None]


def precise(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weight, the undamped Hessian, and the factor of its inverse in float64."""
    hessian = oracles.hessian(layer.inputs)
    return layer.weight.double(), hessian, inverse_factor(hessian, ladder=(0.0,)).upper


def positive_definite(width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    root = torch.randn(width, 2 * width, dtype=dtype, generator=generator())
    return root @ root.T / width


def update_with_mask(layer: Layer, keep: Tensor) -> Updated:
    return MRP.function(layer.weight.clone(), oracles.collect_statistics(layer), FrozenMask(keep))


# ---- properties


@pytest.mark.parametrize("shape", [(17, 48), (9, 135)])
def test_mrp_is_least_squares_on_the_kept_columns(shape: tuple[int, int]) -> None:
    layer = oracles.random_layer(*shape)
    weight, hessian, upper = precise(layer)
    keep = uneven_mask(*shape)
    updated, failed = joint_update(weight, keep, hessian, upper)
    inputs = layer.inputs.flatten(0, 1).double()
    for row, kept, got in zip(weight, keep, updated, strict=True):
        expected = torch.zeros_like(row)
        expected[kept] = torch.linalg.lstsq(inputs[:, kept], (inputs @ row)[:, None]).solution[:, 0]
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-9)
    assert not failed.any() and not updated[~keep].any()


def test_no_update_has_a_smaller_error() -> None:
    """The gradient of the error is zero at the kept weights; none and obs are no better in any row."""
    layer = oracles.random_layer(12, 64)
    weight, hessian, upper = precise(layer)
    keep = torch.rand(12, 64, generator=generator()) > 0.6
    best, _ = joint_update(weight, keep, hessian, upper)
    unused = torch.zeros(64, dtype=torch.bool)
    obs, _ = oracles.update_columns(weight, hessian, unused, lambda column, *_: keep[:, [column]])

    def errors(changed: Tensor) -> Tensor:
        return ((changed - weight) @ hessian * (changed - weight)).sum(1)

    assert float(((best - weight) @ hessian)[keep].abs().max()) < 1e-9 * float(hessian.abs().max())
    assert (errors(best) < errors(obs)).all() and (errors(obs).sum() < errors(weight * keep).sum())
    assert (errors(best) < errors(weight * keep)).all()


@pytest.mark.parametrize("column", [0, 7, 19])
def test_one_removed_weight_matches_the_closed_form(column: int) -> None:
    weight, hessian, upper = precise(oracles.random_layer(3, 20))
    keep = torch.ones(3, 20, dtype=torch.bool)
    keep[1, column] = False
    inverse = torch.linalg.inv(hessian)
    expected = weight.clone()
    expected[1] -= weight[1, column] / inverse[column, column] * inverse[column]
    expected[1, column] = 0
    updated, _ = joint_update(weight, keep, hessian, upper)
    torch.testing.assert_close(updated, expected, rtol=1e-9, atol=1e-10)
    assert torch.equal(updated[[0, 2]], weight[[0, 2]])


def test_both_systems_agree() -> None:
    """Solving for the removed weights and solving for the kept weights give the same result."""
    weight, hessian, upper = precise(oracles.random_layer(15, 60))
    keep = uneven_mask(15, 60)
    by_smaller, _ = joint_update(weight, keep, hessian, upper)
    by_kept, _ = joint_update(weight, keep, hessian)
    torch.testing.assert_close(by_smaller, by_kept, rtol=1e-9, atol=1e-10)


def test_the_smaller_system_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, hessian, upper = precise(oracles.random_layer(15, 60))
    largest = []
    monkeypatch.setattr(
        mrp,
        "solve",
        lambda matrix, members, *rest: (
            largest.append(int(members.sum(1).max())) or solve(matrix, members, *rest)
        ),
    )
    joint_update(weight, uneven_mask(15, 60), hessian, upper)
    assert len(largest) == 2 and max(largest) <= 30


def test_a_layer_by_hand() -> None:
    """Inputs (1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1): only columns 0 and 1 are correlated."""
    inputs = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    layer = Layer(torch.tensor([[2.0, 3, 4, 1], [1.0, -2, 0, 5]]), inputs[None])
    weight, hessian, upper = precise(layer)
    keep = torch.tensor([[True, False, True, False], [False, True, False, True]])
    # Outputs 2, 5, 4, 1: column 0 alone fits 2 and 5 best with 3.5. Outputs 1, -1, 0, 5: column 1 is active
    # only for the output -1.
    expected = torch.tensor([[3.5, 0, 4, 0], [0, -1, 0, 5]], dtype=torch.float64)
    torch.testing.assert_close(joint_update(weight, keep, hessian, upper)[0], expected)
    # Removing column 0, 1, 2 or 3 of row 0 costs 2^2, 2 * 1.5^2, 4^2 or 1^2; 0 and 3 cost 5, the least of the
    # six pairs. Row 1: 1^2, 2 * 1^2, 0, 5^2, so columns 0 and 2 are removed.
    assert JOINT.function(weight, undamped_statistics(hessian), n=2, m=4).tolist() == [
        [0, 1, 1, 0],
        [0, 1, 0, 1],
    ]


def test_rows_without_and_with_only_removed_weights() -> None:
    weight, hessian, upper = precise(oracles.random_layer(3, 20))
    keep = torch.stack([torch.ones(20), torch.zeros(20), torch.arange(20) % 2]).bool()
    updated, failed = joint_update(weight, keep, hessian, upper)
    assert torch.equal(updated[0], weight[0]) and not updated[1].any() and not failed.any()
    assert not torch.equal(updated[2], weight[2] * keep[2])


# ---- batches


@pytest.mark.parametrize("budget", [TINY, 200_000, AMPLE])
def test_padding_and_batching_do_not_affect_the_result(budget: int) -> None:
    """Rows with very different sets in one call give the same results as each row alone."""
    matrix, members = positive_definite(90), uneven_mask(40, 90)
    right = torch.randn(40, 90, dtype=torch.float64, generator=generator(3))
    together, failed = solve(matrix, members, right, budget)
    assert not failed.any() and not together[~members].any()
    for row, inside in enumerate(members):
        alone = torch.linalg.solve(matrix[inside][:, inside], right[row, inside])
        torch.testing.assert_close(together[row, inside], alone, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("width", [5, 32, 90, 200])
@pytest.mark.parametrize("smallest", [1, 0.5, 0.1])
def test_panels_match_the_library(width: int, smallest: float) -> None:
    """Test the accelerator's algorithm on the CPU: several panels, some of them padding only."""
    matrix = positive_definite(2 * width)
    columns = torch.rand(6, 2 * width, generator=generator(4)).argsort(1)[:, :width]
    sizes = torch.linspace(smallest * width, width, 6).long().clamp(1)
    real = torch.arange(width) < sizes[:, None]
    right = torch.randn(6, width, dtype=torch.float64, generator=generator(5)) * real
    padded = Systems(matrix, columns, real, padded=not bool(real.all()))
    (panels, wrong), (library, bad) = by_panels(padded, right), by_library(padded, right)
    assert not wrong.any() and not bad.any()
    torch.testing.assert_close(panels, library, rtol=1e-8, atol=1e-9)
    first = columns[0, : sizes[0]]
    torch.testing.assert_close(
        library[0, : sizes[0]], torch.linalg.solve(matrix[first][:, first], right[0, : sizes[0]])
    )


@pytest.mark.parametrize("factored", [by_panels, by_library])
def test_a_failing_system_does_not_affect_others(
    factored: Callable[[Systems, Tensor], tuple[Tensor, Tensor]],
) -> None:
    matrix = torch.eye(80, dtype=torch.float64)
    matrix[3, 70] = matrix[70, 3] = 2.0
    # Some systems contain both coupled columns (3 and 70), some only one.
    columns = torch.stack([torch.arange(80).roll(shift)[:72] for shift in (0, -5, -72)])
    right = torch.ones(3, 72, dtype=torch.float64)
    solved, failed = factored(
        Systems(matrix, columns, torch.ones(3, 72, dtype=torch.bool), padded=False), right
    )
    both = ((columns == 3).any(1) & (columns == 70).any(1)).tolist()
    assert failed.tolist() == both and set(both) == {True, False}
    torch.testing.assert_close(solved[~failed], right[~failed])


def test_batches_respect_the_memory_budget_and_group_similar_sizes() -> None:
    matrix, sizes = positive_definite(64), [60, 60, 59, 58, 50, 30, 30, 3, 1, 0, 0]
    budget = 3 * batched_solve.bytes_each(64, matrix)
    pieces = list(batched_solve._pieces(sizes, matrix, budget))
    assert [row for start, stop, _ in pieces for row in range(start, stop)] == list(range(9))
    for start, stop, width in pieces:
        assert width <= 64 and sizes[start] <= width < sizes[start] + batched_solve.ALIGNMENT
        assert (stop - start) * batched_solve.bytes_each(width, matrix) <= budget
        assert sizes[stop - 1] >= min(
            sizes[start] * (1 - batched_solve.SLACK), width - batched_solve.ALIGNMENT
        )


def test_batches_run_in_threads_and_the_thread_count_is_restored() -> None:
    matrix, members = positive_definite(60), uneven_mask(50, 60)
    right, before = torch.randn(50, 60, dtype=torch.float64, generator=generator(6)), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(solve(matrix, members, right)[0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)


def test_the_budget_is_half_of_the_available_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._recent_host_free.cache_clear()
    monkeypatch.setattr(memory, "host_free", lambda: 2 * 1024 * 1024)
    assert memory.budget(torch.device("cpu")) == 1024 * 1024
    memory._recent_host_free.cache_clear()
    monkeypatch.setattr(memory, "host_free", lambda: None)
    assert memory.budget(torch.device("cpu")) > 0
    memory._recent_host_free.cache_clear()
    assert [memory.pieces_that_fit(10, each, 100) for each in (1, 30, 1000)] == [10, 3, 1]


# ---- failures


def coupled(strength: float) -> Statistics:
    """Return statistics whose Hessian is not positive definite, although the given factor hides that."""
    hessian = torch.eye(5)
    hessian[0, 1] = hessian[1, 0] = strength
    factor = inverse_factor(torch.eye(5))
    return cast(Statistics, SimpleNamespace(hessian=hessian, factor=factor, width=5))


def test_failed_rows_are_solved_in_float64_with_more_damping_and_reported() -> None:
    keep = torch.tensor([[True, True, False, False, False], [False, False, True, False, True]])
    statistics, weight = coupled(1.05), torch.randn(2, 5, generator=generator())
    updated = MRP.function(weight, statistics, FrozenMask(keep))
    assert torch.equal(updated.weight, weight * keep)  # no removed column is coupled to a kept one
    assert len(updated.warnings) == 1
    assert (
        "1 of 2 rows" in updated.warnings[0]
        and "float64" in updated.warnings[0]
        and "damping of 0.1" in updated.warnings[0]
    )


def test_rows_that_no_damping_fixes_are_rejected() -> None:
    with pytest.raises(NumericsError, match=f"1 rows .* damping {DAMPING_LADDER[-1]}"):
        MRP.function(
            torch.ones(1, 5), coupled(5.0), FrozenMask(torch.tensor([[True, True, False, False, False]]))
        )


def test_kept_weights_of_dead_columns_are_unchanged() -> None:
    layer = oracles.EDGE_CASES["dead-columns"]()
    keep = (
        torch.rand(layer.weight.shape, generator=generator())
        > torch.linspace(0.1, 0.9, len(layer.weight))[:, None]
    )
    updated = update_with_mask(layer, keep)
    unused = oracles.is_dead(layer.inputs)
    assert torch.equal(updated.weight[:, unused], (layer.weight * keep)[:, unused])
    assert not torch.equal(updated.weight, layer.weight * keep) and updated.warnings == ()


def test_increased_damping_is_reported() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1, 1, 2, 2]))
    matrix[0, 1] = matrix[1, 0] = 1.05
    statistics = cast(Statistics, SimpleNamespace(hessian=matrix, factor=inverse_factor(matrix), width=5))
    (warning,) = MRP.function(
        torch.ones(1, 5), statistics, FrozenMask(torch.tensor([[True, False, True, False, True]]))
    ).warnings
    assert "damping of 0.1" in warning


def test_the_factor_belongs_to_the_damped_hessian() -> None:
    hessian = oracles.hessian(oracles.EDGE_CASES["dead-columns"]().inputs)
    upper = inverse_factor(hessian).upper
    torch.testing.assert_close(
        upper.T @ upper @ damped(hessian, 0.01), torch.eye(len(hessian), dtype=torch.float64)
    )
    torch.testing.assert_close(damped(hessian, 0.01), oracles.damped(hessian))


# ---- the joint mask


def undamped_statistics(hessian: Tensor) -> Statistics:
    """Return statistics with only a factor, without damping."""
    return cast(Statistics, SimpleNamespace(factor=inverse_factor(hessian, ladder=(0.0,))))


def brute_force(weight: Tensor, inverse: Tensor, n: int, m: int) -> Tensor:
    """Try every set in every group of every row, given the full inverse Hessian."""
    result = torch.ones_like(weight)
    for row, start in ((row, start) for row in range(len(weight)) for start in range(0, weight.shape[1], m)):
        losses = {}
        for chosen in combinations(range(start, start + m), m - n):
            removed = list(chosen)
            losses[chosen] = float(
                weight[row, removed] @ torch.linalg.inv(inverse[removed][:, removed]) @ weight[row, removed]
            )
        result[row, list(min(losses, key=lambda chosen: losses[chosen]))] = 0
    return result


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (1, 2), (2, 3), (4, 8)])
def test_the_cheapest_set_of_each_group_is_removed(n: int, m: int) -> None:
    layer = oracles.random_layer(7, 24)
    weight, hessian, _ = precise(layer)
    expected = brute_force(weight, torch.linalg.inv(hessian), n, m)
    assert torch.equal(JOINT.function(weight, undamped_statistics(hessian), n=n, m=m), expected)
    assert (expected.unflatten(1, (-1, m)).sum(2) == n).all()


def test_on_a_slice_only_later_columns_compensate() -> None:
    """From column 8 on: the inverse Hessian of the remaining columns, as if there were none before."""
    weight, hessian, _ = precise(oracles.random_layer(60, 24))
    statistics = undamped_statistics(hessian)
    got = JOINT.function(weight[:, 8:12], statistics, n=2, m=4, columns=slice(8, 12))
    assert torch.equal(got, brute_force(weight[:, 8:12], torch.linalg.inv(hessian[8:, 8:])[:4, :4], 2, 4))
    assert not torch.equal(got, JOINT.function(weight, statistics, n=2, m=4)[:, 8:12])
    several = JOINT.function(weight[:, 8:16], statistics, n=2, m=4, columns=slice(8, 16))
    assert torch.equal(several[:, :4], got)
    assert torch.equal(
        several[:, 4:], JOINT.function(weight[:, 12:16], statistics, n=2, m=4, columns=slice(12, 16))
    )


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3)])
def test_with_obs_sets_are_chosen_on_the_running_weights(n: int, m: int) -> None:
    """As APT's MS does: each group is decided when its first column is reached."""
    layer = oracles.random_layer(20, 48)
    plan = Plan.of(score="joint", pattern=f"{n}:{m}", update="obs")

    def decide(column: int, running: Tensor, inverses: list[Tensor]) -> Tensor | None:
        return (
            None
            if column % m
            else brute_force(running[:, column : column + m], inverses[column][:m, :m], n, m).bool()
        )

    weight, mask = oracles.update_columns(
        layer.weight, oracles.damped(oracles.hessian(layer.inputs)), oracles.is_dead(layer.inputs), decide
    )
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 1 - n / m)
    assert torch.equal(outcome.keep, mask)
    torch.testing.assert_close(
        outcome.weight.double(), weight, rtol=2e-3, atol=2e-3 * float(weight.abs().max())
    )


def test_the_group_blocks_of_the_inverse() -> None:
    _, hessian, upper = precise(oracles.random_layer(1, 12))
    inverse = torch.linalg.inv(hessian)
    expected = torch.stack([inverse[at : at + 4, at : at + 4] for at in (0, 4, 8)])
    torch.testing.assert_close(group_inverses(upper, 4, slice(None)), expected)


@pytest.mark.parametrize("budget", [TINY, 5_000, AMPLE])
def test_the_memory_budget_does_not_change_the_mask(budget: int) -> None:
    weight, _, upper = precise(oracles.random_layer(30, 48))
    inverses = group_inverses(upper, 8, slice(None))
    assert torch.equal(
        removed_together(weight, inverses, 4, budget), removed_together(weight, inverses, 4, AMPLE)
    )


def test_on_ties_the_first_columns_are_removed() -> None:
    same = torch.full((2, 8), 0.5)
    assert (
        JOINT.function(same, undamped_statistics(torch.eye(8)), n=2, m=4).tolist()
        == [[0, 0, 1, 1, 0, 0, 1, 1]] * 2
    )
    assert JOINT.function(torch.zeros(1, 4), undamped_statistics(torch.eye(4)), n=3, m=4).tolist() == [
        [0, 1, 1, 1]
    ]


def test_columns_that_are_never_active_cost_nothing() -> None:
    hessian = positive_definite(8)
    hessian[[2, 7]] = 0
    hessian[:, [2, 7]] = 0
    weight = torch.ones(3, 8, dtype=torch.float64)
    weight[:, [2, 7]] = 1e6
    statistics = cast(Statistics, SimpleNamespace(factor=inverse_factor(hessian)))
    for columns in (slice(None), slice(0, 8)):
        assert not JOINT.function(weight, statistics, n=2, m=4, columns=columns)[:, [2, 7]].any()


def test_a_joint_choice_beats_single_choices_for_interchangeable_columns() -> None:
    """The first two columns are almost equal: removing one costs nothing, removing both costs the most."""
    inputs = torch.eye(4)
    inputs[0, 1] = 1.0
    inputs[1, 1] = 0.05
    hessian = inputs.T @ inputs
    statistics, weight = undamped_statistics(hessian), torch.tensor([[1.0, 1, 0.4, 0.5]])
    single = weight.square() / torch.linalg.inv(hessian).diagonal()
    assert single[0].argsort()[:2].tolist() == [0, 1] or single[0].argsort()[:2].tolist() == [1, 0]
    joint = JOINT.function(weight, statistics, n=2, m=4)
    assert joint[0, :2].sum() == 1 and joint[0, 2] == 0


def test_too_many_sets_are_rejected() -> None:
    assert [sets(2, 4), sets(4, 8), sets(1, 4), sets(8, 16)] == [6, 70, 4, 12_870]
    assert sets(6, 12) <= MOST_SETS < sets(7, 14)
    with pytest.raises(NumericsError, match="12,870"):
        JOINT.function(torch.ones(1, 16), undamped_statistics(torch.eye(16)), n=8, m=16)

"""SparseSwaps against a float64 oracle that computes the output error of every exchange by its definition."""

import pytest
import torch
from torch import Tensor

from engine.hardware.device import threads
from engine.pruning.plan import Plan
from engine.pruning.refinements import best_swap, sparseswaps, swap_state
from tests.pruning import oracles
from tests.pruning.calls import random_mask, refine_mask
from tests.pruning.oracles import EDGE_CASES, Layer, random_layer

PATTERNS = [("unstructured", None), ("3:4", 4), ("4:8", 8)]
TIED = {"all-dead", "constant-inputs", "duplicate-columns", "one-token", "equal-weights", "outlier-input"}
"""Layers in which several exchanges lower the error equally, or by so little next to the outlier that float32
does not determine their order.
"""


def few_rows(case: str, group: int | None) -> Layer:
    """Return an edge case with at most two rows; a plain layer if its width is not divisible by `group`."""
    layer = EDGE_CASES[case]()
    if group and layer.width % group:
        layer = random_layer(2, 4 * group)
    return Layer(layer.weight[:2], layer.inputs)


def masks(layer: Layer, pattern: str) -> list[Tensor]:
    wanda = oracles.wanda(layer.weight, layer.inputs)
    return [oracles.keep_mask(wanda, pattern, "row", 0.6), oracles.keep_mask(-wanda, pattern, "row", 0.5)]


def error(row: Tensor, inputs: Tensor, keep: Tensor) -> float:
    """Return the squared output error of a row `[in]` with a mask `[in]`, in float64."""
    return float((inputs.reshape(-1, len(row)).double() @ (row.double() * ~keep)).square().sum())


def after_exchanges(row: Tensor, inputs: Tensor, keep: Tensor, group: int | None) -> Tensor:
    """Return the squared output error after each exchange, `[in, in]` by kept and pruned column in float64;
    infinite where an exchange is not allowed.
    """
    parts = (inputs.reshape(-1, len(row)).double() * row.double()).T.contiguous()  # [in, tokens]
    lost = parts[~keep].sum(0)
    # The distance of two vectors, without the products of matrices that would round differently.
    left = torch.cdist(lost + parts[keep], parts[~keep], compute_mode="donot_use_mm_for_euclid_dist")
    result = torch.full((len(row), len(row)), torch.inf, dtype=torch.float64)
    result[keep[:, None] & ~keep] = left.square().flatten()
    groups = torch.arange(len(row)) // (group or len(row))
    return result.where(groups[:, None] == groups, torch.inf)


def swapped(row: Tensor, inputs: Tensor, keep: Tensor, group: int | None, swaps: int) -> tuple[Tensor, int]:
    """Return the mask after the best exchange has been made again and again, and how often."""
    keep = keep.clone()
    for made in range(swaps):
        after = after_exchanges(row, inputs, keep, group)
        if float(after.min()) >= error(row, inputs, keep) * (1 - 1e-9):
            return keep, made
        p, g = divmod(int(after.argmin()), len(row))
        keep[p], keep[g] = False, True
    return keep, swaps


@pytest.mark.parametrize(("pattern", "group"), PATTERNS)
@pytest.mark.parametrize("case", [case for case in EDGE_CASES if case not in TIED])
def test_the_swaps_are_the_oracles(case: str, pattern: str, group: int | None) -> None:
    layer = few_rows(case, group)
    for mask in masks(layer, pattern):
        swaps = 0 if layer.width < 50 else 2  # 0: all of them, which takes the oracle long
        got = refine_mask("sparseswaps", layer, mask, group=group, swaps=swaps)
        expected = [
            swapped(row, layer.inputs, keep, group, swaps or 1000)
            for row, keep in zip(layer.weight, mask, strict=True)
        ]
        assert torch.equal(got.keep, torch.stack([keep for keep, _ in expected]))
        assert got.swaps == sum(made for _, made in expected)


@pytest.mark.parametrize(("pattern", "group"), PATTERNS)
@pytest.mark.parametrize("case", EDGE_CASES)
def test_the_error_never_rises_and_in_the_end_no_exchange_lowers_it(
    case: str, pattern: str, group: int | None
) -> None:
    layer = few_rows(case, group)
    for mask in masks(layer, pattern):
        got = refine_mask("sparseswaps", layer, mask, group=group)
        assert torch.equal(got.keep.sum(1), mask.sum(1))
        if group:
            assert torch.equal(got.keep.view(-1, group).sum(1), mask.view(-1, group).sum(1))
        for row, before, after in zip(layer.weight, mask, got.keep, strict=True):
            first, last = (error(row, layer.inputs, keep) for keep in (before, after))
            assert last <= first
            # Rounding in float32 may leave exchanges whose gain is far below the row's error.
            assert float(after_exchanges(row, layer.inputs, after, group).min()) >= last - 1e-3 * first


@pytest.mark.parametrize("count", [1, 3])
def test_small_steps_in_threads_change_nothing(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = random_layer(24, 48)
    mask = random_mask(layer, 0.5)
    expected = [refine_mask("sparseswaps", layer, mask, group=group) for group in (None, 4)]
    monkeypatch.setattr(sparseswaps, "NUMBERS_AT_ONCE", 100)  # two rows
    monkeypatch.setattr(best_swap, "PAIRS_AT_ONCE", 20)
    monkeypatch.setattr(swap_state, "NEAREST", 3)  # of 48 inputs: the other pairs decide
    for group, before in zip((None, 4), expected, strict=True):
        with threads(count):
            got = refine_mask("sparseswaps", layer, mask, group=group)
        assert torch.equal(got.keep, before.keep) and got.swaps == before.swaps > 24


def test_an_example_by_hand() -> None:
    # Two equal inputs and one that is independent of them. Pruned are 3 and -1 on the equal ones: together
    # they cause the error (3 - 1)^2 = 4. Exchanging the 3 for the independent 1 leaves (-1)^2 + 1^2 = 2,
    # exchanging the -1 leaves 3^2 + 1^2 = 10.
    inputs = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    layer = Layer(torch.tensor([[3.0, -1.0, 1.0]]), inputs)
    got = refine_mask("sparseswaps", layer, torch.tensor([[False, False, True]]))
    assert got.keep.tolist() == [[True, False, False]] and got.swaps == 1


@pytest.mark.parametrize("update", ["none", "obs", "mrp"])
def test_it_precedes_every_update_and_follows_a_permutation(update: str) -> None:
    layer = random_layer(16, 32)
    for permutation in (None, "assignment"):
        errors = []
        for refinement in ("none", "sparseswaps"):
            plan = Plan.of(
                score="wanda", pattern="2:4", permutation=permutation, update=update, refinement=refinement
            )
            statistics = oracles.collect_statistics(layer, plan.needs)
            outcome = plan.prune(layer.weight, statistics, 0.5)
            rows = layer.inputs.reshape(-1, layer.width)
            errors.append(float((rows @ (layer.weight - outcome.weight).T).norm()))
        assert errors[1] < errors[0]

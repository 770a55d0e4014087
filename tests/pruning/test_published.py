"""Masks by the rules of the widely used reference code, simulated here in its own order of steps: equal but
for ties.

That code keeps a running mean of squared norms over batches, sorts each row and drops `int(in * s)` entries;
magnitude takes a threshold from the sorted layer and drops `<=` it, one weight more than the floor. Its n:m
counts what is *removed* of each m.
"""

import pytest
import torch
from torch import Tensor

from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from tests.pruning import oracles
from tests.pruning.oracles import Layer

SPARSITIES = [0.25, 0.5, 0.6, 0.75]
SIZES = [(16, 64), (8, 130), (33, 192)]


def running_mean_of_squares(inputs: Tensor) -> Tensor:
    """Window after window: the mean so far is scaled down, the new window's squared norms come on top."""
    mean = torch.zeros(inputs.shape[-1])
    for seen, window in enumerate(inputs):
        mean *= seen / (seen + 1)
        mean += torch.norm(window.float(), p=2, dim=0) ** 2 / (seen + 1)
    return mean


def wanda_metric(layer: Layer) -> Tensor:
    return layer.weight.abs() * running_mean_of_squares(layer.inputs).sqrt()


def drop_sorted_rows(metric: Tensor, sparsity: float) -> Tensor:
    order = torch.sort(metric, dim=-1, stable=True).indices
    mask = torch.zeros_like(metric, dtype=torch.bool)
    return ~mask.scatter_(1, order[:, : int(metric.shape[1] * sparsity)], True)


def drop_to_threshold(metric: Tensor, sparsity: float) -> Tensor:
    threshold = torch.sort(metric.flatten()).values[int(metric.numel() * sparsity)]
    return ~(metric <= threshold)


def drop_of_each(metric: Tensor, removed: int, m: int) -> Tensor:
    mask = torch.zeros_like(metric, dtype=torch.bool)
    for start in range(0, metric.shape[1], m):
        lowest = torch.topk(metric[:, start : start + m], removed, dim=1, largest=False).indices
        mask.scatter_(1, start + lowest, True)
    return ~mask


def ours(layer: Layer, sparsity: float, **names: str | Group) -> Tensor:
    plan = Plan.of(**names)  # type: ignore[arg-type]
    return plan.prune(layer.weight, oracles.observed(layer, plan.needs), sparsity).keep


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_wanda_by_row(size: tuple[int, int], sparsity: float) -> None:
    layer = oracles.random_layer(*size, windows=5, tokens=40)
    assert torch.equal(ours(layer, sparsity, score="wanda"), drop_sorted_rows(wanda_metric(layer), sparsity))


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("score", ["magnitude", "wanda"])
def test_by_layer_the_published_mask_drops_one_more(
    score: str, size: tuple[int, int], sparsity: float
) -> None:
    layer = oracles.random_layer(*size, windows=5, tokens=40)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    published, mask = (
        drop_to_threshold(metric, sparsity),
        ours(layer, sparsity, score=score, group=Group.LAYER),
    )
    assert not (published & ~mask).any(), "we drop something that the published code keeps"
    assert int((mask & ~published).sum()) == 1
    assert torch.equal(metric[mask & ~published], metric[mask].min()[None]), (
        "the one more is the lowest of those we keep"
    )


@pytest.mark.parametrize(
    ("pattern", "removed", "m"), [("2:4", 2, 4), ("4:8", 4, 8), ("1:4", 3, 4), ("3:4", 1, 4)]
)
@pytest.mark.parametrize("score", ["magnitude", "wanda"])
def test_n_of_m(score: str, pattern: str, removed: int, m: int) -> None:
    layer = oracles.random_layer(16, 192, windows=5, tokens=40)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    assert torch.equal(
        ours(layer, 1 - (m - removed) / m, score=score, pattern=pattern), drop_of_each(metric, removed, m)
    )


@pytest.mark.parametrize("score", ["magnitude", "wanda"])
@pytest.mark.parametrize("group", [Group.ROW, Group.LAYER])
def test_coarse_weights_differ_in_ties_alone(score: str, group: Group) -> None:
    """Weights of few distinct values: the same multiset of scores must go, whichever of the equal ones."""
    layer = oracles.random_layer(16, 64)
    layer = Layer((layer.weight * 3).round() / 3, layer.inputs)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    mask = ours(layer, 0.5, score=score, group=group)
    groups = metric.split(1) if group == Group.ROW else (metric,)
    for values, kept in zip(groups, mask.split(1) if group == Group.ROW else (mask,), strict=True):
        lowest = values.flatten().sort().values[: values.numel() // 2]
        torch.testing.assert_close(values[~kept].sort().values, lowest)

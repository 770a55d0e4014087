"""Masks compared with a simulation of the widely used reference code: equal except for ties.

That code keeps a running mean of squared norms over batches, sorts each row and drops `int(in * s)` entries;
for magnitude it takes a threshold from the sorted layer and drops entries `<=` it, one more than the floor.
In its n:m, n is the number of *removed* weights per m.
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
    """Return the running mean of squared norms, updated window by window."""
    mean = torch.zeros(inputs.shape[-1])
    for count, window in enumerate(inputs):
        mean *= count / (count + 1)
        mean += torch.norm(window.float(), p=2, dim=0) ** 2 / (count + 1)
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


def prune_mask(layer: Layer, sparsity: float, **names: str | Group) -> Tensor:
    plan = Plan.of(**names)  # type: ignore[arg-type]
    return plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), sparsity).keep


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_wanda_with_row_groups(size: tuple[int, int], sparsity: float) -> None:
    layer = oracles.random_layer(*size, windows=5, tokens=40)
    assert torch.equal(
        prune_mask(layer, sparsity, score="wanda"), drop_sorted_rows(wanda_metric(layer), sparsity)
    )


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("score", ["magnitude", "wanda"])
def test_with_layer_groups_the_published_mask_drops_one_more(
    score: str, size: tuple[int, int], sparsity: float
) -> None:
    layer = oracles.random_layer(*size, windows=5, tokens=40)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    published, mask = (
        drop_to_threshold(metric, sparsity),
        prune_mask(layer, sparsity, score=score, group=Group.LAYER),
    )
    assert not (published & ~mask).any(), "a weight that the published code keeps is removed"
    assert int((mask & ~published).sum()) == 1
    assert torch.equal(metric[mask & ~published], metric[mask].min()[None]), (
        "the additional one must be the lowest kept here"
    )


@pytest.mark.parametrize(
    ("pattern", "removed", "m"), [("2:4", 2, 4), ("4:8", 4, 8), ("1:4", 3, 4), ("3:4", 1, 4)]
)
@pytest.mark.parametrize("score", ["magnitude", "wanda"])
def test_n_of_m(score: str, pattern: str, removed: int, m: int) -> None:
    layer = oracles.random_layer(16, 192, windows=5, tokens=40)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    assert torch.equal(
        prune_mask(layer, 1 - (m - removed) / m, score=score, pattern=pattern),
        drop_of_each(metric, removed, m),
    )


@pytest.mark.parametrize("score", ["magnitude", "wanda"])
@pytest.mark.parametrize("group", [Group.ROW, Group.LAYER])
def test_coarse_weights_differ_only_in_ties(score: str, group: Group) -> None:
    """With few distinct values, the same multiset of scores must be removed; ties may differ."""
    layer = oracles.random_layer(16, 64)
    layer = Layer((layer.weight * 3).round() / 3, layer.inputs)
    metric = layer.weight.abs() if score == "magnitude" else wanda_metric(layer)
    mask = prune_mask(layer, 0.5, score=score, group=group)
    groups = metric.split(1) if group == Group.ROW else (metric,)
    for values, keep in zip(groups, mask.split(1) if group == Group.ROW else (mask,), strict=True):
        lowest = values.flatten().sort().values[: values.numel() // 2]
        torch.testing.assert_close(values[~keep].sort().values, lowest)

"""Zeroing what a mask removes: the same bits as `masked_fill`, and no memory returned between linears."""

from __future__ import annotations

import pytest
import torch

from engine.pruning import pipeline
from engine.pruning.plan import Plan
from engine.pruning.weights import masked
from tests.models.families import built, pruned


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_masking_gives_the_bits_of_masked_fill(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 9, generator=generator).to(dtype)
    weight[0, :3], weight[1, :3], weight[2, :3] = torch.inf, torch.nan, -0.0
    keep = torch.rand(6, 9, generator=generator) > 0.5
    before = weight.clone()
    for some, kept in ((weight, keep), (weight.T, keep.T), (weight[:, ::2], keep[:, ::2])):
        found, expected = masked(some, kept), some.masked_fill(~kept, 0)
        assert found.shape == some.shape and found.dtype == dtype
        assert torch.equal(found.contiguous().view(torch.uint8), expected.contiguous().view(torch.uint8))
    assert torch.equal(weight.view(torch.uint8), before.view(torch.uint8))


def test_masking_a_parameter_needs_no_gradient() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 4))
    assert masked(weight, torch.eye(2, 4).bool()).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(("large", "per_block"), [(1, 2), (10**9, 0)])
def test_memory_is_returned_per_block_if_its_linears_are_large(
    large: int, per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a linear needs is what the one before it has freed; a small one, what the windows have freed."""
    calls: list[None] = []
    monkeypatch.setattr(pipeline, "trim_heap", lambda: calls.append(None))
    monkeypatch.setattr(pipeline, "LARGE", large)
    with torch.no_grad():
        blocks = len(pruned(built("llama"), Plan.of(score="wanda")).kept)
    assert len(calls) == per_block * blocks

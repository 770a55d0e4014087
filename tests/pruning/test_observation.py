"""NeuroAL's alignment of two vectors of activation norms, worked by hand."""

from math import sqrt

import pytest
import torch

from engine.pruning.observation import alignment


def norms(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(
    ("dense", "pruned", "expected"),
    [
        (norms(1, 1), norms(1, 1), 0.0),
        (norms(1, 3), norms(3, 1), sqrt(0.5**2 + 0.5**2) / 2),  # (1/4, 3/4) - (3/4, 1/4)
        (norms(1, 0), norms(0, 2), sqrt(2) / 2),
        (norms(1, 2, 1), norms(1, 1, 2), sqrt(0.25**2 + 0.25**2) / 3),
        (norms(4), norms(9), 0.0),  # a single column always has the whole
        (norms(2, 2, 2, 2), norms(8, 0, 0, 0), sqrt(0.75**2 + 3 * 0.25**2) / 4),
        (norms(0, 0), norms(0, 0), 0.0),
        (norms(1, 1), norms(0, 0), sqrt(0.5) / 2),
        (norms(0, 0), norms(1, 1), sqrt(0.5) / 2),
    ],
)
def test_hand_worked(dense: torch.Tensor, pruned: torch.Tensor, expected: float) -> None:
    got = alignment(dense, pruned)
    assert isinstance(got, float)
    assert got == pytest.approx(expected, abs=1e-7)


def test_against_the_definition_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    dense, pruned = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    d, q = dense.double(), pruned.double()
    assert alignment(dense, pruned) == pytest.approx(
        float((d / d.sum() - q / q.sum()).square().sum().sqrt()) / 50, rel=1e-5
    )


def test_scale_invariance() -> None:
    generator = torch.Generator().manual_seed(0)
    dense, pruned = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    assert alignment(1e-3 * dense, 1e4 * pruned) == pytest.approx(alignment(dense, pruned), rel=1e-4)
    assert alignment(dense, pruned) == pytest.approx(alignment(pruned, dense))


def test_equal_norms_have_alignment_zero() -> None:
    dense = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 1e6
    assert alignment(dense, dense.clone()) == 0.0

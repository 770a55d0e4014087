"""What a GPU decides is what the CPU decides: every family, every method, every pattern."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.pruning.axes import ALLOCATIONS, REFINEMENTS, SCORES, UPDATES
from engine.pruning.patterns import Group, SemiStructured, Unstructured
from engine.pruning.selection import remove_lowest
from tests.gpu.compared import agreement, least, on
from tests.models.families import FAMILIES

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
CHOICES: list[dict[str, Any]] = [
    *({"score": name, "pattern": "2:4" if score.joint else "unstructured"} for name, score in SCORES.items()),
    *({"score": "wanda", "update": name} for name in UPDATES),
    {"score": "sparsegpt", "update": "obs"},
    {"score": "sparsegpt", "update": "obs", "pattern": "2:4"},
    *({"score": "wanda", "refinement": name} for name in REFINEMENTS),
    *({"score": "wanda", "refinement": name, "pattern": "2:4"} for name in REFINEMENTS),
    *(
        {"score": "wanda", "allocation": name, "group": Group.ROW, "sparsity": 0.6}
        for name, each in ALLOCATIONS.items()
        if not each.from_user
    ),
    *({"score": "wanda", "group": group} for group in Group),
    *({"score": "ria", "pattern": "2:4", "permutation": name} for name in ("none", "zigzag", "assignment")),
    {"score": "wanda", "pattern": "4:8"},
]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_pruned_as_on_the_cpu(family: str, device: torch.device) -> None:
    (_, expected), (_, got) = on(CPU, family, score="wanda"), on(device, family, score="wanda")
    assert agreement(expected, got) >= least(family)


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: " ".join(map(str, choices.values())))
def test_every_method_decides_as_on_the_cpu(choices: dict[str, Any], device: torch.device) -> None:
    (_, expected), (_, got) = on(CPU, "llama", **choices), on(device, "llama", **choices)
    assert got.shares.blocks == pytest.approx(expected.shares.blocks, abs=1e-3)
    # Both the update and the search act on what was decided before, so a difference has consequences.
    assert agreement(expected, got) >= (0.9 if "allocation" in choices or "update" in choices else 0.98)
    for name, linear in expected.linears.items():
        assert got.linears[name].output_error == pytest.approx(linear.output_error, rel=0.02), name


def tied(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)).round(decimals=1)


@pytest.mark.parametrize("rows,columns", [(1, 100_003), (70, 1000), (1000, 8)])
def test_the_lowest_scores_are_the_same_bit_for_bit(rows: int, columns: int, device: torch.device) -> None:
    score = tied(rows, columns)
    counts = torch.randint(0, columns + 1, (rows,), generator=torch.Generator().manual_seed(1))
    for count, there in ((columns // 2, columns // 2), (1, 1), (counts, counts.to(device))):
        expected, got = remove_lowest(score, count), remove_lowest(score.to(device), there)
        assert torch.equal(got.keep.cpu(), expected.keep) and torch.equal(got.ties.cpu(), expected.ties)


@pytest.mark.parametrize(
    "pattern",
    [*map(Unstructured, Group), SemiStructured(2, 4), SemiStructured(4, 8), SemiStructured(2, 4, "zigzag")],
    ids=str,
)
def test_patterns_are_the_same_bit_for_bit(pattern: Any, device: torch.device) -> None:
    score = tied(96, 256).abs()
    assert torch.equal(pattern.keep(score.to(device), 0.5).cpu(), pattern.keep(score, 0.5))

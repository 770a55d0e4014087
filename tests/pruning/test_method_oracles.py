"""The published scores against their float64 oracles, in every form and by hand; joint N:M masks."""

from typing import Any

import pytest
import torch

from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from tests.pruning import joint_oracles, oracles
from tests.pruning.calls import assert_scores, defaults, score
from tests.pruning.oracles import EDGE_CASES, Layer

ILL_POSED = {
    "constant-inputs",
    "outlier-input",
    "duplicate-columns",
    "one-token",
    "fewer-tokens-than-columns",
}
"""Layers in which only the damping decides which column compensates for which; float32 cannot settle ties."""


# ---- scores

CHOICES: list[tuple[str, dict[str, Any]]] = [
    ("ria", {"alpha": 0.0}),
    ("ria", {"alpha": 1.0}),
    ("symwanda", {"form": "input"}),
    ("symwanda", {"form": "output"}),
    ("symwanda", {"form": "general", "alpha_in": 0.3, "alpha_out": 2.0}),
    ("symwanda", {"form": "symmetric"}),
    ("symwanda", {"form": "relative"}),
    ("symwanda", {"form": "relative", "p": 2.0, "alpha": 1.0}),
    ("symwanda", {"form": "relative", "p": 0.5}),
]


@pytest.mark.parametrize("case", EDGE_CASES)
@pytest.mark.parametrize(("name", "chosen"), CHOICES, ids=str)
def test_every_form_matches_its_definition(name: str, chosen: dict[str, Any], case: str) -> None:
    layer = EDGE_CASES[case]()
    assert_scores(
        score(name, layer, **chosen), oracles.SCORE_ORACLES[name](layer.weight, layer.inputs, **chosen)
    )


HAND = Layer(torch.tensor([[1.0, -2.0], [-3.0, 4.0]]), torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
"""a = (5, 1); column sums 4 and 6, row sums 3 and 7; outputs of the rows are (3, 2) and (-9, -8)."""
ROOT5 = 5**0.5
B0, B1 = 13**0.5, 145**0.5
C0, C1, R0, R1 = 10**0.5, 20**0.5, ROOT5, 5.0  # L2 norms of the columns and rows

EXPECTED_BY_HAND: dict[str, tuple[str, dict[str, Any], list[list[float]]]] = {
    "ri": ("ri", {}, [[1 / 4 + 1 / 3, 2 / 6 + 2 / 3], [3 / 4 + 3 / 7, 4 / 6 + 4 / 7]]),
    "ria": ("ria", {}, [[7 / 12 * ROOT5, 1.0], [33 / 28 * ROOT5, 26 / 21]]),
    "ria with alpha 1": ("ria", {"alpha": 1.0}, [[35 / 12, 1.0], [165 / 28, 26 / 21]]),
    # S = (5, 2), (15, 4): row means 3.5 and 9.5, column means 10 and 3
    "multiflow": ("multiflow", {}, [[35.0, 21.0], [285.0, 114.0]]),
    "input": ("symwanda", {"form": "input"}, [[5.0, 2.0], [15.0, 4.0]]),
    "output": ("symwanda", {"form": "output"}, [[B0, 2 * B0], [3 * B1, 4 * B1]]),
    "general": ("symwanda", {"form": "general"}, [[5 + B0, 2 + 2 * B0], [15 + 3 * B1, 4 + 4 * B1]]),
    "weighted": (
        "symwanda",
        {"form": "general", "alpha_in": 2.0, "alpha_out": 0.5},
        [[10 + B0 / 2, 4 + B0], [30 + 1.5 * B1, 8 + 2 * B1]],
    ),
    "symmetric": (
        "symwanda",
        {"form": "symmetric"},
        [[C0 + R0, 2 * (C1 + R0)], [3 * (C0 + R1), 4 * (C1 + R1)]],
    ),
    "relative": (
        "symwanda",
        {"form": "relative", "p": 2.0, "alpha": 1.0},
        [[5 * (1 / C0 + 1 / R0), 2 * (1 / C1 + 1 / R0)], [15 * (1 / C0 + 1 / R1), 4 * (1 / C1 + 1 / R1)]],
    ),
}


@pytest.mark.parametrize(("name", "chosen", "expected"), EXPECTED_BY_HAND.values(), ids=EXPECTED_BY_HAND)
def test_scores_by_hand(name: str, chosen: dict[str, Any], expected: list[list[float]]) -> None:
    torch.testing.assert_close(score(name, HAND, **chosen), torch.tensor(expected))
    oracle = oracles.SCORE_ORACLES[name](HAND.weight, HAND.inputs, **chosen)
    torch.testing.assert_close(oracle, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ["ri", "ria", "stochria", "symwanda", "multiflow"])
def test_zero_rows_and_columns_have_score_0(name: str) -> None:
    layer = oracles.random_layer(6, 20)
    layer.weight[2], layer.weight[:, 7], layer.inputs[..., 11] = 0, 0, 0
    chosen = {"form": "relative"} if name == "symwanda" else {"beta": 1.0} if name == "stochria" else {}
    got = score(name, layer, **chosen)
    assert got.isfinite().all()
    assert not got[2].any() and not got[:, 7].any()
    others = torch.ones(6, 20, dtype=torch.bool)
    others[2], others[:, 7], others[:, 11] = False, False, False
    assert (got[others] > 0).all()
    assert got[:, 11].any() == (name == "ri")  # a dead input


def test_symwanda_includes_wanda_and_ria() -> None:
    layer = oracles.random_layer(6, 40)
    torch.testing.assert_close(score("symwanda", layer, form="input"), score("wanda", layer))
    torch.testing.assert_close(score("symwanda", layer, form="relative", p=1.0), score("ria", layer))
    torch.testing.assert_close(score("ria", layer, alpha=0.0), score("ri", layer))


def test_the_published_defaults() -> None:
    groups = {"ri": "layer", "ria": "layer", "stochria": "layer", "symwanda": "row", "multiflow": "row"}
    assert {name: SCORES[name].default_group.value for name in groups} == groups
    assert defaults(SCORES["ria"]) == {"alpha": 0.5}
    assert {"beta": 0.1, "alpha": 0.5}.items() <= defaults(SCORES["stochria"]).items()


@pytest.mark.parametrize("name", ["ri", "ria", "symwanda", "multiflow"])
@pytest.mark.parametrize("group", [Group.LAYER, Group.ROW])
def test_groups_are_selectable(name: str, group: Group) -> None:
    layer = oracles.random_layer(7, 33)
    plan = Plan.of(score=name, group=group)
    expected = oracles.keep_mask(
        oracles.SCORE_ORACLES[name](layer.weight, layer.inputs), "unstructured", group, 0.6
    )
    assert torch.equal(
        plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.6).keep, expected
    )


# ---- joint N:M masks


@pytest.mark.parametrize(
    ("case", "n", "m"),
    [
        (case, n, m)
        for case, layer in EDGE_CASES.items()
        for n, m in [(2, 4), (1, 4), (3, 4), (4, 8), (1, 2)]
        if case not in ILL_POSED and layer().width % m == 0
    ],
)
def test_a_joint_mask_removes_the_cheapest_sets(n: int, m: int, case: str) -> None:
    layer = EDGE_CASES[case]()
    expected = joint_oracles.joint(layer.weight, layer.inputs, n, m)
    assert torch.equal(score("joint", layer, n=n, m=m).double(), expected)


@pytest.mark.parametrize("case", sorted(ILL_POSED))
def test_in_ill_posed_layers_a_joint_mask_costs_no_more_than_the_oracles(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = score("joint", layer, n=2, m=4)
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(layer.inputs)))
    for row, got, best in zip(
        layer.weight.double(), mask, joint_oracles.joint(layer.weight, layer.inputs, 2, 4), strict=True
    ):
        for start in range(0, layer.width, 4):
            removed = [[start + j for j in range(4) if not keep[start + j]] for keep in (got, best)]
            assert len(removed[0]) == 2
            loss, least = (joint_oracles.removal_loss(row, inverse, places) for places in removed)
            assert loss <= least * 1.001 + 1e-12


@pytest.mark.parametrize(
    "case", ["plain", "narrow", "one-row", "wider-than-a-block", "dead-columns", "zero-rows"]
)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8)])
def test_with_obs_a_joint_mask_is_decided_on_the_running_weights(n: int, m: int, case: str) -> None:
    layer = EDGE_CASES[case]()
    plan = Plan.of(score="joint", pattern=f"{n}:{m}", update="obs")
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 1 - n / m)
    weight, mask = joint_oracles.running_joint(layer.weight, layer.inputs, n, m)
    assert torch.equal(outcome.keep, mask)
    torch.testing.assert_close(
        outcome.weight.double(), weight, rtol=2e-3, atol=2e-3 * float(weight.abs().max())
    )


def test_running_and_frozen_joint_masks_differ() -> None:
    layer = oracles.random_layer(6, 48)
    frozen = joint_oracles.joint(layer.weight, layer.inputs, 2, 4).bool()
    assert not torch.equal(joint_oracles.running_joint(layer.weight, layer.inputs, 2, 4)[1], frozen)


def test_only_one_of_two_interchangeable_columns_is_removed() -> None:
    """Removing either column alone costs almost nothing; removing both costs the most."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 4000, 4, generator=generator)
    inputs[..., 1] = inputs[..., 0] + 0.1 * inputs[..., 1]
    layer = Layer(torch.tensor([[1.0, 1.3, 0.9, 3.0]]), inputs)
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(inputs)))
    alone = [joint_oracles.removal_loss(layer.weight[0].double(), inverse, [place]) for place in range(4)]
    assert sorted(range(4), key=alone.__getitem__)[:2] == [0, 1]
    assert score("joint", layer, n=2, m=4).tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_joint_masks_of_uncorrelated_inputs() -> None:
    """With uncorrelated inputs, 1:4 keeps the largest `w^2 H` and 3:4 removes the smallest."""
    layer = Layer(torch.tensor([[3.0, -1.0, 2.0, 2.5]]), torch.eye(4)[None])
    assert score("joint", layer, n=1, m=4).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert score("joint", layer, n=3, m=4).tolist() == [[1.0, 0.0, 1.0, 1.0]]
    tied = Layer(torch.ones(1, 4), torch.eye(4)[None])
    assert score("joint", tied, n=2, m=4).tolist() == [[0.0, 0.0, 1.0, 1.0]]

"""The scores of the papers against their float64 oracles, in every form; hand-worked examples; joint N:M
masks.
"""

from typing import Any

import pytest
import torch

from engine.pruning.axes import SCORES
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from tests.pruning import joint_oracles, oracles
from tests.pruning.calls import assert_scores, defaults, score
from tests.pruning.oracles import ODD_LAYERS, Layer

ILL_POSED = {"constant-inputs", "outlier-input", "twin-columns", "one-token", "fewer-tokens-than-columns"}
"""Layers whose Hessian leaves it to the damping which column stands in for which; float32 settles no ties
there.
"""


# ---- scores
# ---------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("odd", ODD_LAYERS)
@pytest.mark.parametrize(("name", "chosen"), CHOICES, ids=str)
def test_every_form_is_what_its_definition_says(name: str, chosen: dict[str, Any], odd: str) -> None:
    layer = ODD_LAYERS[odd]()
    assert_scores(
        score(name, layer, **chosen), oracles.SCORE_ORACLES[name](layer.weight, layer.inputs, **chosen)
    )


HAND = Layer(torch.tensor([[1.0, -2.0], [-3.0, 4.0]]), torch.tensor([[[3.0, 0.0], [4.0, 1.0]]]))
"""a = (5, 1); column sums 4 and 6, row sums 3 and 7; outputs of the rows (3, 2) and (-9, -8)."""
ROOT5 = 5**0.5
B0, B1 = 13**0.5, 145**0.5
C0, C1, R0, R1 = 10**0.5, 20**0.5, ROOT5, 5.0  # L2 norms of the columns and rows

HAND_WORKED: dict[str, tuple[str, dict[str, Any], list[list[float]]]] = {
    "ri": ("ri", {}, [[1 / 4 + 1 / 3, 2 / 6 + 2 / 3], [3 / 4 + 3 / 7, 4 / 6 + 4 / 7]]),
    "ria": ("ria", {}, [[7 / 12 * ROOT5, 1.0], [33 / 28 * ROOT5, 26 / 21]]),
    "ria with alpha 1": ("ria", {"alpha": 1.0}, [[35 / 12, 1.0], [165 / 28, 26 / 21]]),
    "multiflow": (
        "multiflow",
        {},
        [[35.0, 21.0], [285.0, 114.0]],
    ),  # S = 5 2, 15 4: row means 3.5 and 9.5, column means 10 and 3
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


@pytest.mark.parametrize(("name", "chosen", "expected"), HAND_WORKED.values(), ids=HAND_WORKED)
def test_hand_worked(name: str, chosen: dict[str, Any], expected: list[list[float]]) -> None:
    torch.testing.assert_close(score(name, HAND, **chosen), torch.tensor(expected))
    oracle = oracles.SCORE_ORACLES[name](HAND.weight, HAND.inputs, **chosen)
    torch.testing.assert_close(oracle, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ["ri", "ria", "stochria", "symwanda", "multiflow"])
def test_zero_rows_and_columns_score_0(name: str) -> None:
    layer = oracles.random_layer(6, 20)
    layer.weight[2], layer.weight[:, 7], layer.inputs[..., 11] = 0, 0, 0
    chosen = {"form": "relative"} if name == "symwanda" else {"beta": 1.0} if name == "stochria" else {}
    got = score(name, layer, **chosen)
    assert got.isfinite().all()
    assert not got[2].any() and not got[:, 7].any()
    others = torch.ones(6, 20, dtype=torch.bool)
    others[2], others[:, 7], others[:, 11] = False, False, False
    assert (got[others] > 0).all()
    assert got[:, 11].any() == (name == "ri")  # an input that is never active


def test_the_input_form_is_wanda_and_the_relative_form_with_p_1_is_ria() -> None:
    layer = oracles.random_layer(6, 40)
    torch.testing.assert_close(score("symwanda", layer, form="input"), score("wanda", layer))
    torch.testing.assert_close(score("symwanda", layer, form="relative", p=1.0), score("ria", layer))
    torch.testing.assert_close(score("ria", layer, alpha=0.0), score("ri", layer))


def test_the_published_defaults() -> None:
    groups = {"ri": "layer", "ria": "layer", "stochria": "layer", "symwanda": "layer", "multiflow": "row"}
    assert {name: SCORES[name].default_group.value for name in groups} == groups
    assert defaults(SCORES["ria"]) == {"alpha": 0.5}
    assert {"beta": 0.1, "alpha": 0.5}.items() <= defaults(SCORES["stochria"]).items()


@pytest.mark.parametrize("name", ["ri", "ria", "symwanda", "multiflow"])
@pytest.mark.parametrize("group", [Group.LAYER, Group.ROW])
def test_groups_are_selectable(name: str, group: Group) -> None:
    layer = oracles.random_layer(7, 33)
    plan = Plan.of(score=name, group=group)
    expected = oracles.keep(
        oracles.SCORE_ORACLES[name](layer.weight, layer.inputs), "unstructured", group, 0.6
    )
    assert torch.equal(plan.prune(layer.weight, oracles.observed(layer, plan.needs), 0.6).keep, expected)


# ---- joint N:M masks
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "n", "m"),
    [
        (odd, n, m)
        for odd, layer in ODD_LAYERS.items()
        for n, m in [(2, 4), (1, 4), (3, 4), (4, 8), (1, 2)]
        if odd not in ILL_POSED and layer().width % m == 0
    ],
)
def test_a_joint_mask_removes_the_cheapest_sets(n: int, m: int, odd: str) -> None:
    layer = ODD_LAYERS[odd]()
    expected = joint_oracles.joint(layer.weight, layer.inputs, n, m)
    assert torch.equal(score("joint", layer, n=n, m=m).double(), expected)


@pytest.mark.parametrize("odd", sorted(ILL_POSED))
def test_where_columns_stand_in_for_one_another_a_joint_mask_costs_no_more_than_the_oracles(odd: str) -> None:
    layer = ODD_LAYERS[odd]()
    kept = score("joint", layer, n=2, m=4)
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(layer.inputs)))
    for row, got, best in zip(
        layer.weight.double(), kept, joint_oracles.joint(layer.weight, layer.inputs, 2, 4), strict=True
    ):
        for start in range(0, layer.width, 4):
            lost = [[start + j for j in range(4) if not mask[start + j]] for mask in (got, best)]
            assert len(lost[0]) == 2
            mine, theirs = (joint_oracles.removal_loss(row, inverse, places) for places in lost)
            assert mine <= theirs * 1.001 + 1e-12


@pytest.mark.parametrize(
    "odd", ["plain", "narrow", "one-row", "wider-than-a-block", "dead-columns", "zero-rows"]
)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8)])
def test_under_a_sequential_update_a_joint_mask_is_decided_on_the_running_weights(
    n: int, m: int, odd: str
) -> None:
    layer = ODD_LAYERS[odd]()
    plan = Plan.of(score="joint", pattern=f"{n}:{m}", update="obs")
    outcome = plan.prune(layer.weight, oracles.observed(layer, plan.needs), 1 - n / m)
    weight, mask = joint_oracles.running_joint(layer.weight, layer.inputs, n, m)
    assert torch.equal(outcome.keep, mask)
    torch.testing.assert_close(
        outcome.weight.double(), weight, rtol=2e-3, atol=2e-3 * float(weight.abs().max())
    )


def test_running_and_frozen_joint_masks_differ() -> None:
    layer = oracles.random_layer(6, 48)
    frozen = joint_oracles.joint(layer.weight, layer.inputs, 2, 4).bool()
    assert not torch.equal(joint_oracles.running_joint(layer.weight, layer.inputs, 2, 4)[1], frozen)


def test_of_two_columns_that_stand_in_for_each_other_one_goes() -> None:
    """Alone either costs next to nothing, together they cost the most."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 4000, 4, generator=generator)
    inputs[..., 1] = inputs[..., 0] + 0.1 * inputs[..., 1]
    layer = Layer(torch.tensor([[1.0, 1.3, 0.9, 3.0]]), inputs)
    inverse = torch.linalg.inv(oracles.damped(oracles.hessian(inputs)))
    alone = [joint_oracles.removal_loss(layer.weight[0].double(), inverse, [place]) for place in range(4)]
    assert sorted(range(4), key=alone.__getitem__)[:2] == [0, 1]
    assert score("joint", layer, n=2, m=4).tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_with_n_kept_of_few_the_sets_are_removed_ones() -> None:
    """Inputs that do not overlap: the joint mask of 1:4 keeps the largest `w^2 H`, that of 3:4 drops the
    smallest.
    """
    layer = Layer(torch.tensor([[3.0, -1.0, 2.0, 2.5]]), torch.eye(4)[None])
    assert score("joint", layer, n=1, m=4).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert score("joint", layer, n=3, m=4).tolist() == [[1.0, 0.0, 1.0, 1.0]]
    tied = Layer(torch.ones(1, 4), torch.eye(4)[None])
    assert score("joint", tied, n=2, m=4).tolist() == [[0.0, 0.0, 1.0, 1.0]]

"""DSnoT and R2-DSnoT against their float64 oracle, swap by swap; examples by hand; general properties."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.block import Place
from engine.pruning.axes import REFINEMENTS, Refined
from engine.pruning.patterns import Group
from engine.pruning.plan import Plan
from tests.pruning import oracles, refinement_oracles
from tests.pruning.calls import defaults, random_mask, refine_mask
from tests.pruning.combinations import pairwise
from tests.pruning.oracles import EDGE_CASES, Layer

METHODS = ["dsnot", "r2-dsnot"]
ORACLES = {"dsnot": refinement_oracles.dsnot, "r2-dsnot": refinement_oracles.r2_dsnot}
GROUPS = [("unstructured", None), ("2:4", 4), ("4:8", 8), ("3:4", 4), ("1:4", 4)]
TIED = {"all-dead", "constant-inputs", "duplicate-columns", "one-token", "equal-weights", "zero-weight"}
"""Layers with equal columns or variances of 0, where float32 does not determine the order of the swaps."""

CASES_WITH_GROUPS = [
    (case, pattern, m)
    for case, layer in EDGE_CASES.items()
    for pattern, m in GROUPS
    if m is None or layer().width % m == 0
]
"""Every edge case with every pattern whose m divides its width."""

OPTIONS: list[dict[str, Any]] = [
    {"cycles": 50},
    {"cycles": 3},
    {"cycles": 50, "threshold": 5.0},
    {"cycles": 50, "lower": True},
    {"cycles": 50, "same_sign": True},
]


def wanda_mask(layer: Layer, pattern: str = "unstructured", sparsity: float = 0.5) -> Tensor:
    return oracles.keep_mask(oracles.wanda(layer.weight, layer.inputs), pattern, "row", sparsity)


def all_options(name: str, **chosen: Any) -> dict[str, Any]:
    """Return all parameters in the oracle's types: the published defaults, overridden by `chosen`."""
    return {"lower": False, "same_sign": False, "threshold": 0.1, "cycles": 50, **chosen}


def assert_matches_the_oracle(
    name: str, layer: Layer, mask: Tensor, group: int | None, **chosen: Any
) -> Refined:
    chosen = all_options(name, **chosen)
    got = refine_mask(name, layer, mask, group=group, **chosen)
    rows = ORACLES[name](mask, layer.weight, layer.inputs, group=group, **chosen)
    expected = refinement_oracles.masks(rows)
    wrong = [i for i in range(len(mask)) if not torch.equal(got.keep[i], expected[i])]
    assert not wrong, (
        f"rows {wrong}: the oracle swapped {[rows[i].swaps for i in wrong]} "
        f"with errors {[rows[i].errors for i in wrong]}"
    )
    assert got.swaps == sum(len(row.swaps) for row in rows)
    for value, at in ((got.drift_before, 0), (got.drift_after, -1)):
        assert value == pytest.approx(refinement_oracles.drift(rows, at), rel=1e-3, abs=1e-3)
    return got


MASKS: dict[str, Callable[[Layer], Tensor]] = {
    "wanda": wanda_mask,
    "sparse": lambda layer: wanda_mask(layer, sparsity=0.8),
    "random": lambda layer: random_mask(layer, 0.5),
}


@pytest.mark.parametrize(
    ("name", "case", "mask", "options"),
    pairwise(list(product(METHODS, [case for case in EDGE_CASES if case not in TIED], MASKS, OPTIONS))),
    ids=str,
)
def test_unstructured_masks_match_the_oracle(
    name: str, case: str, mask: str, options: dict[str, Any]
) -> None:
    layer = EDGE_CASES[case]()
    assert_matches_the_oracle(name, layer, MASKS[mask](layer), None, **options)


IN_GROUPS = ["plain", "narrow", "one-row", "wider-than-a-block", "dead-columns", "zero-rows", "huge-inputs"]


@pytest.mark.parametrize(
    ("name", "shape", "case", "options"),
    pairwise(list(product(METHODS, GROUPS[1:], IN_GROUPS, OPTIONS))),
    ids=str,
)
def test_n_of_m_masks_match_the_oracle(
    name: str, shape: tuple[str, int], case: str, options: dict[str, Any]
) -> None:
    pattern, m = shape
    layer = EDGE_CASES[case]()
    assert_matches_the_oracle(name, layer, wanda_mask(layer, pattern), m, **options)


R2: list[dict[str, Any]] = [
    {"relative_grow": False},
    {"relative_prune": True},
    {"relative_grow": False, "relative_prune": True, "alpha": 1.0},
    {"gamma1": 5.0},
    {"gamma2": 2.0},
    {"gamma1": 1.0, "gamma2": 1.0, "p": 1.0},
]


@pytest.mark.parametrize(
    ("chosen", "group", "case"),
    pairwise(
        list(product(R2, [None, 4], ["plain", "narrow", "zero-rows", "dead-columns", "wider-than-a-block"]))
    ),
    ids=str,
)
def test_every_variant_of_r2_dsnot_matches_the_oracle(
    chosen: dict[str, Any], group: int | None, case: str
) -> None:
    layer = EDGE_CASES[case]()
    mask = wanda_mask(layer, "2:4" if group else "unstructured")
    assert_matches_the_oracle("r2-dsnot", layer, mask, group, **chosen)


@pytest.mark.parametrize(("case", "pattern", "m"), CASES_WITH_GROUPS)
def test_r2_dsnot_without_relative_terms_equals_dsnot_exactly(case: str, pattern: str, m: int | None) -> None:
    layer = EDGE_CASES[case]()
    mask = wanda_mask(layer, pattern)
    plain = refine_mask("dsnot", layer, mask, group=m, **all_options("dsnot"))
    relative = refine_mask(
        "r2-dsnot",
        layer,
        mask,
        group=m,
        **all_options(
            "r2-dsnot", relative_grow=False, relative_prune=False, gamma1=0.0, gamma2=0.0, alpha=1.0
        ),
    )
    assert torch.equal(plain.keep, relative.keep)
    assert (plain.swaps, plain.drift_before, plain.drift_after) == (
        relative.swaps,
        relative.drift_before,
        relative.drift_after,
    )


def test_relative_growing_changes_the_mask() -> None:
    layer = EDGE_CASES["wider-than-a-block"]()
    mask = wanda_mask(layer)
    assert not torch.equal(refine_mask("dsnot", layer, mask).keep, refine_mask("r2-dsnot", layer, mask).keep)


def test_the_published_defaults() -> None:
    assert REFINEMENTS["dsnot"].parameter("cycles").maximum == 50
    assert defaults(REFINEMENTS["dsnot"])["threshold"] == 0.1
    relative = defaults(REFINEMENTS["r2-dsnot"])
    assert (relative["relative_grow"], relative["relative_prune"]) == ("yes", "no")
    assert (relative["gamma1"], relative["gamma2"], relative["alpha"]) == (0, 0, 0.5)


# ---- by hand

HAND_INPUTS = torch.tensor([[[2.0, 0.0, 3.0, 1.0], [0.0, 2.0, 1.0, 3.0]]])
"""m = 2, 2, 4, 4; all variances 1; norms 2, 2, sqrt(10), sqrt(10)."""
HAND_MASK = torch.tensor([[False, True, False, True]])


def refine_by_hand(
    weights: list[float], *, group: int | None = None, **chosen: Any
) -> tuple[list[bool], int]:
    layer = Layer(torch.tensor([weights]), HAND_INPUTS)
    got = assert_matches_the_oracle("dsnot", layer, HAND_MASK, group, **chosen)
    return got.keep[0].tolist(), got.swaps


def test_one_swap_then_no_partner() -> None:
    # c = 2, -3, 2, -4, so e = 4. Columns 0 and 2 tie for growing; the lower one wins. Column 1 has the lower
    # score (3 < 3.2). Then e = 4 - 2 - 3 = -1, and the only entry left to prune (3) has the wrong sign.
    assert refine_by_hand([1.0, -1.5, 0.5, -1.0]) == ([True, False, False, True], 1)


def test_growing_depends_on_the_variance() -> None:
    inputs = HAND_INPUTS.clone()
    inputs[0, :, 2] = torch.tensor([2.5, 1.5])  # the same m, variance 1/4
    layer = Layer(torch.tensor([[1.0, -1.5, 0.5, -1.0]]), inputs)
    assert assert_matches_the_oracle("dsnot", layer, HAND_MASK, None).keep.tolist() == [
        [False, False, True, True]
    ]


def test_in_groups_the_lowest_score_is_pruned_regardless_of_sign() -> None:
    # c = 2, 3, 2, -4 and e = 4. Grow 0, prune 1 of its group, although that raises e: 4 - 2 + 3 = 5. Grow 2,
    # prune 3: 5 - 2 - 4 = -1.
    assert refine_by_hand([1.0, 1.5, 0.5, -1.0], group=2) == ([True, False, True, False], 2)
    assert refine_by_hand([1.0, 1.5, 0.5, -1.0], group=2, lower=True) == ([False, True, False, True], 0)
    assert refine_by_hand([1.0, 1.5, 0.5, -1.0], group=2, same_sign=True) == ([True, False, False, True], 1)
    assert refine_by_hand([1.0, 1.5, 0.5, -1.0], group=2, cycles=1) == ([True, False, False, True], 1)
    assert refine_by_hand([1.0, 1.5, 0.5, -1.0], group=2, threshold=5.0) == ([False, True, False, True], 0)


def test_entries_that_would_raise_the_error_do_not_grow() -> None:
    # c = 2, -3, 2, -4 and e = 4. Grow 0, prune 1: e = 4 - 2 - 3 = -1. Growing 2 would make it -3 or worse.
    assert refine_by_hand([1.0, -1.5, 0.5, -1.0], group=2) == ([True, False, False, True], 1)


def test_swaps_that_raise_the_error_can_be_disabled() -> None:
    # c = 2, -8, 2, -12: e = 4 would become 4 - 2 - 8 = -6.
    assert refine_by_hand([1.0, -4.0, 0.5, -3.0]) == ([True, False, False, True], 1)
    assert refine_by_hand([1.0, -4.0, 0.5, -3.0], lower=True) == ([False, True, False, True], 0)


def test_a_negative_error_is_handled_symmetrically() -> None:
    assert refine_by_hand([-1.0, 1.5, -0.5, 1.0]) == ([True, False, False, True], 1)
    assert refine_by_hand([-1.0, -1.5, -0.5, 1.0], group=2) == ([True, False, True, False], 2)


def test_constant_inputs_grow_first_and_dead_inputs_last() -> None:
    # Columns 0, 1 and the dead column 2 are pruned: c = 1, 4, 0, variances 0, 1, 0, so e = 5.
    inputs = torch.tensor([[[0.5, 3.0, 0.0, 1.0, 2.0], [0.5, 1.0, 0.0, 3.0, 0.0]]])
    layer = Layer(torch.tensor([[1.0, 1.0, 9.0, -0.5, -4.0]]), inputs)
    mask = torch.tensor([[False, False, False, True, True]])
    got = assert_matches_the_oracle("dsnot", layer, mask, None, cycles=1)
    assert got.keep.tolist() == [[True, False, False, False, True]]
    # c = -1, 4, 0: now growing the constant input would be the worst choice.
    harmful = Layer(torch.tensor([[-1.0, 1.0, 9.0, -0.5, -4.0]]), inputs)
    assert assert_matches_the_oracle("dsnot", harmful, mask, None, cycles=1).keep.tolist() == [
        [False, True, False, False, True]
    ]


# ---- properties of any layer


@pytest.mark.parametrize(("case", "pattern", "m"), CASES_WITH_GROUPS)
@pytest.mark.parametrize("name", METHODS)
def test_counts_are_unchanged_and_the_report_is_correct(
    name: str, pattern: str, m: int | None, case: str
) -> None:
    layer = EDGE_CASES[case]()
    mask = wanda_mask(layer, pattern)
    got = refine_mask(name, layer, mask, group=m)
    assert oracles.removed_per_group(got.keep, pattern, "row") == oracles.removed_per_group(
        mask, pattern, "row"
    )
    assert got.swaps == int((got.keep & ~mask).sum()) == int((mask & ~got.keep).sum()), (
        "an entry was swapped back, or a swap was counted twice"
    )
    c = layer.weight.double() * refinement_oracles.input_sum(layer.inputs)
    for value, keep in ((got.drift_before, mask), (got.drift_after, got.keep)):
        expected = float((c * ~keep).sum(1).abs().mean())
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-5 * max(1.0, float(c.abs().max())))


@pytest.mark.parametrize(
    "case", ["plain", "wider-than-a-block", "dead-columns", "constant-inputs", "huge-inputs"]
)
@pytest.mark.parametrize("group", [None, 4])
@pytest.mark.parametrize("name", METHODS)
def test_with_lower_no_row_gets_a_larger_error(name: str, group: int | None, case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = wanda_mask(layer, "2:4" if group else "unstructured")
    got = refine_mask(name, layer, mask, group=group, lower=True)
    c = layer.weight.double() * refinement_oracles.input_sum(layer.inputs)
    before, after = (c * ~mask).sum(1).abs(), (c * ~got.keep).sum(1).abs()
    assert (after <= before * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", METHODS)
def test_a_mask_without_possible_swaps_is_unchanged(name: str) -> None:
    layer = oracles.random_layer(4, 24)
    for kept in (True, False):
        mask = torch.full(layer.weight.shape, kept)
        got = refine_mask(name, layer, mask)
        assert torch.equal(got.keep, mask) and got.swaps == 0
    weak = Layer(layer.weight, layer.inputs * 1e-6)
    assert torch.equal(refine_mask(name, weak, wanda_mask(layer)).keep, wanda_mask(layer)), (
        "every row was below the threshold"
    )


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("layers", ["all", "attention"])
def test_refinement_can_be_limited_to_attention(layers: str, attention: bool) -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="wanda", refinement="dsnot", settings={"dsnot.layers": layers})
    statistics = oracles.collect_statistics(layer, plan.needs)
    got = plan.prune(layer.weight, statistics, 0.5, Place(attention=attention)).keep
    assert torch.equal(got, wanda_mask(layer)) == (layers == "attention" and not attention)


@pytest.mark.parametrize("permutation", [None, "zigzag"])
@pytest.mark.parametrize(("pattern", "m"), [("unstructured", None), ("2:4", 4)])
def test_dsnot_can_prune_by_the_score_that_made_the_mask(
    pattern: str, m: int | None, permutation: str | None
) -> None:
    """The published code does so for N:M; with Wanda's mask there is no difference."""
    layer = oracles.random_layer(7, 48)
    shape = {"pattern": pattern, "group": Group.ROW} | ({"permutation": permutation} if m else {})

    def masks(score: str, prune_by: str) -> tuple[Tensor, Tensor]:
        settings = {"dsnot.prune_by": prune_by, "dsnot.cycles": 8, "dsnot.same_sign": "no"}
        plan = Plan.of(score=score, refinement="dsnot", settings=settings, **shape)
        outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), 0.5)
        assert outcome.unrefined is not None
        return outcome.unrefined, outcome.keep

    before, refined = masks("ria", "score")
    if permutation is None:
        score = oracles.ria(layer.weight, layer.inputs)
        rows = refinement_oracles.dsnot(before, layer.weight, layer.inputs, score=score, group=m, cycles=8)
        assert torch.equal(refined, refinement_oracles.masks(rows))
    assert not torch.equal(refined, masks("ria", "wanda")[1])
    assert torch.equal(masks("wanda", "score")[1], masks("wanda", "wanda")[1])

"""DSnoT and R2-DSnoT against their float64 oracle, swap by swap; examples worked by hand; what must hold for
any layer.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.pruning.axes import REFINEMENTS, Refined
from engine.pruning.plan import Plan
from tests.pruning import oracles, refinement_oracles
from tests.pruning.calls import defaults, random_mask, refined
from tests.pruning.oracles import ODD_LAYERS, Layer

METHODS = ["dsnot", "r2-dsnot"]
ORACLES = {"dsnot": refinement_oracles.dsnot, "r2-dsnot": refinement_oracles.r2_dsnot}
GROUPS = [("unstructured", None), ("2:4", 4), ("4:8", 8), ("3:4", 4), ("1:4", 4)]
TIED = {"all-dead", "constant-inputs", "twin-columns", "one-token", "equal-weights", "zero-weight"}
"""Layers whose columns are equal in some way, or whose variances are 0: float32 does not settle which one
goes first.
"""

FITTING = [
    (odd, pattern, m)
    for odd, layer in ODD_LAYERS.items()
    for pattern, m in GROUPS
    if m is None or layer().width % m == 0
]
"""Every layer with every pattern whose m divides its width."""

OPTIONS: list[dict[str, Any]] = [
    {"cycles": 50},
    {"cycles": 3},
    {"cycles": 50, "threshold": 5.0},
    {"cycles": 50, "lower": True},
    {"cycles": 50, "same_sign": True},
]


def wanda_mask(layer: Layer, pattern: str = "unstructured", sparsity: float = 0.5) -> Tensor:
    return oracles.keep(oracles.wanda(layer.weight, layer.inputs), pattern, "row", sparsity)


def full(name: str, **chosen: Any) -> dict[str, Any]:
    """All parameters as numbers and truths, the published ones unless chosen."""
    return {"lower": False, "same_sign": False, "threshold": 0.1, "cycles": 50, **chosen}


def assert_as_the_oracle(name: str, layer: Layer, mask: Tensor, group: int | None, **chosen: Any) -> Refined:
    chosen = full(name, **chosen)
    got = refined(name, layer, mask, group=group, **chosen)
    rows = ORACLES[name](mask, layer.weight, layer.inputs, group=group, **chosen)
    expected = refinement_oracles.masks(rows)
    wrong = [i for i in range(len(mask)) if not torch.equal(got.keep[i], expected[i])]
    assert not wrong, (
        f"rows {wrong}: the oracle swapped {[rows[i].swaps for i in wrong]} with errors {[rows[i].errors for i in wrong]}"
    )
    assert got.swaps == sum(len(row.swaps) for row in rows)
    for value, at in ((got.drift_before, 0), (got.drift_after, -1)):
        assert value == pytest.approx(refinement_oracles.drift(rows, at), rel=1e-3, abs=1e-3)
    return got


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("odd", [odd for odd in ODD_LAYERS if odd not in TIED])
@pytest.mark.parametrize("name", METHODS)
def test_row_groups(name: str, odd: str, options: dict[str, Any]) -> None:
    layer = ODD_LAYERS[odd]()
    for mask in (wanda_mask(layer), wanda_mask(layer, sparsity=0.8), random_mask(layer, 0.5)):
        assert_as_the_oracle(name, layer, mask, None, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("pattern", "m"), GROUPS[1:])
@pytest.mark.parametrize("name", METHODS)
def test_n_of_m(name: str, pattern: str, m: int, options: dict[str, Any]) -> None:
    for odd in (
        "plain",
        "narrow",
        "one-row",
        "wider-than-a-block",
        "dead-columns",
        "zero-rows",
        "huge-inputs",
    ):
        layer = ODD_LAYERS[odd]()
        assert_as_the_oracle(name, layer, wanda_mask(layer, pattern), m, **options)


R2: list[dict[str, Any]] = [
    {"relative_grow": False},
    {"relative_prune": True},
    {"relative_grow": False, "relative_prune": True, "alpha": 1.0},
    {"gamma1": 5.0},
    {"gamma2": 2.0},
    {"gamma1": 1.0, "gamma2": 1.0, "p": 1.0},
]


@pytest.mark.parametrize("chosen", R2, ids=str)
@pytest.mark.parametrize("group", [None, 4])
def test_every_form_of_r2_dsnot(chosen: dict[str, Any], group: int | None) -> None:
    for odd in ("plain", "narrow", "zero-rows", "dead-columns", "wider-than-a-block"):
        layer = ODD_LAYERS[odd]()
        assert_as_the_oracle(
            "r2-dsnot", layer, wanda_mask(layer, "2:4" if group else "unstructured"), group, **chosen
        )


@pytest.mark.parametrize(("odd", "pattern", "m"), FITTING)
def test_with_nothing_relative_r2_dsnot_is_dsnot_bit_for_bit(odd: str, pattern: str, m: int | None) -> None:
    layer = ODD_LAYERS[odd]()
    mask = wanda_mask(layer, pattern)
    plain = refined("dsnot", layer, mask, group=m, **full("dsnot"))
    relative = refined(
        "r2-dsnot",
        layer,
        mask,
        group=m,
        **full("r2-dsnot", relative_grow=False, relative_prune=False, gamma1=0.0, gamma2=0.0, alpha=1.0),
    )
    assert torch.equal(plain.keep, relative.keep)
    assert (plain.swaps, plain.drift_before, plain.drift_after) == (
        relative.swaps,
        relative.drift_before,
        relative.drift_after,
    )


def test_relative_growing_makes_a_difference() -> None:
    layer = ODD_LAYERS["wider-than-a-block"]()
    mask = wanda_mask(layer)
    assert not torch.equal(refined("dsnot", layer, mask).keep, refined("r2-dsnot", layer, mask).keep)


def test_the_published_settings() -> None:
    assert REFINEMENTS["dsnot"].parameter("cycles").maximum == 50
    assert defaults(REFINEMENTS["dsnot"])["threshold"] == 0.1
    relative = defaults(REFINEMENTS["r2-dsnot"])
    assert (relative["relative_grow"], relative["relative_prune"]) == ("yes", "no")
    assert (relative["gamma1"], relative["gamma2"], relative["alpha"]) == (0, 0, 0.5)


# ---- worked by hand
# ---------------------------------------------------------------------------------------------------

HAND_INPUTS = torch.tensor([[[2.0, 0.0, 3.0, 1.0], [0.0, 2.0, 1.0, 3.0]]])
"""m = 2, 2, 4, 4; all variances 1; norms 2, 2, sqrt(10), sqrt(10)."""
HAND_MASK = torch.tensor([[False, True, False, True]])


def hand(weights: list[float], *, group: int | None = None, **chosen: Any) -> tuple[list[bool], int]:
    layer = Layer(torch.tensor([weights]), HAND_INPUTS)
    got = assert_as_the_oracle("dsnot", layer, HAND_MASK, group, **chosen)
    return got.keep[0].tolist(), got.swaps


def test_one_swap_and_then_no_partner() -> None:
    # c = 2, -3, 2, -4, so e = 4. Columns 0 and 2 tie for growing, the lower wins; of 1 and 3 the score of 1
    # is lower (3 < 3.2). Then
    # e = 4 - 2 - 3 = -1, and the only entry left that could be pruned (3) has the wrong sign.
    assert hand([1.0, -1.5, 0.5, -1.0]) == ([True, False, False, True], 1)


def test_growing_goes_by_the_variance() -> None:
    inputs = HAND_INPUTS.clone()
    inputs[0, :, 2] = torch.tensor([2.5, 1.5])  # the same m, variance 1/4
    layer = Layer(torch.tensor([[1.0, -1.5, 0.5, -1.0]]), inputs)
    assert assert_as_the_oracle("dsnot", layer, HAND_MASK, None).keep.tolist() == [[False, False, True, True]]


def test_in_groups_the_lowest_score_goes_whatever_its_sign() -> None:
    # c = 2, 3, 2, -4 and e = 4: 0 grows, and 1 of its group goes though that raises e: 4 - 2 + 3 = 5. Then 2
    # for 3: 5 - 2 - 4 = -1.
    assert hand([1.0, 1.5, 0.5, -1.0], group=2) == ([True, False, True, False], 2)
    assert hand([1.0, 1.5, 0.5, -1.0], group=2, lower=True) == ([False, True, False, True], 0)
    assert hand([1.0, 1.5, 0.5, -1.0], group=2, same_sign=True) == ([True, False, False, True], 1)
    assert hand([1.0, 1.5, 0.5, -1.0], group=2, cycles=1) == ([True, False, False, True], 1)
    assert hand([1.0, 1.5, 0.5, -1.0], group=2, threshold=5.0) == ([False, True, False, True], 0)


def test_what_would_raise_the_error_does_not_grow() -> None:
    # c = 2, -3, 2, -4 and e = 4: after 0 for 1, e = 4 - 2 - 3 = -1, and 2 is left to grow, which would make
    # it -3 or worse.
    assert hand([1.0, -1.5, 0.5, -1.0], group=2) == ([True, False, False, True], 1)


def test_a_swap_that_raises_the_error_can_be_refused() -> None:
    # c = 2, -8, 2, -12: e = 4 would become 4 - 2 - 8 = -6.
    assert hand([1.0, -4.0, 0.5, -3.0]) == ([True, False, False, True], 1)
    assert hand([1.0, -4.0, 0.5, -3.0], lower=True) == ([False, True, False, True], 0)


def test_a_negative_error_is_the_mirror() -> None:
    assert hand([-1.0, 1.5, -0.5, 1.0]) == ([True, False, False, True], 1)
    assert hand([-1.0, -1.5, -0.5, 1.0], group=2) == ([True, False, True, False], 2)


def test_a_constant_input_grows_first_and_a_dead_one_last() -> None:
    # Columns 0 and 1 are pruned with the dead column 2; c = 1, 4, 0 and variances 0, 1, 0. e = 5.
    inputs = torch.tensor([[[0.5, 3.0, 0.0, 1.0, 2.0], [0.5, 1.0, 0.0, 3.0, 0.0]]])
    layer = Layer(torch.tensor([[1.0, 1.0, 9.0, -0.5, -4.0]]), inputs)
    mask = torch.tensor([[False, False, False, True, True]])
    got = assert_as_the_oracle("dsnot", layer, mask, None, cycles=1)
    assert got.keep.tolist() == [[True, False, False, False, True]]
    harmful = Layer(
        torch.tensor([[-1.0, 1.0, 9.0, -0.5, -4.0]]), inputs
    )  # c = -1, 4, 0: now the constant one would be the worst
    assert assert_as_the_oracle("dsnot", harmful, mask, None, cycles=1).keep.tolist() == [
        [False, True, False, False, True]
    ]


# ---- laws --------------------------------------------------------------------------------------------------
# -----------


@pytest.mark.parametrize(("odd", "pattern", "m"), FITTING)
@pytest.mark.parametrize("name", METHODS)
def test_counts_stay_and_what_is_reported_is_so(name: str, pattern: str, m: int | None, odd: str) -> None:
    layer = ODD_LAYERS[odd]()
    mask = wanda_mask(layer, pattern)
    got = refined(name, layer, mask, group=m)
    assert oracles.lost(got.keep, pattern, "row") == oracles.lost(mask, pattern, "row")
    assert got.swaps == int((got.keep & ~mask).sum()) == int((mask & ~got.keep).sum()), (
        "a swapped entry came back, or a swap was counted twice"
    )
    c = layer.weight.double() * refinement_oracles.input_sum(layer.inputs)
    for value, kept in ((got.drift_before, mask), (got.drift_after, got.keep)):
        expected = float((c * ~kept).sum(1).abs().mean())
        assert value == pytest.approx(expected, rel=1e-3, abs=1e-5 * max(1.0, float(c.abs().max())))


@pytest.mark.parametrize(
    "odd", ["plain", "wider-than-a-block", "dead-columns", "constant-inputs", "huge-inputs"]
)
@pytest.mark.parametrize("group", [None, 4])
@pytest.mark.parametrize("name", METHODS)
def test_where_a_swap_has_to_lower_the_error_no_row_gets_worse(
    name: str, group: int | None, odd: str
) -> None:
    layer = ODD_LAYERS[odd]()
    mask = wanda_mask(layer, "2:4" if group else "unstructured")
    got = refined(name, layer, mask, group=group, lower=True)
    c = layer.weight.double() * refinement_oracles.input_sum(layer.inputs)
    before, after = (c * ~mask).sum(1).abs(), (c * ~got.keep).sum(1).abs()
    assert (after <= before * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", METHODS)
def test_nothing_to_swap_changes_nothing(name: str) -> None:
    layer = oracles.random_layer(4, 24)
    for kept in (True, False):
        mask = torch.full(layer.weight.shape, kept)
        got = refined(name, layer, mask)
        assert torch.equal(got.keep, mask) and got.swaps == 0
    silent = Layer(layer.weight, layer.inputs * 1e-6)
    assert torch.equal(refined(name, silent, wanda_mask(layer)).keep, wanda_mask(layer)), (
        "every row was below the threshold"
    )


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("layers", ["all", "attention"])
def test_layers_may_be_attention_only(layers: str, attention: bool) -> None:
    layer = oracles.random_layer(6, 48)
    plan = Plan.of(score="wanda", refinement="dsnot", settings={"dsnot.layers": layers})
    seen = oracles.observed(layer, plan.needs)
    got = plan.prune(layer.weight, seen, 0.5, attention=attention).keep
    assert torch.equal(got, wanda_mask(layer)) == (layers == "attention" and not attention)

"""Thanos against its float64 oracle, the two updates that it lies between, and its masks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.analysis.microscope.decision import decide
from engine.pruning.patterns import Group, parse_pattern
from engine.pruning.plan import Plan
from engine.pruning.updates import thanos
from tests.pruning import oracles
from tests.pruning.calls import assert_close, prune_layer, random_mask, update_weights
from tests.pruning.oracles import EDGE_CASES, Layer

prune = partial(prune_layer, update="thanos")


@pytest.mark.parametrize("case", [case for case in EDGE_CASES if case != "outlier-input"])
def test_a_fixed_mask_matches_the_oracle(case: str) -> None:
    layer = EDGE_CASES[case]()
    for share, block in ((0.1, 128), (0.5, 16), (0.9, 10)):
        mask = random_mask(layer, share)
        got = update_weights("thanos", layer, mask, block=block)
        assert not got[~mask].any() and got.isfinite().all()
        assert_close(got, oracles.thanos(layer.weight, layer.inputs, mask, block=block))


@pytest.mark.parametrize("case", ["plain", "odd-width", "dead-columns", "one-token", "zero-rows"])
def test_blocks_of_one_column_are_sparsegpts_update(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = random_mask(layer, 0.5)
    assert_close(update_weights("thanos", layer, mask, block=1), update_weights("obs", layer, mask), 1e-4)


@pytest.mark.parametrize("case", ["plain", "odd-width", "wider-than-a-block", "zero-rows"])
def test_one_block_is_the_joint_update(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask = random_mask(layer, 0.5)
    assert_close(update_weights("thanos", layer, mask, block=1000), update_weights("mrp", layer, mask), 1e-3)


def test_wider_blocks_have_smaller_errors() -> None:
    layer = oracles.random_layer(24, 64)
    mask, matrix = random_mask(layer, 0.5), oracles.damped(oracles.hessian(layer.inputs))
    errors = []
    for block in (1, 8, 32, 64):
        change = update_weights("thanos", layer, mask, block=block).double() - layer.weight.double()
        errors.append(float(((change @ matrix) * change).sum()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("case", [case for case in EDGE_CASES if "dead" not in case])
def test_the_error_is_not_above_that_of_the_mask_alone(case: str) -> None:
    layer = EDGE_CASES[case]()
    mask, tokens = random_mask(layer, 0.5), layer.inputs.flatten(0, 1).double()
    alone, updated = (
        ((weight.double() - layer.weight.double()) @ tokens.T).norm()
        for weight in (layer.weight * mask, update_weights("thanos", layer, mask))
    )
    assert updated <= alone * 1.001


def remaining(layer: Layer, pattern: str, group: str | None, sparsity: float, block: int) -> Any:
    """Return a `choose` for the oracle: what each comparison group still has to lose, it loses where the
    scores of the running weights are lowest among the columns that are left.
    """

    def choose(start: int, running: Tensor, mask: Tensor | None) -> Tensor:
        before = torch.ones(running.shape, dtype=torch.bool) if mask is None else mask
        new, scores = before.clone(), oracles.wanda(running, layer.inputs).tolist()
        new[:, start:] = True
        for entries in oracles.groups(*running.shape, pattern, group):
            lost = sum(not before[i, j] for i, j in entries if j < start)
            left = sorted(
                (place for place in entries if place[1] >= start), key=lambda at: scores[at[0]][at[1]]
            )
            for i, j in left[: oracles.removed_count(len(entries), pattern, sparsity) - lost]:
                new[i, j] = False
        return new

    return choose


SHAPES = [("unstructured", group) for group in Group] + [("2:4", None), ("1:4", None)]


@pytest.mark.parametrize("block", [128, 24])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[1] or shape[0])
def test_a_mask_of_what_is_left_matches_the_oracle(shape: tuple[str, Group | None], block: int) -> None:
    pattern, group = shape
    layer = oracles.random_layer(5, 136)
    n_of_m = parse_pattern(pattern)
    sparsity = 0.6 if n_of_m is None else 1 - n_of_m[0] / n_of_m[1]
    settings = {"thanos.block": block}
    outcome = prune(layer, sparsity, pattern=pattern, group=group, settings=settings)
    expected = oracles.thanos(
        layer.weight,
        layer.inputs,
        block=block,
        choose=remaining(layer, pattern, group, sparsity, block),
    )
    assert torch.equal(outcome.keep, expected != 0)
    assert_close(outcome.weight, expected)


def test_the_whole_mask_can_be_decided_on_the_dense_weights() -> None:
    layer = oracles.random_layer(5, 136)
    dense = prune(layer, settings={"thanos.block": 24, "thanos.mask": "dense"})
    assert torch.equal(dense.keep, prune(layer, update="none").keep)
    assert not torch.equal(dense.keep, prune(layer, settings={"thanos.block": 24}).keep)


def test_a_group_that_a_block_cuts_is_still_pruned_exactly() -> None:
    outcome = prune(oracles.random_layer(5, 48), 0.5, pattern="2:4", settings={"thanos.block": 10})
    assert (outcome.keep.view(5, 12, 4).sum(2) == 2).all()


def test_rows_keep_their_own_sparsities() -> None:
    layer = oracles.random_layer(4, 40)
    rows = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64)
    plan = Plan.of(score="wanda", group=Group.ROW, update="thanos", settings={"thanos.block": 16})
    outcome = plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), rows)
    assert (~outcome.keep).sum(1).tolist() == [0, 10, 20, 36]


@pytest.mark.parametrize(
    "choices",
    [
        {"refinement": "dsnot", "group": Group.ROW},
        {"score": "joint", "pattern": "2:4"},
        {"pattern": "2:4", "permutation": "zigzag"},
    ],
    ids=["refined", "joint", "permuted"],
)
def test_other_masks_are_decided_on_the_dense_weights(choices: dict[str, Any]) -> None:
    layer = oracles.random_layer(6, 48)
    outcome = prune(layer, 0.5, **choices)
    assert torch.equal(outcome.keep, prune(layer, 0.5, **choices, update="none").keep)
    assert torch.equal(outcome.weight, update_weights("thanos", layer, outcome.keep))


def test_an_inspected_decision_shows_each_score_at_its_moment() -> None:
    layer = oracles.random_layer(6, 48)
    settings = {"thanos.block": 16}
    plan = Plan.of(score="wanda", pattern="2:4", update="thanos", settings=settings)
    statistics = oracles.collect_statistics(layer, plan.needs)
    decision = decide(plan, layer.weight, statistics, 0.5)
    dense = plan.score.function(layer.weight, statistics)
    assert torch.equal(decision.keep, plan.pattern.keep(decision.scores, 0.5))
    assert torch.equal(decision.scores[:, :16], dense[:, :16])
    assert not (decision.scores[:, 16:] == dense[:, 16:]).any(), "the first block has changed the others"


def test_rows_that_float32_cannot_solve_are_solved_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = oracles.random_layer(6, 40)
    mask = random_mask(layer, 0.5)
    expected = update_weights("thanos", layer, mask)
    original = thanos.joint_update

    def failing(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        new, failed = original(*arguments)
        new[2], failed[2] = torch.nan, True
        return new, failed

    monkeypatch.setattr(thanos, "joint_update", failing)
    assert_close(update_weights("thanos", layer, mask), expected, 1e-4)

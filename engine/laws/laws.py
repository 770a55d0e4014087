"""The laws of a plan, that is, of a choice of methods with their parameters: each is a function that raises
`Broken`, with the numbers, if the plan does not keep it.

They hold for every method and shape of groups, and need no other implementation to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.laws.counts import floor_share, removed_count, removed_per_group
from engine.laws.layers import (
    COMMON,
    Layer,
    collect_statistics,
    edge_case,
    edge_case_statistics,
    fitting_edge_cases,
    random_layer,
)
from engine.pruning.axes import REFINEMENTS, Invariance
from engine.pruning.patterns import Group, parse_pattern
from engine.pruning.plan import Outcome, Plan
from engine.pruning.statistics import Need

Shape = tuple[str, Group | None]
"""A pattern, and the comparison group of an unstructured one."""
SPARSITY = 0.6
WITH_DEAD_COLUMNS = ("dead-columns", "all-dead")
EXTREMES = (0.0, 0.29, 0.99)
ROUNDED = 0.01
"""The largest share of a mask that may depend on how sums round."""
READS = {
    Need.INPUT_NORM: {"input_norm"},
    Need.INPUT_SUM: {"input_sum"},
    Need.INPUT_VARIANCE: {"input_variance"},
    Need.INPUT_DEVIATION: {"input_deviation"},
    Need.OUTPUT_NORM: {"output_norm"},
    Need.HESSIAN: {"hessian", "factor"},
    Need.SAMPLE: {"sample"},
}
"""The attributes of `Statistics` that each need provides."""


class Broken(AssertionError):
    """A law that a method does not keep."""


def require(holds: bool, what: str) -> None:
    """Raise `Broken`, with what is wrong, unless something holds."""
    if not holds:
        raise Broken(what)


def target(pattern: str) -> float:
    """Return the sparsity to prune with."""
    n_of_m = parse_pattern(pattern)
    return SPARSITY if n_of_m is None else 1 - n_of_m[0] / n_of_m[1]


def prune(plan: Plan, layer: Layer, sparsity: float) -> Outcome:
    """Prune a layer by a plan."""
    return plan.prune(layer.weight, collect_statistics(layer, plan.needs), sparsity)


def prune_edge_case(plan: Plan, case: str, sparsity: float) -> Outcome:
    """Prune an edge case by a plan."""
    return plan.prune(edge_case(case).weight, edge_case_statistics(case, plan.needs), sparsity)


def require_valid(plan: Plan, layer: Layer, outcome: Outcome, case: str) -> None:
    """Require a mask and finite weights of the right shape, 0 where removed, else unchanged by a score."""
    weight, keep = outcome.weight, outcome.keep
    require(keep.shape == weight.shape == layer.weight.shape, f"{case}: the result has another shape")
    require(
        keep.dtype == torch.bool and weight.dtype == torch.float32, f"{case}: {keep.dtype}, {weight.dtype}"
    )
    bad = int((~weight.isfinite()).sum())
    require(not bad, f"{case}: {bad} of {weight.numel()} weights are not finite")
    left = int((weight[~keep] != 0).sum())
    require(not left, f"{case}: {left} removed weights are not 0")
    if not plan.update.touches:
        moved = int((weight[keep] != layer.weight[keep]).sum())
        require(not moved, f"{case}: {moved} kept weights have changed without an update")


def every_edge_case_is_pruned_correctly(plan: Plan, shape: Shape) -> None:
    """Each comparison group loses exactly its share, and all weights are finite."""
    pattern, _ = shape
    for case, layer in fitting_edge_cases(pattern):
        outcome = prune_edge_case(plan, case, target(pattern))
        require_valid(plan, layer, outcome, case)
        if plan.refinement.name == "none":
            _require_counts(outcome.keep, shape, case)


def _require_counts(keep: Tensor, shape: Shape, case: str) -> None:
    pattern, group = shape
    for number, (removed, entries) in enumerate(removed_per_group(keep, pattern, group)):
        expected = removed_count(entries, pattern, SPARSITY)
        require(
            removed == expected,
            f"{case}: group {number} loses {removed} of {entries} weights, not {expected}",
        )


def extreme_sparsities_are_exact(plan: Plan, shape: Shape) -> None:
    """Sparsities from 0 to 0.99 remove exactly their share."""
    pattern, group = shape
    for sparsity in EXTREMES if parse_pattern(pattern) is None else ():
        for case in ("wider-than-a-block", "one-row", "dead-columns"):
            outcome = prune_edge_case(plan, case, sparsity)
            require_valid(plan, edge_case(case), outcome, case)
            removed = removed_per_group(outcome.keep, pattern, group)
            expected = [floor_share(entries, sparsity) for _, entries in removed]
            found = [count for count, _ in removed]
            if plan.refinement.name != "none":  # may move a removal into another group of columns
                found, expected = [sum(found)], [sum(expected)]
            require(found == expected, f"{case} at {sparsity}: removes {found}, not {expected}")


def sparsity_zero_changes_nothing(plan: Plan, shape: Shape) -> None:
    """A run at sparsity 0 has exactly the dense weights."""
    pattern, _ = shape
    for case, layer in fitting_edge_cases(pattern) if parse_pattern(pattern) is None else ():
        if case not in WITH_DEAD_COLUMNS:
            outcome = prune_edge_case(plan, case, 0.0)
            require(bool(outcome.keep.all()), f"{case}: {int((~outcome.keep).sum())} weights are removed")
            moved = int((outcome.weight != layer.weight).sum())
            require(not moved, f"{case}: {moved} weights have changed")


def pruning_is_deterministic(plan: Plan, shape: Shape) -> None:
    """The same layer is pruned alike each time."""
    first, second = (prune(plan, edge_case(COMMON), target(shape[0])) for _ in range(2))
    _require_equal(first, second, "the second time")


def the_inputs_are_not_modified(plan: Plan, shape: Shape) -> None:
    """Neither the weight nor the statistics are written to."""
    layer = edge_case(COMMON)
    for transposed in (False, True):
        weight, statistics = layer.weight.clone(), collect_statistics(layer, plan.needs)
        weight = weight.T.contiguous().T if transposed else weight
        first = plan.prune(weight, statistics, target(shape[0]))
        changed = int((weight != layer.weight).sum())
        require(not changed, f"{changed} entries of the weight were changed in place")
        again = plan.prune(weight, statistics, target(shape[0]))
        _require_equal(first, again, "with statistics that were used before")


def a_transposed_view_gives_the_same_result(plan: Plan, shape: Shape) -> None:
    """The layout in memory does not matter. A Conv1D's weight is a transposed view."""
    weight, statistics = edge_case(COMMON).weight, edge_case_statistics(COMMON, plan.needs)
    contiguous, transposed = (
        plan.prune(matrix.clone(), statistics, target(shape[0]))
        for matrix in (weight, weight.T.contiguous().T)
    )
    _require_masks(contiguous.keep, transposed.keep, "for a transposed view", most=0)
    _require_close(contiguous.weight, transposed.weight, "for a transposed view")


def a_bfloat16_weight_is_pruned_in_float32(plan: Plan, shape: Shape) -> None:
    """A half-precision weight gives the same result as the float32 weight with its values."""
    half, statistics = edge_case(COMMON).weight.bfloat16(), edge_case_statistics(COMMON, plan.needs)
    from_half, from_float = (
        plan.prune(weight, statistics, target(shape[0])) for weight in (half, half.float())
    )
    require(from_half.weight.dtype == torch.float32, f"the result is {from_half.weight.dtype}")
    _require_equal(from_half, from_float, "for a bfloat16 weight")


def the_calibration_batch_size_hardly_matters(plan: Plan, shape: Shape) -> None:
    """It does not matter how many windows pass at a time."""
    layer = random_layer(6, 48, windows=6)
    single, full_batch = (
        plan.prune(layer.weight, collect_statistics(layer, plan.needs, batch), target(shape[0]))
        for batch in (1, 6)
    )
    _require_masks(single.keep, full_batch.keep, "with 6 windows at a time", most=0)
    _require_close(single.weight, full_batch.weight, "with 6 windows at a time", rtol=1e-3, atol=1e-4)


def a_refinement_preserves_the_counts(plan: Plan, shape: Shape) -> None:
    """A refinement keeps as many weights of each row, and of each group of an N:M pattern, as before."""
    for case, _ in fitting_edge_cases(shape[0]) if plan.refinement.touches else ():
        require_same_counts(plan, shape, case)


def require_same_counts(plan: Plan, shape: Shape, case: str) -> None:
    """Require that the refinement keeps the counts of one edge case."""
    pattern, group = shape
    plain = replace(plan, refinement=REFINEMENTS["none"], parameters={**plan.parameters, "refinement": {}})
    before, after = (prune_edge_case(each, case, target(pattern)).keep for each in (plain, plan))
    rows = (before.sum(1) != after.sum(1)).nonzero().flatten().tolist()
    require(not rows, f"{case}: the rows {rows[:5]} keep another number of weights than before")
    if parse_pattern(pattern) is not None:
        same = removed_per_group(before, pattern, group) == removed_per_group(after, pattern, group)
        require(same, f"{case}: a group of {pattern} keeps another number of weights than before")


def declared_invariances_hold(plan: Plan, shape: Shape) -> None:
    """The mask does not change, or changes along, in the ways that the score declares."""
    layer = random_layer(12, 48)
    keep = prune(plan, layer, target(shape[0])).keep
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randperm(count, generator=generator) for count in layer.weight.shape)
    variants: dict[Invariance, tuple[Layer, Tensor]] = {
        Invariance.SCALE: (Layer(2 * layer.weight, layer.inputs), keep),
        Invariance.ROWS: (Layer(layer.weight[rows], layer.inputs), keep[rows]),
        Invariance.COLUMNS: (Layer(layer.weight[:, columns], layer.inputs[..., columns]), keep[:, columns]),
    }
    for invariance in plan.score.invariances:
        if invariance is Invariance.COLUMNS and shape not in WHOLE_ROWS:
            continue  # other columns form other groups
        variant, expected = variants[invariance]
        _require_masks(prune(plan, variant, target(shape[0])).keep, expected, f"under {invariance.value}")


WHOLE_ROWS: tuple[Shape, ...] = (("unstructured", Group.ROW), ("unstructured", Group.LAYER))


def only_declared_statistics_are_read(plan: Plan, shape: Shape) -> None:
    """Methods read what they declare, and nothing else."""
    watched = _Watched(edge_case_statistics(COMMON, plan.needs))
    plan.prune(edge_case(COMMON).weight, watched, target(shape[0]))  # type: ignore[arg-type]
    unread = [need.value for need in sorted(plan.needs) if not READS.get(need, {""}) & {*watched.read, ""}]
    require(not unread, f"{', '.join(unread)} is declared, but not read; it costs time in every run")


class _Watched:
    """Statistics that note what is read."""

    def __init__(self, statistics: Any) -> None:
        self._statistics = statistics
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._statistics, name)


def devices_agree(plan: Plan, shape: Shape) -> None:
    """An accelerator prunes as the CPU does, up to rounding. Without one there is nothing to compare."""
    device = next((name for name, there in DEVICES.items() if there()), None)
    if device is None:
        return
    layer, sparsity = edge_case(COMMON), target(shape[0])
    there = plan.prune(
        layer.weight.to(device), collect_statistics(layer, plan.needs, device=device), sparsity
    )
    _require_masks(there.keep.cpu(), prune(plan, layer, sparsity).keep, f"on {device}")


DEVICES: dict[str, Callable[[], bool]] = {
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


def _require_equal(one: Outcome, other: Outcome, when: str) -> None:
    _require_masks(one.keep, other.keep, when, most=0)
    moved = int((one.weight != other.weight).sum())
    require(not moved, f"{moved} of {one.weight.numel()} weights differ {when}")


def _require_masks(one: Tensor, other: Tensor, when: str, most: float = ROUNDED) -> None:
    differing = int((one != other).sum())
    require(
        differing <= most * one.numel(), f"the mask differs {when} in {differing} of {one.numel()} places"
    )


def _require_close(one: Tensor, other: Tensor, when: str, rtol: float = 1.3e-6, atol: float = 1e-5) -> None:
    furthest = float((one - other).abs().max())
    require(torch.allclose(one, other, rtol, atol), f"weights differ {when} by up to {furthest:.3g}")


LAWS: dict[str, Callable[[Plan, Shape], None]] = {
    "each comparison group loses exactly its share": every_edge_case_is_pruned_correctly,
    "sparsities from 0 to 0.99 are exact": extreme_sparsities_are_exact,
    "sparsity 0 changes nothing": sparsity_zero_changes_nothing,
    "the result is the same each time": pruning_is_deterministic,
    "weight and statistics are not written to": the_inputs_are_not_modified,
    "the layout in memory does not matter": a_transposed_view_gives_the_same_result,
    "a bfloat16 weight is pruned in float32": a_bfloat16_weight_is_pruned_in_float32,
    "the calibration batch size does not matter": the_calibration_batch_size_hardly_matters,
    "a refinement preserves the counts": a_refinement_preserves_the_counts,
    "the declared invariances hold": declared_invariances_hold,
    "what is declared of the statistics is read": only_declared_statistics_are_read,
    "an accelerator agrees with the CPU": devices_agree,
}
"""The laws by what they say."""

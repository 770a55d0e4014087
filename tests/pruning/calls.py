"""Call a registered method from a test: with its default parameters and the statistics that it declares."""

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.axes import REFINEMENTS, SCORES, UPDATES, FrozenMask, Refined
from engine.pruning.hessian import inverse_factor
from engine.pruning.plan import Outcome, Plan
from engine.pruning.statistics import Statistics
from engine.registry import Method
from tests.pruning import oracles
from tests.pruning.oracles import Layer

SMALL_SEARCHES: dict[str, dict[str, Any]] = {
    "evopress": {"evopress.generations": 1, "evopress.offspring": 2, "evopress.windows": 2},
}
"""Settings of allocations that try hundreds of candidates by default, by their names."""
FEW_STEPS: dict[str, Any] = {
    "admm.iterations": 4,
    "admm.steps": 3,
    "alps.iterations": 9,
    "sparseswaps.swaps": 4,
}
"""Settings of methods that repeat something tens to hundreds of times by default, for what holds after any
number of times.
"""


def defaults(method: Method, **chosen: Any) -> dict[str, Any]:
    """Return the method's parameters, overridden by `chosen`; True and False become yes and no."""
    assert set(chosen) <= {parameter.name for parameter in method.parameters}, (
        f"{method.name} lacks a parameter of {set(chosen)}"
    )
    chosen = {
        name: {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        for name, value in chosen.items()
    }
    for name, value in chosen.items():
        parameter = method.parameter(name)
        assert parameter is not None and parameter.fault(value) is None, (name, value)
    return {parameter.name: chosen.get(parameter.name, parameter.default) for parameter in method.parameters}


def arguments(method: Method, **chosen: Any) -> dict[str, Any]:
    """Return `defaults` without the parameters that the plan applies, which the function does not receive."""
    read = {parameter.name for parameter in method.parameters if not parameter.for_plan}
    return {name: value for name, value in defaults(method, **chosen).items() if name in read}


def score(name: str, layer: Layer, **chosen: Any) -> Tensor:
    """Return a score of the layer; for a joint score pass the pattern's `n` and `m`."""
    pattern = {key: chosen.pop(key) for key in ("n", "m") if key in chosen}
    return SCORES[name].function(
        layer.weight,
        oracles.collect_statistics(layer, SCORES[name].needs),
        **defaults(SCORES[name], **chosen),
        **pattern,
    )


def assert_scores(got: Tensor, expected: Tensor) -> None:
    assert got.dtype == torch.float32 and got.isfinite().all() and (got >= 0).all()
    torch.testing.assert_close(got.double(), expected, rtol=2e-3, atol=1e-6 * float(expected.abs().max()))


def assert_close(got: Tensor, expected: Tensor, tolerance: float = 2e-3) -> None:
    """Check weights, relative to the largest one."""
    largest = max(float(expected.abs().max()), 1e-6)
    torch.testing.assert_close(got.double(), expected.double(), rtol=tolerance, atol=tolerance * largest)


def prune_layer(layer: Layer, sparsity: float = 0.6, **choices: Any) -> Outcome:
    """Prune a layer by a plan, by default with the score of Wanda: an update may choose the mask itself."""
    plan = Plan.of(**{"score": "wanda", **choices})
    return plan.prune(layer.weight, oracles.collect_statistics(layer, plan.needs), sparsity)


def update_weights(
    name: str, layer: Layer, mask: Tensor, statistics: Statistics | None = None, **chosen: Any
) -> Tensor:
    """Return the new weight for a given mask."""
    update = UPDATES[name]
    return update.function(
        layer.weight.clone(),
        statistics or oracles.collect_statistics(layer, update.needs),
        FrozenMask(mask),
        **arguments(update, **chosen),
    ).weight


def undamped(layer: Layer) -> Statistics:
    """Return float64 statistics of the undamped Hessian; the weight must be float64 too."""
    matrix = oracles.hessian(layer.inputs)
    return cast(
        Statistics,
        SimpleNamespace(hessian=matrix, factor=inverse_factor(matrix, ladder=(0.0,)), width=layer.width),
    )


def refine_mask(name: str, layer: Layer, mask: Tensor, *, group: int | None = None, **chosen: Any) -> Refined:
    """Return the refined mask, whatever linears the plan would refine."""
    refinement = REFINEMENTS[name]
    return refinement.function(
        mask.clone(),
        layer.weight.clone(),
        oracles.collect_statistics(layer, refinement.needs),
        group=group,
        **arguments(refinement, **chosen),
    )


def random_mask(layer: Layer, share: float, seed: int = 0) -> Tensor:
    return torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(seed)) >= share

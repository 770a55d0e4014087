"""How the tests call a method of the registry: its defaults, some of them chosen, and the statistics that it
declares.
"""

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from engine.pruning import presets  # noqa: F401  (fills the registries)
from engine.pruning.axes import REFINEMENTS, SCORES, UPDATES, FrozenMask, Refined
from engine.pruning.hessian import inverse_factor
from engine.pruning.statistics import Statistics
from engine.registry import Method
from tests.pruning import oracles
from tests.pruning.oracles import Layer


def defaults(method: Method, **chosen: Any) -> dict[str, Any]:
    """The method's parameters with some of them chosen, true and false as yes and no; one that it does not
    have fails.
    """
    assert set(chosen) <= {parameter.name for parameter in method.parameters}, (
        f"{method.name} has not all of {set(chosen)}"
    )
    chosen = {
        name: {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        for name, value in chosen.items()
    }
    for name, value in chosen.items():
        parameter = method.parameter(name)
        assert parameter is not None and parameter.fault(value) is None, (name, value)
    return {parameter.name: chosen.get(parameter.name, parameter.default) for parameter in method.parameters}


def score(name: str, layer: Layer, **chosen: Any) -> Tensor:
    """`n` and `m` are the pattern's, for a joint score."""
    pattern = {key: chosen.pop(key) for key in ("n", "m") if key in chosen}
    return SCORES[name].function(
        layer.weight,
        oracles.observed(layer, SCORES[name].needs),
        **defaults(SCORES[name], **chosen),
        **pattern,
    )


def assert_scores(got: Tensor, expected: Tensor) -> None:
    assert got.dtype == torch.float32 and got.isfinite().all() and (got >= 0).all()
    torch.testing.assert_close(got.double(), expected, rtol=2e-3, atol=1e-6 * float(expected.abs().max()))


def updated(name: str, layer: Layer, mask: Tensor, seen: Statistics | None = None) -> Tensor:
    """The new weight for a mask that was decided before."""
    update = UPDATES[name]
    return update.function(
        layer.weight.clone(),
        seen or oracles.observed(layer, update.needs),
        FrozenMask(mask),
        **defaults(update),
    ).weight


def undamped(layer: Layer) -> Statistics:
    """Statistics in float64 of a Hessian that nothing was added to; the weight has to be of that dtype, too."""
    matrix = oracles.hessian(layer.inputs)
    return cast(
        Statistics,
        SimpleNamespace(hessian=matrix, factor=inverse_factor(matrix, ladder=(0.0,)), width=layer.width),
    )


def refined(name: str, layer: Layer, mask: Tensor, *, group: int | None = None, **chosen: Any) -> Refined:
    """What a refinement makes of a mask; `layers` is the plan's affair."""
    refinement = REFINEMENTS[name]
    parameters = defaults(refinement, **chosen)
    parameters.pop("layers", None)
    return refinement.function(
        mask.clone(),
        layer.weight.clone(),
        oracles.observed(layer, refinement.needs),
        group=group,
        **parameters,
    )


def random_mask(layer: Layer, share: float, seed: int = 0) -> Tensor:
    return torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(seed)) >= share

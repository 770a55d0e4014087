"""`methods`: every axis, method, parameter and default, from the registry."""

from __future__ import annotations

from collections.abc import Iterator

from engine.pruning.methods import AXES
from engine.pruning.presets import PRESETS
from engine.registry import Method, Parameter


def describe() -> str:
    """All methods as text."""
    lines = ["pruner (a preset over the axes)"]
    for preset in PRESETS.values():
        lines += _method(preset)
        lines.append(f"      = {', '.join(f'{axis} {choice}' for axis, choice in preset.choices.items())}")
    for axis, registry in AXES.items():
        lines += ["", axis]
        for method in registry.values():
            lines += _method(method)
    lines += ["", "pattern", "  unstructured  the lowest scores of each comparison group go (group: layer, row or block of 128 columns)"]
    lines.append("  n:m           of each m consecutive weights of a row the n highest are kept; the sparsity is 1 - n/m")
    return "\n".join(lines)


def _method(method: Method) -> Iterator[str]:
    year = f" ({method.paper.year}, {method.paper.url})" if method.paper else ""
    yield f"  {method.name:<13} {method.explanation}{year}"
    for parameter in method.parameters:
        yield f"      --set {method.name}.{parameter.name}=...  {parameter.explanation}; {_range(parameter)}"


def _range(parameter: Parameter) -> str:
    if parameter.choices:
        return f"{' or '.join(parameter.choices)}, default {parameter.default}"
    limits = f"{parameter.minimum} to {parameter.maximum}, " if parameter.minimum is not None else ""
    return f"{limits}default {parameter.default if parameter.default != () else 'none'}"

"""`methods`: every axis, method, parameter and default, and the patterns, from the registries alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.presets import PRESETS, Preset
from engine.registry import Method, Paper


def describe() -> str:
    """All methods as text."""
    sections: Mapping[str, Mapping[str, Method]] = {
        "pruner (a preset over the axes)": PRESETS,
        **AXES,
        **LAYOUTS,
    }
    return "\n\n".join(
        "\n".join([title, *chain.from_iterable(map(_method, registry.values()))])
        for title, registry in sections.items()
    )


def _method(method: Method) -> Iterator[str]:
    """What it does, what it stands for, when it helps, its formula and paper, and how its parameters are set."""
    yield f"  {method.name:<13} {method.explanation}"
    if isinstance(method, Preset):
        yield f"      = {', '.join(f'{field} {choice}' for field, choice in _choices(method).items())}"
    for label, words in (
        ("when it helps", method.helps),
        ("formula", method.formula),
        ("paper", _paper(method.paper)),
    ):
        if words:
            yield f"      {label}: {words}"
    for parameter in method.parameters:
        yield f"      --set {method.name}.{parameter.name}=...  {parameter.explanation}; {parameter.range}"


def _choices(preset: Preset) -> dict[str, str]:
    return preset.choices if preset.pattern is None else {**preset.choices, "pattern": preset.pattern}


def _paper(paper: Paper | None) -> str:
    return "" if paper is None else ", ".join(filter(None, (f"{paper.title} ({paper.year})", paper.url)))

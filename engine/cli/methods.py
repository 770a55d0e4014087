"""`methods`: every axis, method, parameter and default, and the patterns, taken from the registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from engine.pruning.axes import AXES
from engine.pruning.formulas.vocabulary import FUNCTIONS, NAMES
from engine.pruning.measured import measured
from engine.pruning.pattern_choices import LAYOUTS
from engine.pruning.presets import PRESETS, Preset
from engine.pruning.recommendations import Recommendation, all_pruners
from engine.registry import Method, Paper


def describe() -> str:
    """Return a description of all methods."""
    sections: Mapping[str, Mapping[str, Method]] = {
        "pruner (a preset over the axes)": all_pruners(),
        **AXES,
        **LAYOUTS,
    }
    described = [
        "\n".join([title, *chain.from_iterable(map(_method, registry.values()))])
        for title, registry in sections.items()
    ]
    return "\n\n".join([*described, "\n".join(["names and functions of formula.expression", *_vocabulary()])])


def _vocabulary() -> Iterator[str]:
    """Yield the lines about the names and functions of formulas."""
    for name, quantity in NAMES.items():
        yield f"  {name:<17} {quantity.meaning} ({quantity.shape.words}; unit: {quantity.unit})"
    for name, function in FUNCTIONS.items():
        yield f"  {function.call(name):<17} {function.meaning}"


def _method(method: Method) -> Iterator[str]:
    """Yield the lines about one method: what it does, when it helps, formula, paper, and its parameters."""
    yield f"  {method.name:<13} {method.explanation}"
    if isinstance(method, Preset):
        choices = method.choices if method.pattern is None else {**method.choices, "pattern": method.pattern}
        yield f"      = {', '.join(f'{field} {choice}' for field, choice in choices.items())}"
    if isinstance(method, Recommendation):
        yield f"      = {method.rule({name: name for name in PRESETS})}"
        for evidence in method.evidence:
            yield from (f"      {evidence.sentence(shape)}" for shape in evidence.measured)
    for label, text in (
        ("when it helps", method.helps),
        ("measured", measured(method)),
        ("formula", method.formula),
        ("paper", _paper(method.paper)),
        ("sources", method.sources),
        ("from", str(method.origin) if method.origin else ""),
    ):
        if text:
            yield f"      {label}: {text}"
    for parameter in method.parameters:
        yield f"      --set {method.name}.{parameter.name}=...  {parameter.explanation}; {parameter.range}"


def _paper(paper: Paper | None) -> str:
    return "" if paper is None else ", ".join(filter(None, (f"{paper.title} ({paper.year})", paper.url)))

"""What the page of the methods says beyond a method's own entry: what each axis asks, what else follows from
an entry, how to try it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.pruning.axes import AXES, SCORES, Score
from engine.pruning.pattern_choices import GROUPS
from engine.pruning.patterns import UNSTRUCTURED
from engine.pruning.presets import Preset
from engine.registry import Method
from pages.widgets.methods.method_card import anchor


@dataclass(frozen=True)
class Section:
    """An axis: its title, and the question that it answers."""

    title: str
    question: str


SECTIONS = {
    "pruner": Section(
        "Pruners",
        "Names for a score, an update and a refinement that belong together. Allocations are top-ups over any of them.",
    ),
    "score": Section("Scores", "Which weights matter least? The lowest scores go."),
    "allocation": Section(
        "Allocations",
        "How much does each block lose? All of them together lose what was asked, weight for weight.",
    ),
    "update": Section("Weight updates", "What becomes of the weights that stay?"),
    "refinement": Section(
        "Mask refinements", "Which weights should change places once the score has decided?"
    ),
    "pattern": Section("Patterns", "Where may the zeros stand?"),
    "group": Section(
        "Comparison groups", "Which weights compete with one another in an unstructured pattern?"
    ),
    "permutation": Section(
        "Channel permutations",
        "Which columns form the groups of an N:M pattern? The mask is mapped back, so the model's function stays.",
    ),
}
EXAMPLE = "2:4"
"""The N:M pattern that things which need one are tried with."""


def found(registry: Mapping[str, Method], wanted: str) -> list[Method]:
    """The methods that have all words in their name, title, explanation or paper."""
    words = wanted.casefold().split()
    return [method for method in registry.values() if all(word in _text(method) for word in words)]


def facts(method: Method) -> dict[str, str]:
    """What follows from an entry, as Markdown: what a pruner stands for, what a score compares within."""
    if isinstance(method, Preset):
        parts = [
            f"{axis} [{AXES[axis][name].title}](#{anchor(axis, name)})"
            for axis, name in method.choices.items()
            if name != "none"
        ]
        return {"Stands for": ", ".join([*parts, *([f"pattern {method.pattern}"] if method.pattern else [])])}
    if isinstance(method, Score):
        return {
            "Compares within": f"[{GROUPS[method.default_group].title.lower()}](#{anchor('group', method.default_group)})"
        }
    return {}


def trial(axis: str, method: Method) -> dict[str, str]:
    """What the address of Explore says to try a method: itself, and a pattern where it needs one."""
    if axis == "pattern":
        return {"pattern": method.name if method.name == UNSTRUCTURED else EXAMPLE}
    return {
        axis: method.name,
        **({"pattern": EXAMPLE} if axis == "permutation" or _needs_groups(method) else {}),
    }


def _needs_groups(method: Method) -> bool:
    """Whether a score, or the score of a pruner, decides whole groups of an N:M pattern."""
    score = SCORES[method.score] if isinstance(method, Preset) else method
    return isinstance(score, Score) and score.joint


def _text(method: Method) -> str:
    paper = f"{method.paper.title} {method.paper.year}" if method.paper else ""
    return " ".join((method.name, method.title, method.explanation, method.helps, paper)).casefold()

"""The reference beyond a method's own entry: the question of each axis, the search, related methods, and the
fields that try a method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.pruning.axes import AXES, SCORES, Score, Update
from engine.pruning.pattern_choices import GROUPS, LAYOUTS
from engine.pruning.patterns import UNSTRUCTURED
from engine.pruning.presets import PRESETS, Preset
from engine.pruning.recommendations import Recommendation
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
        "Names for a score, a weight update and a mask refinement that belong together. "
        "Any of them can be combined with an allocation.",
    ),
    "score": Section("Scores", "Which weights matter least? The weights with the lowest scores are removed."),
    "allocation": Section(
        "Allocations",
        "How much of each block is removed? The whole model always has the requested sparsity.",
    ),
    "update": Section("Weight updates", "How do the remaining weights change?"),
    "refinement": Section(
        "Mask refinements", "Which kept and removed weights are swapped after the score has chosen the mask?"
    ),
    "pattern": Section("Patterns", "Where may the zeros be?"),
    "group": Section(
        "Comparison groups",
        "Which weights compete with one another in an unstructured pattern? Of equal scores at the cut, "
        "those at the lowest positions (row by row, from the left) are removed first, so that each group "
        "loses exactly its count. A run counts the weights that this rule decides about, except scores of 0.",
    ),
    "permutation": Section(
        "Channel permutations",
        "Which columns form the groups of an N:M pattern? "
        "The mask is mapped back to the original order, so the model computes the same function.",
    ),
    "bias": Section("Biases", "Do biases replace what the removed weights contributed on average?"),
}
EXAMPLE = "2:4"
"""The N:M pattern for trying methods that need one."""


def search(registry: Mapping[str, Method], query: str) -> list[Method]:
    """Return the methods that have all words of the query in their name, title, explanation or paper."""
    words = query.casefold().split()
    return [method for method in registry.values() if all(word in _text(method) for word in words)]


def _text(method: Method) -> str:
    paper = f"{method.paper.title} {method.paper.year}" if method.paper else ""
    return " ".join((method.name, method.title, method.explanation, method.helps, paper)).casefold()


def related_methods(method: Method) -> dict[str, str]:
    """Return links to related methods, Markdown: a pruner's choices, a score's comparison group, and what a
    recommendation stands for.
    """
    if isinstance(method, Preset):
        parts = [
            f"{axis} [{(AXES | LAYOUTS)[axis][name].title}](#{anchor(axis, name)})"
            for axis, name in method.choices.items()
            if name != "none"
        ]
        return {"Stands for": ", ".join([*parts, *([f"pattern {method.pattern}"] if method.pattern else [])])}
    if isinstance(method, Recommendation):
        linked = {
            name: f"[{PRESETS[name].title}](#{anchor('pruner', name)})"
            for name in (method.low, method.high, method.groups)
        }
        return {"Stands for": method.rule(linked)}
    group = method.default_group if isinstance(method, Score) else None
    group = method.group if isinstance(method, Update) else group
    if group is not None:
        return {"Compares within": f"[{GROUPS[group].title.lower()}](#{anchor('group', group)})"}
    return {}


def trial_fields(axis: str, method: Method) -> dict[str, str]:
    """Return the query parameters of Explore that try a method: itself, and a pattern if it needs one."""
    if axis == "pattern":
        return {"pattern": method.name if method.name == UNSTRUCTURED else EXAMPLE}
    # A pruner needs an N:M pattern if its score chooses whole groups jointly.
    score = SCORES[method.score] if isinstance(method, Preset) else method
    needs_groups = axis == "permutation" or (isinstance(score, Score) and score.joint)
    # a pruner's name is a parameter of the address too
    return {axis: method.name, **({"pattern": EXAMPLE} if needs_groups else {})}

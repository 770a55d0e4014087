"""Pruners that a person picks by name: each is one choice on the axes, nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from engine.pruning import allocations, papers, refinements, scores, updates  # noqa: F401  (importing them fills the registries)
from engine.pruning.methods import AXES
from engine.registry import Method, Registry


@dataclass(frozen=True, kw_only=True)
class Preset(Method):
    """A named choice of score, update and refinement; the comparison group is the score's own default."""

    score: str
    update: str = "none"
    refinement: str = "none"

    @property
    def choices(self) -> dict[str, str]:
        """The recipe's fields that the preset sets."""
        return {"score": self.score, "update": self.update, "refinement": self.refinement}


PRESETS: Registry[Preset] = Registry("pruner")

PRESETS.add(
    Preset(
        name="magnitude",
        title="Magnitude",
        explanation="The classic: removes the weights closest to zero. Free, blind to the text, and the first to break down.",
        paper=papers.MAGNITUDE,
        score="magnitude",
    )
)
PRESETS.add(
    Preset(
        name="wanda",
        title="Wanda",
        explanation="Weight times the norm of its input: one pass over some text, no update, hard to beat at 50 %.",
        paper=papers.WANDA,
        score="wanda",
    )
)
PRESETS.add(
    Preset(
        name="sparsegpt",
        title="SparseGPT",
        explanation="Chooses with the inverse Hessian and lets the weights that stay make up for those that go.",
        paper=papers.SPARSEGPT,
        score="sparsegpt",
        update="obs",
    )
)

assert all(choice in AXES[axis] for preset in PRESETS.values() for axis, choice in preset.choices.items())

"""Pruners that a person picks by name: each is one choice on the axes, nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from engine.pruning import allocations, papers, refinements, scores, updates  # noqa: F401  (importing them fills the registries)
from engine.pruning.axes import AXES
from engine.registry import Method, Registry


@dataclass(frozen=True, kw_only=True)
class Preset(Method):
    """A named choice of score, update and refinement.

    Attributes:
        pattern: the pattern that it is taken with where neither a pattern nor a sparsity is asked for; None
            for unstructured.
    """

    score: str
    update: str = "none"
    refinement: str = "none"
    pattern: str | None = None

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
        helps="As the reference to beat, and where there is no text to calibrate on.",
        paper=papers.MAGNITUDE,
        score="magnitude",
    )
)
PRESETS.add(
    Preset(
        name="wanda",
        title="Wanda",
        explanation="Weight times the norm of its input: one pass over some text, no update, hard to beat at 50 %.",
        helps="First choice up to 50 %, and the base that most top-ups build on.",
        paper=papers.WANDA,
        score="wanda",
    )
)
PRESETS.add(
    Preset(
        name="ria",
        title="RIA",
        explanation="A weight's share of its row and of its column, times how active its input is: no neuron is cut off.",
        helps="Like Wanda, often a little better; for N:M together with the channel permutation.",
        paper=papers.RIA,
        score="ria",
    )
)
PRESETS.add(
    Preset(
        name="stochria",
        title="StochRIA",
        explanation="RIA that compares each weight with a random tenth of its row and column only.",
        helps="To learn how little of the layer the comparison needs; try several seeds.",
        paper=papers.SYMMETRIC,
        score="stochria",
    )
)
PRESETS.add(
    Preset(
        name="symwanda",
        title="SymWanda",
        explanation="Wanda seen from both sides: a weight counts by the strength of its input and of its output.",
        helps="Where whole rows differ in importance; the form can be set, from input alone to relative importance.",
        paper=papers.SYMMETRIC,
        score="symwanda",
    )
)
PRESETS.add(
    Preset(
        name="multiflow",
        title="MultiFlow",
        explanation="A weight counts by how much signal flows through the two neurons that it joins.",
        helps="As a third view beside magnitude and Wanda; NeuroAL was published over it too.",
        paper=papers.MULTIFLOW,
        score="multiflow",
    )
)
PRESETS.add(
    Preset(
        name="sparsegpt",
        title="SparseGPT",
        explanation="Chooses with the inverse Hessian and lets the weights that stay make up for those that go.",
        helps="From 50 % on and for N:M; it takes about twice Wanda's time. In APT's letters this is SS.",
        paper=papers.SPARSEGPT,
        score="sparsegpt",
        update="obs",
    )
)
PRESETS.add(
    Preset(
        name="apt-sm",
        title="APT-SM",
        explanation="SparseGPT's choice of weights, and then the best possible values for all that stay, solved jointly for each row.",
        helps="At 60 % and more, where SparseGPT's one-way update falls short; it takes the longest of all.",
        paper=papers.APT,
        score="sparsegpt",
        update="mrp",
    )
)
PRESETS.add(
    Preset(
        name="apt-mm",
        title="APT-MM",
        explanation="N:M with both halves joint: the set to remove from each group is weighed as a whole, and the rest is solved at once.",
        helps="For 2:4 and its like. The sets of different groups are weighed apart, so APT-SM with the same pattern can be as good.",
        paper=papers.APT,
        score="joint",
        update="mrp",
        pattern="2:4",
    )
)
PRESETS.add(
    Preset(
        name="apt-ms",
        title="APT-MS",
        explanation="N:M with sets weighed as a whole on the running weights, and SparseGPT's sequential update.",
        helps="For 2:4, at nearly SparseGPT's price.",
        paper=papers.APT,
        score="joint",
        update="obs",
        pattern="2:4",
    )
)
PRESETS.add(
    Preset(
        name="wanda-dsnot",
        title="Wanda + DSnoT",
        explanation="Wanda's mask, then weights are swapped in each row until its expected error is gone. No weight changes its value.",
        helps="From 60 % on, where updating weights is not wanted; too many swaps harm narrow models.",
        paper=papers.DSNOT,
        score="wanda",
        refinement="dsnot",
    )
)
PRESETS.add(
    Preset(
        name="ria-r2-dsnot",
        title="RIA + R2-DSnoT",
        explanation="RIA's mask within rows, then swaps that also look at a weight's share of its row and column.",
        helps="As Wanda + DSnoT, with relative importance on both sides.",
        paper=papers.SYMMETRIC,
        score="ria",
        refinement="r2-dsnot",
    )
)

assert all(choice in AXES[axis] for preset in PRESETS.values() for axis, choice in preset.choices.items())

"""Pruners: named choices of a score, an update and a refinement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.pruning import allocations, papers, refinements, scores, updates  # noqa: F401  (importing them fills the registries)
from engine.pruning.axes import AXES
from engine.pruning.pattern_choices import LAYOUTS
from engine.registry import Method, Registry


@dataclass(frozen=True, kw_only=True)
class Preset(Method):
    """A named choice of score, update and refinement.

    Attributes:
        bias: the choice for the biases if the method is published with one, None to leave it open.
        pattern: the pattern to use if neither a pattern nor a sparsity is requested; None for unstructured.
    """

    score: str
    update: str = "none"
    refinement: str = "none"
    bias: str | None = None
    pattern: str | None = None

    @property
    def choices(self) -> dict[str, str]:
        """The recipe's fields that the preset sets."""
        own = {} if self.bias is None else {"bias": self.bias}
        return {"score": self.score, "update": self.update, "refinement": self.refinement} | own


PRUNER_FIELDS = ("score", "update", "refinement", "bias")
"""The fields that a preset can set."""
PRESETS: Registry[Preset] = Registry("pruner")


def preset_of(fields: Mapping[str, str]) -> str | None:
    """Return the preset that makes the same choices as these fields, None if there is none."""
    return next(
        (preset.name for preset in PRESETS.values() if preset.choices.items() <= fields.items()), None
    )


PRESETS.add(
    Preset(
        name="magnitude",
        title="Magnitude",
        explanation="The classic: removes the weights closest to zero. It is free, ignores the text, and is "
        "the first to break down.",
        helps="As a baseline, or if there is no calibration text.",
        paper=papers.MAGNITUDE,
        score="magnitude",
    )
)
PRESETS.add(
    Preset(
        name="wanda",
        title="Wanda",
        explanation="Weight magnitude times the norm of its input: one pass over some text, no weight "
        "update, hard to beat at 50 %.",
        helps="First choice up to 50 %, and the base for most allocations and refinements.",
        paper=papers.WANDA,
        score="wanda",
    )
)
PRESETS.add(
    Preset(
        name="ria",
        title="RIA",
        explanation="A weight's share of its row and column, scaled by how active its input is. No neuron "
        "loses all of its weights.",
        helps="Like Wanda, often slightly better. For N:M, combine it with the channel permutation.",
        paper=papers.RIA,
        score="ria",
    )
)
PRESETS.add(
    Preset(
        name="stochria",
        title="StochRIA",
        explanation="RIA that compares each weight only with a random tenth of its row and column.",
        helps="To learn how little of the layer the comparison needs. Try several seeds.",
        paper=papers.SYMMETRIC,
        score="stochria",
    )
)
PRESETS.add(
    Preset(
        name="symwanda",
        title="SymWanda",
        explanation="Wanda from both sides: rates a weight by the strength of its input plus that of its "
        "output (the family's general form, both parts with the weight 1).",
        helps="As an alternative to Wanda. The form can be set, from the input alone to relative importance, "
        "and so can the comparison group.",
        paper=papers.SYMMETRIC,
        score="symwanda",
    )
)
PRESETS.add(
    Preset(
        name="stade",
        title="STADE",
        explanation="Wanda with the spread of an input in place of its size; the biases replace what the "
        "removed weights contributed on average.",
        helps="Where inputs have large means, in models whose linears have biases or can get them.",
        paper=papers.STADE,
        score="stade",
        bias="compensate",
    )
)
PRESETS.add(
    Preset(
        name="multiflow",
        title="MultiFlow",
        explanation="Rates a weight by how much signal flows through the two neurons that it connects. This "
        "is NeuroAL's variant, which compares within rows.",
        helps="As an alternative to magnitude and Wanda. The original compares within whole linears and "
        "gives each a budget from global magnitudes: choose that allocation and group.",
        paper=papers.MULTIFLOW,
        score="multiflow",
    )
)
PRESETS.add(
    Preset(
        name="sparsegpt",
        title="SparseGPT",
        explanation="Chooses weights by the inverse Hessian and lets the remaining weights compensate for "
        "the removed ones.",
        helps="From 50 % on, and for N:M. Takes about twice as long as Wanda. In APT's notation this is SS.",
        paper=papers.SPARSEGPT,
        score="sparsegpt",
        update="obs",
    )
)
PRESETS.add(
    Preset(
        name="apt-sm",
        title="APT-SM",
        explanation="SparseGPT's choice of weights, in its sequence, then the best possible values for all "
        "remaining weights, solved jointly for each row from the dense weights.",
        helps="At 60 % and more, where SparseGPT's one-way update falls short. The slowest pruner.",
        paper=papers.APT,
        score="sparsegpt",
        update="mrp",
    )
)
PRESETS.add(
    Preset(
        name="apt-mm",
        title="APT-MM",
        explanation="N:M with both steps joint: the set to remove from each group is chosen as a whole, on "
        "the weights as updated so far, and the remaining weights are solved jointly.",
        helps="For 2:4 and similar patterns. APT-SM with the same pattern can be as good.",
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
        explanation="N:M with sets chosen as a whole on the weights as updated so far, and SparseGPT's "
        "sequential update.",
        helps="For 2:4, at nearly the cost of SparseGPT.",
        paper=papers.APT,
        score="joint",
        update="obs",
        pattern="2:4",
    )
)
PRESETS.add(
    Preset(
        name="admm",
        title="ADMM",
        explanation="Removes the weights with the lowest Wanda scores a few at a time, while the remaining "
        "ones move towards their optimal values.",
        helps="At every sparsity, also for N:M. Takes a few times as long as Wanda.",
        paper=papers.ADMM,
        score="wanda",
        update="admm",
    )
)
PRESETS.add(
    Preset(
        name="thanos",
        title="Thanos",
        explanation="Removes the lowest Wanda scores of a block of columns in one optimal step, then scores "
        "the columns that are left again.",
        helps="Between SparseGPT and APT, in quality and in time.",
        paper=papers.THANOS,
        score="wanda",
        update="thanos",
    )
)
PRESETS.add(
    Preset(
        name="alps",
        title="ALPS",
        explanation="Lets the mask of the largest scaled weights follow the least squares until it no longer "
        "changes, then fits the remaining weights.",
        helps="As an alternative to ADMM, at three times its time.",
        paper=papers.ALPS,
        score="wanda",
        update="alps",
    )
)
PRESETS.add(
    Preset(
        name="wanda-dsnot",
        title="Wanda + DSnoT",
        explanation="Wanda's mask, then swaps within each row until its expected error is close to zero. No "
        "weight changes its value.",
        helps="From 60 % on, if weights should not be updated. Too many swaps harm narrow models.",
        paper=papers.DSNOT,
        score="wanda",
        refinement="dsnot",
    )
)
PRESETS.add(
    Preset(
        name="wanda-sparseswaps",
        title="Wanda + SparseSwaps",
        explanation="Wanda's mask, then the best exchange of two weights in each row, again and again, until "
        "none lowers the error of the row's output. No weight changes its value.",
        helps="At every sparsity, if weights should not be updated. Slower than DSnoT, and far better.",
        paper=papers.SPARSESWAPS,
        score="wanda",
        refinement="sparseswaps",
    )
)
PRESETS.add(
    Preset(
        name="wanda-sparseswaps-mrp",
        title="Wanda + SparseSwaps + MRP",
        explanation="Wanda's mask, refined by SparseSwaps, then the best possible values for all remaining "
        "weights. A combination of this project's, not of a paper.",
        helps="From 60 % on, if quality matters more than time.",
        paper=papers.SPARSESWAPS,
        score="wanda",
        update="mrp",
        refinement="sparseswaps",
    )
)
PRESETS.add(
    Preset(
        name="ria-r2-dsnot",
        title="RIA + R2-DSnoT",
        explanation="RIA's mask within rows, then swaps that also consider a weight's share of its row and "
        "column.",
        helps="Like Wanda + DSnoT, with relative importance in both steps.",
        paper=papers.SYMMETRIC,
        score="ria",
        refinement="r2-dsnot",
    )
)
PRESETS.add(
    Preset(
        name="formula",
        title="Formula",
        explanation="A score of your own, written as a formula such as abs(W) * a ** 0.5.",
        helps="To try an idea. For a weight update or a mask refinement, choose the score formula instead.",
        score="formula",
    )
)

# A wrong name would otherwise surface only when someone chooses the preset.
assert all(
    choice in (AXES | LAYOUTS)[field]
    for preset in PRESETS.values()
    for field, choice in preset.choices.items()
)

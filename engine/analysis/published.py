"""Published perplexities next to measured ones: what the papers report for a model, a method and a sparsity.

The figures are in `assets/published.json`, each with its source. One belongs to a run if the model, the
pruner with its default parameters, the allocation, the comparison group and the sparsity are the same. If the
texts or their windows differ, it is shown with what differs: the two numbers then do not measure the same.
Literature values are never mixed with measured ones: they are in no chart and no ranking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from engine.corpora.named import NAMED
from engine.events import WindowsReady
from engine.numbers import listed, perplexity, signed
from engine.pruning.patterns import UNSTRUCTURED
from engine.pruning.presets import PRESETS, PRUNER_FIELDS
from engine.recipe import Recipe, with_allocation
from engine.record import RunRecord
from engine.record.outline import Outline

FILE = Path(__file__).parents[2] / "assets" / "published.json"


class Source(BaseModel):
    """Where figures were read: a title for people, and the address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    link: str


class Figure(BaseModel):
    """A published perplexity and its protocol.

    Attributes:
        model: a key of the file's `models`.
        method: the name of a preset; its parameters and its comparison group are the defaults.
        corpus, calibration: names of corpora.
        length: tokens per window, for calibration and evaluation.
        samples: number of calibration windows.
        source: a key of the file's `sources`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelt key fails

    model: str
    method: str
    allocation: str = "uniform"
    pattern: str
    sparsity: float = Field(gt=0, lt=1)
    corpus: str
    length: int = Field(gt=0)
    calibration: str
    samples: int = Field(gt=0)
    perplexity: float = Field(gt=1)
    source: str

    @cached_property
    def recipe(self) -> Recipe:
        """The methods and the sparsity as a recipe, with all other fields at their defaults."""
        fields = {"pruner": self.method, "allocation": self.allocation, "pattern": self.pattern}
        return Recipe.build(fields | ({"sparsity": self.sparsity} if self.pattern == UNSTRUCTURED else {}))


class Literature(BaseModel):
    """The content of the data file: hub ids by model, sources by key, and the figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[str, tuple[str, ...]]
    sources: dict[str, Source]
    figures: tuple[Figure, ...]


@cache
def literature() -> Literature:
    """Return the published figures."""
    return Literature.model_validate(json.loads(FILE.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Published:
    """A published figure next to a measured perplexity of the same model, method and sparsity.

    Attributes:
        source: where it was published.
        differences: what differs in how the two were measured: `2,048-token windows; yours has 512`.
    """

    figure: Figure
    source: Source
    measured: float
    differences: tuple[str, ...]

    @property
    def matches(self) -> bool:
        """Whether both were measured in the same way, as far as the source says how."""
        return not self.differences

    @property
    def method(self) -> str:
        """The method in words: `Wanda with OWL`."""
        return f"{PRESETS[self.figure.method].title}{with_allocation(self.figure.allocation)}"

    @property
    def words(self) -> str:
        """Both in words, without a full stop."""
        value = f"published: {perplexity(self.figure.perplexity)} ({self.method}; {self.source.title})"
        if self.matches:
            return f"{value}; measured: {perplexity(self.measured)}, {self.difference}"
        return f"{value} with {listed(self.differences)}, so it is no reference for this run"

    @property
    def sentence(self) -> str:
        """`words` as a sentence."""
        return f"{self.words[0].upper()}{self.words[1:]}."

    @property
    def difference(self) -> str:
        """The measured perplexity relative to the published one: `+1.2 %`."""
        return f"{signed(100 * (self.measured / self.figure.perplexity - 1))} %"


def published(record: RunRecord | Outline) -> tuple[Published, ...]:
    """Return the published figures for a run's model, method and sparsity: those measured like one of its own
    perplexities, otherwise the ones with the fewest differences and the most similar windows; none for models
    without figures.
    """
    recipe = record.recipe
    if recipe is None or record.state != "finished":
        return ()
    candidates = [figure for figure in literature().figures if _is_same_pruning(figure, recipe)]
    found: dict[tuple[int, int], list[Published]] = {}
    for figure in candidates:
        for windows, value in _measured(record):
            differences = _differences(figure, record, windows)
            one = Published(figure, literature().sources[figure.source], value, differences)
            apart = len(differences), abs(figure.length - windows.length)
            found.setdefault(apart, []).append(one)
    return tuple(found[min(found)]) if found else ()


def _is_same_pruning(figure: Figure, recipe: Recipe) -> bool:
    if recipe.model not in literature().models[figure.model]:
        return False
    # A model's default dtype and device do not matter; everything that decides the mask and weights does.
    fields = (*PRUNER_FIELDS, "pattern", "group", "permutation", "sparsity", "allocation")
    theirs = figure.recipe
    return theirs.settings == recipe.settings and all(
        getattr(theirs, name) == getattr(recipe, name) for name in fields
    )


def _measured(record: RunRecord | Outline) -> Iterator[tuple[WindowsReady, float]]:
    """Yield the windows of each evaluation text and the pruned perplexity on it."""
    if isinstance(record, RunRecord):
        for windows, evaluation in zip(record.protocol.evaluations, record.evaluations, strict=False):
            yield windows, evaluation.pruned.perplexity
    elif record.protocol.evaluation is not None and record.pruned is not None:
        yield record.protocol.evaluation, record.pruned.perplexity


def _differences(figure: Figure, record: RunRecord | Outline, windows: WindowsReady) -> tuple[str, ...]:
    """Return what differs in how a figure and a run's perplexity on some windows were measured."""
    recipe, calibration = record.recipe, record.protocol.calibration
    assert recipe is not None, "checked by the caller"
    drawn = calibration.length if calibration else windows.length
    evaluation = [
        ("{}", _title(figure.corpus), _title(windows.corpus)),
        ("{}-token windows", f"{figure.length:,}", f"{windows.length:,}"),
    ]
    statistics = [
        ("calibration on {}", _title(figure.calibration), _title(recipe.calibration)),
        ("{} calibration windows", str(figure.samples), str(recipe.samples)),
        # Named once if both texts are cut alike, as they are unless one consists of token ids.
        ("{}-token calibration windows", f"{figure.length:,}", f"{drawn:,}"),
    ]
    if drawn == windows.length:
        statistics.pop()
    if not figure.recipe.reads_text:
        statistics = []
    return tuple(
        f"{words.format(theirs)} (yours: {ours})"
        for words, theirs, ours in (*evaluation, *statistics)
        if theirs != ours
    )


def _title(corpus: str) -> str:
    return NAMED[corpus].title if corpus in NAMED else Path(corpus).name

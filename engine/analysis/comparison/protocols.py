"""Finished runs, grouped by the protocol under which their perplexities may be compared.

A protocol is the same model, evaluation windows (by fingerprint), number type, and the same amount of the
same calibration text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.recipe import Recipe
from engine.record import is_imported
from engine.record.outline import Outline


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with a perplexity.

    Attributes:
        own: whether it was computed here, rather than bundled or imported.
    """

    key: str
    recipe: Recipe
    record: Outline
    own: bool

    @property
    def imported(self) -> bool:
        """Whether it was computed elsewhere and imported."""
        return is_imported(self.key)

    @property
    def perplexity(self) -> float:
        assert self.record.pruned is not None, "`finished_runs` only takes evaluated runs"
        return self.record.pruned.perplexity

    @property
    def dense(self) -> float:
        assert self.record.dense is not None, "`finished_runs` only takes evaluated runs"
        return self.record.dense.perplexity

    @property
    def ratio(self) -> float:
        assert self.record.ratio is not None, "`finished_runs` only takes evaluated runs"
        return self.record.ratio


def finished_runs(runs: Iterable[tuple[Outline | None, bool]]) -> list[FinishedRun]:
    """Return the finished runs that have a perplexity.

    Args:
        runs: their outlines, each with whether it was computed here.
    """
    return [
        FinishedRun(str(record.key), record.recipe, record, own)
        for record, own in runs
        if record is not None
        and record.state == "finished"
        and record.recipe is not None
        and record.pruned is not None  # None without an evaluation text
        and record.ratio is not None
    ]


@dataclass(frozen=True)
class Protocol:
    """What a perplexity was measured on, and what the pruner was calibrated on.

    Only points of one protocol belong in one chart.

    Attributes:
        identity: the model's, see `Recipe.model_identity`; the same GGUF file is the same model under any
            path.
        model: its name without directories, for the title.
        revision: of the model.
        evaluation: the corpus; `fingerprint` is that of the predicted tokens.
        calibration: the corpus; `text` is the fingerprint of its file if it is a file.
        samples, length: number of calibration windows, and tokens per window.
    """

    identity: tuple[str, str | None]
    model: str = field(compare=False)
    revision: str | None
    dtype: str | None
    evaluation: str
    fingerprint: str
    calibration: str
    text: str
    samples: int
    length: int

    @property
    def title(self) -> str:
        """A line that two protocols share if they only differ in a file's content or a model's revision."""
        evaluation, calibration = Path(self.evaluation).name, Path(self.calibration).name
        return (
            f"{self.model} in {self.dtype} on {evaluation}, "
            f"calibrated on {self.samples} × {self.length} tokens of {calibration}"
        )


def protocol(run: FinishedRun) -> Protocol:
    """Return the protocol of a run."""
    recipe, record = run.recipe, run.record
    evaluation, calibration = record.protocol.evaluation, record.protocol.calibration
    return Protocol(
        recipe.model_identity,
        recipe.model_name,
        recipe.revision,
        record.protocol.dtype,  # resolved; the recipe may say `auto`
        evaluation.corpus if evaluation else "",
        evaluation.fingerprint if evaluation else "",
        recipe.calibration,
        recipe.digests.get("calibration", ""),
        recipe.samples,
        calibration.length if calibration else recipe.length or 0,  # the recipe's may be None
    )


def by_protocol(runs: Iterable[FinishedRun]) -> dict[Protocol, list[FinishedRun]]:
    """Return the runs of each protocol in their given order, the largest group first."""
    groups: dict[Protocol, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(protocol(run), []).append(run)
    # `reverse` keeps the sort stable: groups of equal size stay in their order.
    return dict(sorted(groups.items(), key=lambda item: len(item[1]), reverse=True))


def titles(protocols: Iterable[Protocol]) -> dict[str, Protocol]:
    """Return the protocols by unique titles.

    Titles that would be equal get the start of the evaluation text's fingerprint, of the model's revision and
    of the calibration file's fingerprint.
    """
    known = list(protocols)
    ambiguous = {one.title for one in known if sum(other.title == one.title for other in known) > 1}
    return {
        f"{one.title} [{one.fingerprint[:6]} {(one.revision or '')[:6]} {one.text[:6]}]"
        if one.title in ambiguous
        else one.title: one
        for one in known
    }

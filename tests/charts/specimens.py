"""Measurements of one linear for tests of charts and pages, computed by the engine from a random weight."""

from __future__ import annotations

import torch

from engine.analysis.microscope.decision import Decision
from engine.analysis.microscope.findings import row_errors, sample_groups, score_distribution, spectrum
from engine.analysis.microscope.picture import picture
from engine.analysis.microscope.types import Picture, Scores, Spectrum, Study
from engine.pruning.patterns import Group, Pattern, Unstructured


class Sample:
    """A random weight `[rows, columns]`, pruned by its scores in a pattern."""

    def __init__(
        self,
        rows: int = 12,
        columns: int = 8,
        pattern: Pattern | None = None,
        sparsity: float = 0.5,
    ) -> None:
        generator = torch.Generator().manual_seed(rows + columns)
        self.pattern = pattern or Unstructured(Group.ROW)
        self.dense = torch.randn(rows, columns, generator=generator)
        self.inputs = torch.randn(40, columns, generator=generator) * torch.linspace(0.5, 3, columns)
        self.norms = self.inputs.norm(dim=0)
        self.scores = self.dense.abs() * self.norms
        selection = self.pattern.select(self.scores, sparsity)
        self.keep, self.ties = selection.keep, selection.ties
        self.pruned = self.dense * self.keep

    def picture(self, rows: tuple[int, int] | None = None, columns: tuple[int, int] | None = None) -> Picture:
        return picture(self.dense, self.pruned, self.keep, rows, columns)

    def spectrum(self) -> Spectrum:
        return spectrum(self.dense, self.pruned)

    def score_distribution(self, keep: torch.Tensor | None = None, *, running: bool = False) -> Scores:
        return score_distribution(
            Decision(self.scores, self.keep, self.ties),
            self.keep if keep is None else keep,
            self.pattern,
            running=running,
        )

    def study(self) -> Study:
        lost = row_errors(self.inputs, self.dense, self.pruned, self.keep)
        return Study(
            norms=self.norms.numpy(),
            scores=self.score_distribution(),
            unscored="",
            lost=lost.worst,
            median_error=lost.median,
            error=lost.error,
            groups=sample_groups(self.dense, self.keep, self.pattern),
            tokens=1024,
            sampled=len(self.inputs),
            notes=(),
            seconds=0.1,
        )

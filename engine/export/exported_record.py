"""The record of a run as it leaves the program: with what papers report for the same pruning next to it.

The store's own record is the fold of the run's events alone; what papers report may be extended later.
"""

from __future__ import annotations

from engine.analysis.published import published
from engine.events import Facts
from engine.record import RunRecord


class PublishedFigure(Facts):
    """A published perplexity for the model, method and sparsity of a run.

    Attributes:
        method: its title, with the allocation.
        source, link: where it was published.
        measured: the run's perplexity that it belongs to.
        differences: what differs in how the two were measured; if nothing does, they can be compared.
    """

    perplexity: float
    method: str
    source: str
    link: str
    measured: float
    differences: tuple[str, ...] = ()


class ExportedRecord(RunRecord):
    """A record with the published figures."""

    published: tuple[PublishedFigure, ...] = ()


def exported(record: RunRecord) -> RunRecord:
    """Return a record for a file or another program: an `ExportedRecord` if there are published figures."""
    figures = tuple(
        PublishedFigure(
            perplexity=one.figure.perplexity,
            method=one.method,
            source=one.source.title,
            link=one.source.link,
            measured=one.measured,
            differences=one.differences,
        )
        for one in published(record)
    )
    if not figures:
        return record
    fields = {name: getattr(record, name) for name in RunRecord.model_fields}
    return ExportedRecord.model_construct(**fields, published=figures)

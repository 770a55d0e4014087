"""The report of a run: a pure function of its record to one HTML file, about as large as the drawing library
that it contains. The same record gives the same file.
"""

from __future__ import annotations

from engine.charts.report.run_section import run_section
from engine.charts.report.template import render
from engine.record import RunRecord


def report(record: RunRecord) -> str:
    """Return a run as one self-contained HTML file.

    Raises:
        ValueError: the record has no recipe or no model, so there is nothing to report.
    """
    run = run_section(record)
    return render("run", run.figures, run=run)

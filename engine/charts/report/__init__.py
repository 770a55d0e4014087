"""What is handed out as one HTML file that opens offline: a run, a set of runs, a talk, a comparison or a
lesson, with interactive charts, the numbers with their protocol, and everything needed to reproduce and cite
the runs.
"""

from engine.charts.report.run_report import report
from engine.charts.report.runs_report import LabelledRun, expected_bytes, runs_report
from engine.charts.report.template import drawing_bytes

__all__ = ["LabelledRun", "drawing_bytes", "expected_bytes", "report", "runs_report"]

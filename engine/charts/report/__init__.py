"""A run as one HTML file that opens offline: interactive charts, the numbers with their protocol, and
everything needed to reproduce and cite the run.
"""

from engine.charts.report.page import drawing_bytes, report

__all__ = ["drawing_bytes", "report"]

"""A run as one HTML file that opens offline: its charts to move in, its numbers with their protocol, and all
it takes to repeat and to cite it.
"""

from engine.charts.report.page import drawing_bytes, report

__all__ = ["drawing_bytes", "report"]

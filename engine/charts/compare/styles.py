"""How the families of a comparison are told apart: colour, dash and marker together, always the same for the same place in the list.

Four colours that any eye tells apart on light and on dark, times six dashes: twenty-four families, of which two of one colour differ in dash and
in marker. Grey is left to the dense model.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.charts import palette

COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.PURPLE)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon")
PATTERNS = ("square-open-dot", "diamond-open-dot", "triangle-up-open-dot", "circle-open-dot", "triangle-down-open-dot")
"""Markers of N:M patterns, in the order of the patterns."""
CLIFF, OWN = "star-open", "circle-open"


@dataclass(frozen=True)
class Style:
    """One family's look."""

    colour: str
    dash: str
    marker: str


def style(place: int) -> Style:
    """The look of the family at this place."""
    return Style(COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)], MARKERS[place % len(MARKERS)])

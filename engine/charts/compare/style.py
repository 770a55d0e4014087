"""How the pruners of a comparison are told apart: colour, dash and marker, fixed by the position in the list.

Four colours that can be told apart with any colour vision, times six dashes: twenty-four styles, of which two
of the same colour differ in dash and in marker. Grey is reserved for the dense model.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.charts import palette

COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.PURPLE)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon")
PATTERNS = (
    "square-open-dot",
    "diamond-open-dot",
    "triangle-up-open-dot",
    "circle-open-dot",
    "triangle-down-open-dot",
)
"""Markers of N:M patterns, in the order of the patterns."""
CLIFF, OWN = "star-open", "circle-open"  # open, so that the mark beneath stays visible


@dataclass(frozen=True)
class Style:
    """Colour, dash and marker of one pruner."""

    colour: str
    dash: str
    marker: str


def style(place: int) -> Style:
    """Return the style for this position in the list."""
    return Style(
        COLOURS[place % len(COLOURS)],
        DASHES[place // len(COLOURS) % len(DASHES)],  # advances after each round of colours
        MARKERS[place % len(MARKERS)],  # 8 markers, 4 colours: two markers per colour, alternating
    )

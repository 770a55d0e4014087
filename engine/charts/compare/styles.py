"""How the families of a comparison are told apart: colour, dash and marker together, always the same for the same place in the list.

Four colours that any eye tells apart, times four dashes and eight markers: twenty-four families differ in at least two of the three.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.charts import palette

COLOURS = (palette.BLUE, palette.VERMILLION, palette.GREEN, palette.GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")


@dataclass(frozen=True)
class Style:
    """One family's look."""

    colour: str
    dash: str
    marker: str


def style(place: int) -> Style:
    """The look of the family at this place."""
    return Style(COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)], MARKERS[place % len(MARKERS)])

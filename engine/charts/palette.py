"""Colours, chosen once: the Okabe-Ito set for lines and bars, one blue that deepens for amounts. Both are
told apart with any kind of colour vision.

Only hues that reach a contrast of about 3:1 on the light and on the dark background are used for lines,
because a figure does not know its theme.
"""

from __future__ import annotations

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#8A8F98"

KINDS = (ORANGE, PURPLE, SKY, GREY)
"""For the kinds of weights that are never pruned, in their order."""

AMOUNT = [[0, "#DDEBF6"], [0.5, "#93C3E0"], [1, "#3A8FC4"]]
"""From little to much; light enough for dark numbers everywhere (contrast 5.2 and more with `INK`)."""
SIGNED = [[0, "#E9A06B"], [0.5, "#F5F3EE"], [1, "#6DAEDD"]]
"""From negative over nothing to positive; light enough for dark numbers everywhere as well."""
INK = "#101418"
UNDONE = "rgba(128, 128, 128, 0.13)"
"""A cell that has no value yet: there, and visibly empty on either background."""

GRID = "rgba(128, 128, 128, 0.22)"
TRANSPARENT = "rgba(0, 0, 0, 0)"

STAYS = [[0, "rgba(46, 139, 201, 0.13)"], [1, "rgba(46, 139, 201, 1)"]]
GOES = [[0, "rgba(213, 94, 0, 0.5)"], [1, "rgba(213, 94, 0, 1)"]]
"""From weak to strong, fading into whatever the background is: weights that stay, and those that go (which
are also drawn smaller).
"""

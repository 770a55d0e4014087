"""Colours, chosen once: the Okabe-Ito set for lines and bars, shades of one blue for amounts.

Both can be told apart with any kind of colour vision. Lines only use hues with a contrast of about 3:1 on the
light and on the dark background, because a figure does not know the theme.
"""

from __future__ import annotations

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
# not Okabe-Ito: for what is neutral, as the dense model
GREY = "#8A8F98"

KINDS = (ORANGE, PURPLE, SKY, GREY)
"""For the kinds of weights that are never pruned, in this order."""

AMOUNT = [[0, "#DDEBF6"], [0.5, "#93C3E0"], [1, "#3A8FC4"]]
"""From low to high; light enough everywhere for dark numbers (contrast of at least 5.2 with `INK`)."""
SIGNED = [[0, "#E9A06B"], [0.5, "#F5F3EE"], [1, "#6DAEDD"]]
"""From negative over zero to positive; also light enough everywhere for dark numbers."""
INK = "#101418"
UNDONE = "rgba(128, 128, 128, 0.13)"
"""A cell without a value yet: visible, and visibly empty, on either background."""

GRID = "rgba(128, 128, 128, 0.22)"
TRANSPARENT = "rgba(0, 0, 0, 0)"

# transparency, not lightness: a pale blue would glow on a dark page
KEPT = [[0, "rgba(46, 139, 201, 0.13)"], [1, "rgba(46, 139, 201, 1)"]]
REMOVED = [[0, "rgba(213, 94, 0, 0.5)"], [1, "rgba(213, 94, 0, 1)"]]
"""From weak to strong, fading into the background: kept weights, and removed ones, which are also drawn
smaller.
"""

"""Colours can be told apart: from the page in both themes (WCAG 2.2 contrast), and from one another with any
kind of colour vision.

Colour vision deficiency is simulated in linear RGB by the matrices of Machado, Oliveira and Fernandes (2009)
at full severity; distances are CIE76 in Lab (D65), where about 10 is a difference that is seen at a glance.
Nothing rests on colour alone, so these are what makes a chart quick to read.
"""

import tomllib
from itertools import combinations, pairwise

import numpy as np
import pytest

from engine.charts import palette
from engine.models.identity import ROOT

THEMES = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
BACKGROUNDS = {"light": THEMES["light"]["backgroundColor"], "dark": THEMES["dark"]["backgroundColor"]}

LINES = {"blue": palette.BLUE, "vermillion": palette.VERMILLION, "green": palette.GREEN, "grey": palette.GREY}
"""The colours of lines, bars and markers."""

VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    """Return the linear RGB, from 0 to 1, of `#rrggbb`."""
    share = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast ratio, from 1 to 21."""
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE Lab (D65) of linear RGB."""
    xyz = (
        np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        @ np.clip(rgb, 0, 1)
        / [0.9505, 1, 1.089]
    )
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def distance(one: str, other: str, vision: str) -> float:
    return float(np.linalg.norm(lab(VISION[vision] @ linear(one)) - lab(VISION[vision] @ linear(other))))


def test_the_measures_themselves() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01), (
        "the usual example of a grey that just fails 4.5"
    )
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    assert distance("#ff0000", "#00ff00", "usual") > 3 * distance("#cc4400", "#447700", "deuteranopia")


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("name", LINES)
def test_lines_stand_out_from_the_page(name: str, theme: str) -> None:
    assert contrast(LINES[name], BACKGROUNDS[theme]) >= 3, "WCAG 1.4.11"


@pytest.mark.parametrize("vision", VISION)
def test_lines_can_be_distinguished_with_any_colour_vision(vision: str) -> None:
    for (one, first), (other, second) in combinations(LINES.items(), 2):
        assert distance(first, second, vision) >= 12, f"{one} and {other}"


@pytest.mark.parametrize("vision", VISION)
def test_kinds_of_weights_can_be_distinguished_from_their_neighbours(vision: str) -> None:
    for first, second in pairwise(palette.KINDS):
        assert distance(first, second, vision) >= 12


def test_numbers_can_be_read_on_every_amount() -> None:
    assert min(contrast(palette.INK, colour) for _, colour in palette.AMOUNT) >= 4.5, "WCAG 1.4.3"


@pytest.mark.parametrize("vision", VISION)
def test_more_is_darker_with_any_colour_vision(vision: str) -> None:
    lightness = [lab(VISION[vision] @ linear(colour))[0] for _, colour in palette.AMOUNT]
    assert all(before - after > 10 for before, after in pairwise(lightness))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read(theme: str) -> None:
    look = THEMES[theme]
    for background in (
        look["backgroundColor"],
        look["secondaryBackgroundColor"],
        look["sidebar"]["backgroundColor"],
    ):
        assert contrast(look["textColor"], background) >= 7
        assert contrast(look["linkColor"], background) >= 4.5
    assert contrast("#ffffff", look["primaryColor"]) >= 4.5, "the words of a button"
    assert contrast(look["primaryColor"], look["backgroundColor"]) >= 3, "the button itself"

"""The ends and units of axes."""

from __future__ import annotations

import math

import pytest

from engine.charts.chart import FINE, ceiling, largest, unit_of


def test_the_largest_is_a_finite_number():
    assert largest([0.1, None, math.inf, math.nan, 0.3]) == 0.3
    assert largest([math.inf, None]) == 0


@pytest.mark.parametrize(
    ("top", "unit", "words"),
    [
        (1.2e-3, 1e-3, "in 10⁻³"),
        (1e-3, 1e-3, "in 10⁻³"),
        (4.0, 1, "no unit"),
        (0, 1, "no unit"),
        (math.inf, 1, "no unit"),
    ],
)
def test_amounts_are_drawn_in_a_power_of_ten(top, unit, words):
    assert unit_of(top) == (pytest.approx(unit), words)


@pytest.mark.parametrize(
    ("value", "end"),
    [(0.32, 0.5), (0.5, 0.5), (0.0006, 0.001), (7, 10), (0, 1), (math.inf, 1), (math.nan, 1)],
)
def test_ceiling(value, end):
    assert ceiling(value) == pytest.approx(end)


def test_a_finer_ceiling():
    assert ceiling(0.53, FINE) == pytest.approx(0.6)

"""Number formats."""

from __future__ import annotations

import math

import pytest

from engine.charts import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (48.123, "48.12"),
        (1204.4, "1,204"),
        (312_345, "3.1 × 10⁵"),
        (math.inf, "∞"),
        (math.nan, "undefined"),
        (None, "—"),
    ],
)
def test_perplexity(value, text):
    assert numbers.perplexity(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.1432, "× 1.14"), (4321.0, "× 4,321"), (math.inf, "× ∞"), (None, "—")]
)
def test_ratio(value, text):
    assert numbers.ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.034, "0.034 s"),
        (0.34, "0.34 s"),
        (3.42, "3.4 s"),
        (12.4, "12 s"),
        (125, "2 min 5 s"),
        (5460, "1 h 31 min"),
        (None, "—"),
    ],
)
def test_seconds(value, text):
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512"), (1800, "1.8 thousand"), (1_840_000, "1.84 million"), (7e9, "7 billion")]
)
def test_count(value, text):
    assert numbers.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(7_400_000, "7.4 MB"), (1.24e9, "1.2 GB"), (None, "—")])
def test_size(value, text):
    assert numbers.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.00031, "3.1 × 10⁻⁴"), (0, "0"), (9.96e-5, "1.0 × 10⁻⁴"), (-math.inf, "-∞")]
)
def test_scientific(value, text):
    assert numbers.scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0701e-3, "1.070 × 10⁻³"), (9.9996e-4, "1.000 × 10⁻³"), (-9.9996e-4, "-1.000 × 10⁻³")],
)
def test_scientific_with_more_digits(value, text):
    assert numbers.scientific(value, 3) == text


@pytest.mark.parametrize(("share", "text"), [(0.5, "50.0 %"), (-0.125, "−12.5 %"), (None, "—")])
def test_percent(share, text):
    assert numbers.percent(share) == text


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 3], "0 and 3"),
        ([0, 3, 7], "0, 3 and 7"),
        (range(9), "0, 1, 2, 3, 4 and 4 more"),
    ],
)
def test_listed(items, text):
    assert numbers.listed(items) == text


def test_the_largest_is_a_finite_number():
    assert numbers.largest([0.1, None, math.inf, math.nan, 0.3]) == 0.3
    assert numbers.largest([math.inf, None]) == 0


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
    assert numbers.unit_of(top) == (pytest.approx(unit), words)


@pytest.mark.parametrize(
    ("value", "end"),
    [(0.32, 0.5), (0.5, 0.5), (0.0006, 0.001), (7, 10), (0, 1), (math.inf, 1), (math.nan, 1)],
)
def test_ceiling(value, end):
    assert numbers.ceiling(value) == pytest.approx(end)


def test_a_finer_ceiling():
    assert numbers.ceiling(0.53, numbers.FINE) == pytest.approx(0.6)

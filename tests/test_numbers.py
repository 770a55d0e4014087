"""Number formats."""

from __future__ import annotations

import math

import pytest

from engine import numbers


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
    [
        (1.0701e-3, "1.070 × 10⁻³"),
        (9.9996e-4, "1.000 × 10⁻³"),
        (-9.9996e-4, "-1.000 × 10⁻³"),
        (0.0999996, "0.1000"),
        (1.031, "1.031"),
        (-99.996, "-1.000 × 10²"),
        (45.678, "45.68"),
    ],
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


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0"), (0.04, "0.0"), (-0.04, "0.0"), (0.5, "+0.5"), (-0.5, "−0.5")]
)
def test_a_change_has_a_sign_unless_it_is_zero(value, text):
    assert numbers.signed(value) == text


def test_an_accuracy_has_its_error_if_there_is_one():
    assert numbers.accuracy(0.6123, 0.005) == "61.2 ± 0.5 %"
    assert numbers.accuracy(0.6123) == "61.2 %" and numbers.accuracy(None) == "—"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (12.4, "12 s"), (400, "7 min"), (5400, "1.5 h")])
def test_an_estimated_time_is_rounded(seconds, text):
    assert numbers.about(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0.6, "60%"), (0.57, "57%"), (0.625, "62.5%")])
def test_a_sparsity_in_a_title_has_no_superfluous_digits(share, text):
    assert numbers.short_percent(share) == text


def test_three_digits_of_megabytes_never_become_an_exponent():
    assert numbers.size(999_400_000) == "999 MB" and numbers.size(999_600_000) == "1.0 GB"

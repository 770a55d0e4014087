"""Dense against pruned: means, standard errors, pairs, and when a difference is clear."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from engine.evaluation.tasks.compare import compare, mean, mean_and_error, scored
from engine.events import TaskScore


def score(outcomes, task="rte", source="here", **facts) -> TaskScore:
    return scored(
        list(outcomes),
        task=task,
        metric="acc",
        available=100,
        source=source,
        harness="lm-eval 0, rte",
        **facts,
    )


def test_a_score_has_the_samples_standard_error():
    outcomes = [1, 0, 1, 1, 0, 1, 1]
    found = score(outcomes)
    assert (found.value, found.examples, found.outcomes) == (pytest.approx(5 / 7), 7, "1011011")
    assert found.stderr == pytest.approx(np.std(outcomes, ddof=1) / sqrt(7))
    assert mean_and_error([1]) == (1.0, None)


def test_the_same_examples_are_compared_pairwise():
    dense, pruned = [1, 1, 1, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 1, 1, 0]
    (row,) = compare([score(dense)], [score(pruned)])
    differences = np.subtract(pruned, dense)
    assert row.paired and row.title == "RTE" and row.chance == 0.5
    assert row.difference == pytest.approx(differences.mean())
    assert row.difference_stderr == pytest.approx(differences.std(ddof=1) / sqrt(8))


@pytest.mark.parametrize("other", [score([0, 1, 1], source="there"), score([0, 1, 1, 0])])
def test_different_examples_are_compared_as_independent_scores(other):
    dense = score([1, 1, 0])
    (row,) = compare([dense], [other])
    assert not row.paired
    assert row.difference == pytest.approx(other.value - dense.value)
    assert row.difference_stderr == pytest.approx(sqrt(dense.stderr**2 + other.stderr**2))


def test_a_pairwise_comparison_is_more_sensitive():
    """Nine of two hundred examples lost and none gained: clear in pairs, lost in the noise of the whole
    otherwise.
    """
    dense = [1] * 100 + [0] * 100
    pruned = [0] * 9 + dense[9:]
    (paired,) = compare([score(dense)], [score(pruned)])
    (separate,) = compare([score(dense)], [score(pruned, source="there")])
    assert paired.difference == pytest.approx(separate.difference) == pytest.approx(-0.045)
    assert paired.clear and not separate.clear


def test_equal_scores_and_single_examples_are_never_significant():
    (same,) = compare([score([1, 0, 1])], [score([1, 0, 1])])
    assert (same.difference, same.difference_stderr, same.clear) == (0, 0, False)
    (single,) = compare([score([1])], [score([0])])
    assert single.difference == -1 and single.difference_stderr is None and not single.clear


def test_unmeasured_tasks_are_empty():
    rows = compare([score([1, 0]), score([1, 1], task="piqa")], [score([0, 0])])
    assert [(row.task, row.pruned) for row in rows] == [("rte", 0.0), ("piqa", None)]
    whole = mean(rows)
    assert whole is not None
    assert (whole.dense, whole.pruned, whole.difference, whole.pruned_stderr, whole.clear) == (
        0.75,
        None,
        None,
        None,
        False,
    )


def test_every_task_has_the_same_weight_in_the_mean():
    dense = [score([1, 0, 1, 1]), score([1] * 9 + [0], task="arc_easy")]
    pruned = [score([0, 0, 1, 1]), score([1, 0] * 5, task="arc_easy")]
    rows = compare(dense, pruned)
    whole = mean(rows)
    assert whole is not None and whole.title == "Mean of 2" and whole.paired
    assert whole.dense == pytest.approx((0.75 + 0.9) / 2) and whole.chance == 0.375
    assert whole.difference == pytest.approx((rows[0].difference + rows[1].difference) / 2)
    assert whole.difference_stderr == pytest.approx(
        sqrt(rows[0].difference_stderr ** 2 + rows[1].difference_stderr ** 2) / 2
    )
    assert mean(rows[:1]) is None and mean([]) is None

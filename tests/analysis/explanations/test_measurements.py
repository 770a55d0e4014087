"""The explanations of a run's size, speed and zero-shot tasks: each rule and its negation."""

from __future__ import annotations

import pytest

from engine.analysis.explanations import weights
from engine.analysis.explanations.zero_shot import task_accuracy
from tests.analysis.explanations.test_rules import expect
from tests.charts.measurements import KERNELS, MILLION, SIZE, SPEED, timing
from tests.charts.test_tasks_chart import DENSE, PRUNED, score


@pytest.mark.parametrize(
    ("changed", "said", "unsaid"),
    [
        (
            {},
            [
                "the same 20 MB",
                "a bitmask and the kept values saves 37.5 %",
                "50.0 %",
                "larger than",
                "20.0 %",
            ],
            ["2:4", "takes less"],
        ),
        ({"csr": 10 * MILLION}, ["sparse rows saves 50.0 %", "not larger than dense"], ["bitmask"]),
        ({"semi_structured": 12 * MILLION}, ["the 2:4 format saves 40.0 %"], ["bitmask"]),
        (
            {"bitmask": 21 * MILLION, "csr": 30 * MILLION},
            ["No format for zeros takes less than the dense 20 MB", "the closest is a bitmask"],
            ["saves"],
        ),
    ],
)
def test_a_format_saves_something_or_not(changed, said, unsaid) -> None:
    expect(weights.sizes(SIZE.model_copy(update=changed)), said, unsaid)


def test_a_difference_in_time_is_only_one_outside_the_spread() -> None:
    said = ["no measurable difference for the prompt and 100.0 % more time for one more token"]
    expect(weights.latencies(SPEED), said, ["2:4", "less"])
    expect(weights.latencies(KERNELS), ["× 0.60 for the prompt and × 0.90 for one more token"], [])
    fast = (timing("prefill", "dense", 0.1), timing("prefill", "pruned", 0.05))
    expect(
        weights.latencies(SPEED.model_copy(update={"timings": fast})), ["50.0 % less time"], ["token", "more"]
    )
    expect(
        weights.latencies(SPEED.model_copy(update={"timings": fast[:1]})), ["No pass of the pruned"], ["%"]
    )


def test_the_tasks_tell_a_loss_from_chance() -> None:
    expect(
        task_accuracy(DENSE, PRUNED),
        [
            "In the mean over 2 tasks",
            "answers 49.5 % of",
            "the dense one 65.0 %",
            "standard error on ARC-Easy",
        ],
        ["may be chance"],
    )
    expect(
        task_accuracy(DENSE[:1], PRUNED[:1]),
        ["On RTE, the pruned model answers 59.0 %", "the dense one 60.0 %", "may be chance"],
        ["tasks,"],
    )
    expect(task_accuracy(DENSE[:1], DENSE[:1]), ["both models answer 60.0 %"], ["the dense one 60"])
    expect(task_accuracy(DENSE[:1], ()), ["60.0 %; the pruned one is not evaluated yet"], ["right"])
    expect(task_accuracy((), ()), ["No task is evaluated yet"], [])
    guessing = score("rte", [1] * 52 + [0] * 48)
    expect(task_accuracy(DENSE[:1], [guessing]), ["no better than guessing on RTE"], [])
    expect(task_accuracy(DENSE[:1], PRUNED[:1]), [], ["guessing"])

"""The explanations of several runs, of a linear and of texts: each rule and its negation."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from engine.analysis.comparison.leaderboard import leaderboard
from engine.analysis.comparison.overlap import overlap
from engine.analysis.comparison.points import points
from engine.analysis.explanations import curves, microscope, texts, two_runs
from engine.analysis.explanations.one_curve import one_curve
from engine.analysis.microscope.types import Groups, LostRow, Picture, Spectrum
from engine.evaluation.text_types import Guess, Reading, Token
from tests.analysis.comparison.records import made
from tests.analysis.explanations.records import block, run
from tests.analysis.explanations.test_rules import expect
from tests.charts.specimens import Sample


def families(*runs):
    """Families of the runs of (pruner, sparsity, perplexity); the dense perplexity is 20."""
    return points([made(value, pruner=pruner, sparsity=at) for pruner, at, value in runs])


CROSSING = [
    ("wanda", 0.5, 24.0),
    ("wanda", 0.6, 30.0),
    ("wanda", 0.7, 70.0),
    ("magnitude", 0.5, 23.0),
    ("magnitude", 0.6, 90.0),
    ("magnitude", 0.7, 900.0),
]


def test_the_curves_have_a_last_cliff_and_a_winner() -> None:
    found = families(*CROSSING)
    said = ["Wanda reaches 2 × the dense perplexity at 63.4 %", "Magnitude does at 54.1 %"]
    expect(curves.cliff_ranking(found), said, ["lower bound"])
    said += ["Wanda has the lowest perplexity from 60 % on; below, Magnitude has.", "may be noise"]
    expect(curves.perplexity_curves(found), said, ["every sparsity"])
    always = families(*[(name, at, value if name == "wanda" else 2 * value) for name, at, value in CROSSING])
    expect(curves.perplexity_curves(always), ["at every sparsity that two curves share"], ["below"])


def test_curves_without_a_cliff_say_so() -> None:
    expect(
        curves.cliff_ranking(families(("wanda", 0.5, 90.0), ("ria", 0.5, 24.0))),
        ["1 of 2 curves starts above 2 ×", "1 stay below", "The runs of RIA end before a cliff"],
        ["reaches"],
    )
    expect(curves.perplexity_curves({}), ["No pruner has a run"], [])
    grouped = points([made(30.0, pruner="wanda", pattern="2:4")])
    expect(curves.perplexity_curves(grouped), ["No pruner has a run without an N:M pattern"], [])


def test_what_noise_hides_is_said() -> None:
    repeats = [made(value, pruner="wanda", order=order) for order, value in ((0, 24.0), (1, 24.5))]
    near = points([*repeats, made(24.2, pruner="ria")])
    said = ["The noise was measured at 1 of the 1 sparsities", "at 1 of them the best two"]
    expect(curves.perplexity_curves(near), said, ["may be noise"])
    expect(curves.leaderboard(leaderboard(near, "0.5")), ["cannot be told apart"], ["The last"])
    far = points([*repeats, made(28.0, pruner="ria"), made(48.0, pruner="magnitude")])
    expect(curves.perplexity_curves(far), ["at 0 of them the best two"], [])
    expect(
        curves.leaderboard(leaderboard(far, "0.5")),
        [
            "Wanda has the lowest perplexity, × 1.20 of the dense",
            "RIA is 16.7 % above",
            "Magnitude, has × 2.00",
        ],
        ["apart"],
    )
    expect(
        curves.leaderboard(leaderboard(families(("ria", 0.5, 24.0), ("wanda", 0.5, inf)), "0.5")),
        ["Fewer than"],
        [],
    )


def test_smaller_groups_cost_more_or_not() -> None:
    runs = [
        made(value, pruner=name, pattern=shape)
        for name, shape, value in (
            ("wanda", "2:4", 40.0),
            ("wanda", "4:8", 30.0),
            ("ria", "2:4", 35.0),
            ("ria", "4:8", 36.0),
        )
    ]
    said = [
        "RIA at 2:4 (35.00) and Wanda at 4:8 (30.00)",
        "higher than at 4:8",
        "for 1 of the 2 pruners with both",
    ]
    expect(curves.pattern_ranking(points(runs)), said, [])
    expect(curves.pattern_ranking(points(runs[:1])), ["Wanda at 2:4"], ["higher"])
    expect(curves.pattern_ranking({}), ["No run with an N:M pattern"], [])


def test_two_runs_differ_or_not() -> None:
    one = run([block(0, relative_error=0.1), block(1, relative_error=0.5), block(2, relative_error=nan)])
    other = run([block(0, relative_error=0.2), block(1, relative_error=0.2), block(2, relative_error=0.3)])
    said = ["A is higher in 1 and lower in 1 of 2 blocks than B", "most in block 1: 50.0 % and 20.0 %"]
    expect(two_runs.errors((one, other), ("A", "B")), said, ["nan"])
    expect(two_runs.sparsities((one, other), ("A", "B")), ["the same value in all 3 blocks"], ["higher"])
    nothing = run([block(0, relative_error=None)])
    expect(two_runs.errors((one, nothing), ("A", "B")), ["no block for which both know"], [])
    expect(two_runs.alignments((one, other), ("A", "B")), ["the same value"], [])


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (0, ["both have kept 100.0 %; random masks", "would share only 33.3 %"]),
        (50, ["both have kept 0.0 %, less than the 33.3 %"]),
        (25, ["both have kept 33.3 %, no more than chance"]),
    ],
)
def test_an_overlap_is_compared_with_chance(shift, said) -> None:
    import torch

    keep = torch.arange(100).reshape(10, 10) % 100 < 50
    found = [overlap(0, "a.q", keep, keep.flatten().roll(shift).reshape(10, 10))]
    expect(two_runs.mask_overlap(found, "kept"), said, ["alike"])
    found.append(overlap(1, "a.k", keep, ~keep))
    if shift == 0:
        expect(
            two_runs.mask_overlap(found, "removed"),
            ["most alike in q of block 0", "least in k of block 1"],
            [],
        )
    expect(two_runs.mask_overlap([], "kept"), ["no linear"], [])


def picture(rows, columns, moved=0.0) -> Picture:
    """A picture of a weight `[4, 4]` with these numbers of removed weights."""
    empty = np.zeros((4, 4), dtype=np.float32)
    return Picture(
        (4, 4), (0, 4), (0, 4), (1, 1), empty, empty, empty, np.array(rows), np.array(columns), moved
    )


def test_a_linear_is_pruned_evenly_or_not() -> None:
    even, columns = picture([2] * 4, [2] * 4), picture([2] * 4, [4, 4, 0, 0], 0.25)
    expect(
        microscope.weight_map(even), ["50.0 %", "Every row and every column", "not been moved"], ["more from"]
    )
    expect(microscope.weight_map(columns), ["differ more from column to column", "by 25.0 %"], ["Every"])
    expect(microscope.weight_map(picture([4, 4, 0, 0], [2] * 4)), ["from row to row"], ["more from column"])
    expect(
        microscope.sparsity_profiles(even), ["Every row loses the same", "No row and no column"], ["between"]
    )
    said = ["The columns lose between 0.0 % and 100.0 %", "Nothing is left of 2 columns"]
    expect(microscope.sparsity_profiles(columns), said, ["No row"])
    alike = {"Mine": even, "Wanda": columns}
    expect(
        microscope.two_masks(alike, 0.75), ["75.0 %", "Wanda removes more unevenly", "than Mine"], ["equally"]
    )
    expect(microscope.two_masks({"Mine": even, "Wanda": even}, 1.0), ["equally unevenly"], ["more"])


@pytest.mark.parametrize(
    ("norms", "removed", "said", "unsaid"),
    [
        (
            [1, 2, 3, 4],
            [4, 3, 2, 1],
            ["keep more", "−1.00", "input, 3, does not stand out: it is 1.6"],
            ["lose more"],
        ),
        ([1, 2, 3, 40], [1, 2, 3, 4], ["lose more", "1.00", "stands out: it is 16.0"], ["keep more"]),
        ([1, 2, 3, 4], [2, 3, 1, 2], ["hardly"], ["more"]),
        ([1, 2, 3, 4], [2, 2, 2, 2], ["no relation"], ["correlation is"]),
        ([0, 0, 0, 4], [1, 2, 3, 4], ["lose more"], ["median", "inf"]),
    ],
)
def test_strong_inputs_keep_their_weights_or_not(norms, removed, said, unsaid) -> None:
    found = microscope.norms_against_sparsity(np.array(norms, dtype=float), np.array(removed), 4)
    expect(found, said, unsaid)


def test_scores_rows_and_singular_values() -> None:
    sample = Sample()
    scores, study = sample.score_distribution(), sample.study()
    expect(
        microscope.score_histogram(scores), ["compete in 12 groups", "hold both"], ["one cut", "refinement"]
    )
    expect(
        microscope.score_histogram(replace(scores, groups=1, moved=24)), ["one cut", "for 25.0 %"], ["groups"]
    )
    expect(microscope.score_histogram(replace(scores, cuts=None)), ["No weight was removed"], ["%"])
    lost = (LostRow(3, 0.4, 0.6, 0.5), LostRow(1, 0.2, 0.3, 0.5))
    said = ["Row 3 has the largest error, 40.0 %, 4.0 times", "The 2 rows shown have 90.0 %"]
    expect(microscope.worst_rows(replace(study, lost=lost, median_error=0.1)), said, [])
    expect(microscope.worst_rows(replace(study, lost=())), ["No output changed"], [])
    for pruned, said in (
        ([1.0, 0.5], ["50.0 % smaller", "about as many directions"]),
        ([3.0, 0.1], ["50.0 % larger", "fewer directions than before: the stable rank was 1.2 and is 1.0"]),
        ([1.0, 1.0], ["more directions than"]),
    ):
        expect(microscope.singular_values(Spectrum(np.array([2.0, 1.0]), np.array(pruned))), said, [])
    expect(microscope.singular_values(Spectrum(np.zeros(2), np.zeros(2))), ["is zero"], [])


def test_groups_follow_their_pattern_or_not() -> None:
    weight = np.zeros((1, 4))
    for kept, said, unsaid in (
        ((0, 1, 3, 0, 0), ["75.0 % of the 4 groups keep exactly 2 of 4", "a valid 2:4 mask"], ["keep more"]),
        ((0, 0, 3, 1, 0), ["1 group keeps more, so this is no valid 2:4 mask"], ["a valid"]),
    ):
        found = Groups(2, 4, kept, np.arange(4), False, (0, 1), weight, weight > 0)
        expect(microscope.groups(found), said, unsaid)


def token(name: str = "a", dense: float | None = 1.0, pruned: float | None = 1.0, *guesses: Guess) -> Token:
    return Token(id=1, text=name, name=name, dense=dense, pruned=pruned, guesses=guesses)


def test_predictions_agree_or_not() -> None:
    agreed = [Guess(1, "a", 0.6, 0.5), Guess(2, "b", 0.2, 0.3)]
    said = [
        "Both models expect the same token",
        "2 likeliest they share 2",
        "less likely after pruning: 60.0 % before",
    ]
    expect(texts.predictions(token("a", 1, 1, *agreed)), said, ["different"])
    other = [Guess(1, "a", 0.2, 0.3), Guess(2, "b", 0.6, 0.1)]
    expect(texts.predictions(token("a", 1, 1, *other)), ["different tokens", "more likely"], ["same"])
    expect(texts.predictions(token()), ["Nothing was predicted"], [])


def test_a_loss_is_added_to_few_tokens_or_to_none() -> None:
    tokens = [token("s", None, None), token("a", 1.0, 4.0), *[token("b", 1.0, 1.1)] * 9, token("c", 1.0, 0.5)]
    found = texts.added_losses(Reading(tokens=tuple(tokens), given=len(tokens)))
    expect(found, ["1 of 11 tokens are even likelier", "1 of them has 77 % of the added loss"], [])
    same = Reading(tokens=(tokens[0], token(), token()), given=3)
    expect(texts.added_losses(same), ["from 2.72 to 2.72", "0 of 2 tokens"], ["added loss"])
    expect(texts.added_losses(Reading(tokens=(tokens[0],) * 2, given=2)), ["No token"], ["%"])


@pytest.mark.parametrize(
    ("values", "current", "said", "unsaid"),
    [
        (
            (10.0, 12.0, 40.0),
            0.5,
            ["At 50.0 % sparsity", "is × 1.20 of", "2 × the dense one is at 70.0 %", "rises"],
            ["below"],
        ),
        ((10.0, 12.0, 11.0), 0.7, ["At 70.0 %", "All runs stay below 2 ×"], ["rises", "reaches"]),
        ((10.0, inf, 40.0), 0.5, ["too large to write", "at 70.0 %"], ["inf"]),
        ((10.0, 12.0, 40.0), 0.6, ["No run is at 60.0 % sparsity"], ["of the dense"]),
        ((nan, 12.0, 40.0), 0.5, ["no finite perplexity"], ["nan"]),
    ],
)
def test_the_line_of_perplexities_reaches_the_cliff_or_not(values, current, said, unsaid) -> None:
    expect(one_curve((0.0, 0.5, 0.7), values, values[0], current), said, unsaid)

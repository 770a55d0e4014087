"""Each rule of the explanations and its negation, on records that are made for it."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from engine.analysis.explanations import allocation, corrections, depth, linears, search, weights
from engine.analysis.explanations.explanation import MOST, explanation
from engine.analysis.explanations.of_runs import OF_RUNS
from engine.events import QUANTILES, RowSpread
from engine.recipe import Recipe
from engine.record import RunRecord
from tests.analysis.explanations.records import block, depths, errors, linear, run, tried
from tests.charts.records import infinite, record

OWL = Recipe.build(allocation="owl")
VALUE, DOWN = "self_attn.v_proj", "mlp.down_proj"


@pytest.mark.parametrize(
    ("found", "said", "unsaid"),
    [
        (
            {(0, VALUE): 0.4, (0, DOWN): 0.1, (1, VALUE): 0.1, (1, DOWN): 0.1},
            [
                "The largest output error is 40.0 %, in v_proj of block 0: 4.0 times the median of 10.0 %.",
                "v_proj suffers most (25.0 %) and down_proj least (10.0 %)",
                "This is the usual place",
            ],
            ["alike", "not"],
        ),
        (
            {(0, VALUE): 0.1, (0, DOWN): 0.1, (1, VALUE): 0.1, (1, DOWN): 0.4},
            ["in down_proj of block 1", "This is not the usual place", "78 %", "81 %"],
            ["The block is the usual one"],
        ),
        (
            {(0, VALUE): 0.1, (0, DOWN): 0.4, (1, VALUE): 0.1, (1, DOWN): 0.1},
            ["The block is the usual one, the linear is not"],
            ["This is"],
        ),
        (
            {(0, VALUE): 0.1, (0, DOWN): 0.1, (1, VALUE): 0.4, (1, DOWN): 0.1},
            ["The linear is the usual one, the block is not"],
            ["This is"],
        ),
        (
            {(0, "c_attn"): 0.4, (1, "c_attn"): 0.1},
            ["usual place", "78 %"],
            ["v_proj", "mean over the blocks"],
        ),
        (
            {(0, VALUE): 0.11, (0, DOWN): 0.1, (1, VALUE): 0.1, (1, DOWN): 0.1},
            ["the output errors are alike", "no kind of linear stands out"],
            ["times the median", "suffers"],
        ),
        ({(0, VALUE): 0.0, (1, VALUE): 0.0}, ["every error is 0"], ["largest"]),
        ({(0, VALUE): 0.0, (0, "a"): 0.0, (1, "a"): 0.3}, ["in a of block 1: the median is 0"], ["times"]),
        (
            {(0, VALUE): inf, (0, DOWN): 0.2, (1, VALUE): nan},
            ["20.0 %, in down_proj of block 0"],
            ["nan", "inf"],
        ),
        ({(0, VALUE): nan}, ["None of these numbers is known"], ["nan"]),
    ],
)
def test_the_largest_output_error_is_named_with_its_place(found, said, unsaid) -> None:
    expect(linears.output_errors(errors(found)), said, unsaid)


def test_a_linear_that_is_also_pruned_most_is_said_to_be() -> None:
    low, high = (linear("a", 0.1, sparsity=0.4), linear("b", 0.5, sparsity=0.6))
    expect(
        linears.output_errors(run([block(0, low, high)])),
        ["No linear loses a larger share", "60.0 %"],
        ["usual"],
    )
    high = high.model_copy(update={"sparsity": 0.3})
    expect(linears.output_errors(run([block(0, low, high)])), ["usual"], ["No linear loses"])


@pytest.mark.parametrize(
    ("shares", "recipe", "said", "unsaid"),
    [
        (
            [(0.5, 0.5), (0.5, 0.504)],
            Recipe.build(),
            ["every linear loses about the same share", "50.0 % in a", "50.4 % in b", "is uniform"],
            ["ranges"],
        ),
        ([(0.5, 0.5), (0.5, 0.5)], OWL, ["every linear loses the same share"], ["is uniform"]),
        (
            [(0.4, 0.4), (0.6, 0.6)],
            OWL,
            ["40.0 % in a of block 0 to 60.0 % in a of block 1", "only the blocks"],
            [],
        ),
        (
            [(0.4, 0.45), (0.6, 0.5)],
            OWL,
            ["Linears of one block differ too", "10.0 percentage points in block 1"],
            ["only"],
        ),
        ([(nan, 0.5)], OWL, ["50.0 %"], ["nan"]),
    ],
)
def test_the_map_of_the_sparsity_is_uniform_or_not(shares, recipe, said, unsaid) -> None:
    blocks = [
        block(index, linear("a", sparsity=one), linear("b", sparsity=other))
        for index, (one, other) in enumerate(shares)
    ]
    expect(linears.sparsity_map(run(blocks, recipe=recipe)), said, unsaid)


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        (
            (0.2, 0.3, 0.4),
            [
                "The error grows from 20.0 % after block 0 to 40.0 % after block 2; it falls in no block.",
                "Block 0 adds most, 20.0 percentage points; half of the last error is reached after block 0.",
                "That is usual",
            ],
            ["falls in 1"],
        ),
        (
            (0.2, 0.1, 0.9),
            ["it falls in 1 block on the way", "Block 2 adds most, 80.0", "after block 2", "but"],
            ["That is usual"],
        ),
        ((0.4, 0.3, 0.2), ["The error falls from 40.0 %", "In every bundled run"], ["grows", "usual"]),
        ((0.4, 0.3, 0.41), ["The error changes little"], ["grows", "That is usual"]),
        ((0.4,), ["After block 0, the hidden states are 40.0 % away"], ["grows"]),
        (
            (0.2, nan, 0.4),
            ["from 20.0 % after block 0 to 40.0 % after block 2"],
            ["nan", "adds most", "usual"],
        ),
        ((None, None), ["None of these numbers is known"], ["%"]),
        ((0.0, 0.0), ["every error is 0"], ["half of", "little"]),
    ],
)
def test_the_error_over_depth_grows_or_not(values, said, unsaid) -> None:
    expect(depth.error_over_depth(depths(*values)), said, unsaid)


def test_a_part_of_a_run_is_said_to_be_one() -> None:
    part = depths(0.2, 0.3, total=8)
    expect(
        depth.error_over_depth(part),
        ["In the 2 of 8 blocks that are finished so far, the error grows"],
        ["usual"],
    )
    failed = part.model_copy(update={"state": "failed"})
    expect(
        depth.error_over_depth(failed), ["In the 2 of 8 blocks that were pruned, the error grows"], ["usual"]
    )
    expect(depth.error_over_depth(run(total=8)), ["No block is finished yet."], [])
    expect(depth.error_over_depth(run(total=8, state="failed")), ["No block was pruned."], [])
    unmeasured = run(total=8, recipe=Recipe.build(evaluation=None))
    expect(depth.error_over_depth(unmeasured), ["not measured without an evaluation text"], [])


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        (
            (1e-4, 1e-4, 4e-4, 3e-4),
            ["most in block 2", "4.0 × 10⁻⁴, 2.0 times the median", "Blocks 2 to 3 have most", "78 %"],
            [],
        ),
        (
            (3e-4, 4e-4, 1e-4, 1e-4),
            ["most in block 1", "Blocks 2 to 3 have only 22 %"],
            ["most of the total"],
        ),
        ((2e-4, 2e-4, 2e-4, 2e-4), ["neither half"], ["only"]),
        ((2e-4, 3e-4), ["most in block 1"], ["half"]),
        ((0.0, 0.0, 0.0, 0.0), ["every distance is 0"], ["most"]),
        ((nan, inf, 1e-4, 2e-4), ["most in block 3"], ["nan", "inf", "half", "Blocks"]),
    ],
)
def test_the_alignment_has_a_worst_block_and_a_heavier_half(values, said, unsaid) -> None:
    found = run([block(index, alignment=value) for index, value in enumerate(values)])
    expect(depth.neuron_alignment(found), said, unsaid)


def test_the_block_that_is_pruned_most_is_said_to_be() -> None:
    first, second = block(0, alignment=1e-4, sparsity=0.4), block(1, alignment=2e-4, sparsity=0.6)
    expect(
        depth.neuron_alignment(run([first, second])),
        ["No block loses a larger share of its weights: 60.0 %"],
        [],
    )
    second = second.model_copy(update={"sparsity": 0.3})
    expect(depth.neuron_alignment(run([first, second])), ["most in block 1"], ["No block loses"])


@pytest.mark.parametrize(
    ("pairs", "said", "unsaid"),
    [
        (
            [(0.4, 0.2), (0.4, 0.3)],
            [
                "The update removes 37.5 % of the output error",
                "most in block 0 (50.0 %) and least in block 1 (25.0 %)",
                "between 9 % and 47 %",
            ],
            ["adds"],
        ),
        (
            [(0.2, 0.3), (0.4, 0.3)],
            [
                "The update adds 12.5 % to the output error",
                "raises the error in 1 block, most in block 0 (by 50.0 %)",
            ],
            ["removes 12"],
        ),
        (
            [(0.2, 0.3), (0.2, 0.22)],
            ["adds 30.0 % to", "It lowers the error in no block, and raises it most in block 0: by 50.0 %"],
            ["helps"],
        ),
        ([(0.2, 0.2005), (0.2, 0.1995)], ["hardly changes the output error"], ["removes 0", "adds 0"]),
        ([(0.0, 0.0), (inf, 0.1), (nan, 0.1)], ["None of these numbers is known"], ["nan", "inf"]),
    ],
)
def test_an_update_helps_or_not(pairs, said, unsaid) -> None:
    blocks = [
        block(index, linear("a", after, error_before_update=before))
        for index, (before, after) in enumerate(pairs)
    ]
    expect(corrections.update(run(blocks)), said, unsaid)


@pytest.mark.parametrize(
    ("before", "after", "drifts", "said", "unsaid"),
    [
        (0.4, 0.3, (2.0, 1.0), ["The refinement removes 25.0 %", "That is usual", "80 %"], ["unusual"]),
        (0.3, 0.4, (2.0, 1.0), ["The refinement adds 33.3 % to", "That is unusual", "80 %"], ["removes"]),
        (0.3, 0.3, (2.0, 1.0), ["hardly changes"], ["usual"]),
    ],
)
def test_a_refinement_helps_or_not(before, after, drifts, said, unsaid) -> None:
    made = linear(
        "a", after, error_before_refinement=before, swaps=5, drift_before=drifts[0], drift_after=drifts[1]
    )
    found = run([block(0, made)], recipe=Recipe.build(refinement="dsnot"))
    expect(corrections.refinement(found), said, unsaid)
    expect(
        corrections.swaps(found), ["5 swaps, 0.5 per row", "The mean drift |e|", "falls by 50.0 %"], ["rises"]
    )
    worse = made.model_copy(update={"drift_after": 3.0})
    expect(corrections.swaps(run([block(0, worse)], recipe=found.recipe)), ["rises by 50.0 %"], ["falls"])
    none = made.model_copy(update={"swaps": 0})
    expect(
        corrections.swaps(run([block(0, none)])), ["kept the mask as the score chose it"], ["rises", "falls"]
    )
    wrong = made.model_copy(update={"drift_before": inf, "drift_after": nan})
    expect(
        corrections.swaps(run([block(0, wrong)], recipe=found.recipe)), ["5 swaps"], ["nan", "inf", "drift"]
    )


@pytest.mark.parametrize(
    ("ratios", "said", "unsaid"),
    [
        (
            (0.4, 0.5, 0.5, 0.6),
            [
                "Block 0 loses least, 40.0 %, and block 3 most, 60.0 %.",
                "Early blocks are spared",
                "rises on average",
                "45.0 % in the first half",
            ],
            ["with every block"],
        ),
        ((0.4, 0.45, 0.5, 0.6), ["rises with every block"], ["on average"]),
        ((0.6, 0.55, 0.5, 0.4), ["Late blocks are spared", "falls with every block"], ["rises"]),
        ((0.4, 0.6, 0.6, 0.4), ["no slope"], ["spared"]),
        ((0.5, 0.5, 0.5, 0.5), ["every block loses the same share, 50.0 %"], ["least"]),
        ((0.4, 0.6), ["Block 0 loses least"], ["half"]),
        ((), ["Nothing is decided yet."], []),
    ],
)
def test_an_allocation_has_a_slope_or_not(ratios, said, unsaid) -> None:
    expect(allocation.sparsity_per_block(RunRecord(allocation=ratios, recipe=OWL)), said, unsaid)


@pytest.mark.parametrize(
    ("measured", "said", "unsaid"),
    [
        ({0: 3.0, 1: 1.0}, ["Block 0 has the highest measured value (outliers"], ["lowest"]),
        ({0: 1.0, 1: 3.0}, ["Block 0 has the lowest measured value"], ["highest"]),
        ({0: 2.0, 1: 1.0, 2: 3.0}, [], ["measured value"]),
        ({0: nan, 1: 3.0}, [], ["measured value", "nan"]),
        ({0: 2.0, 1: 2.0}, [], ["measured value"]),
    ],
)
def test_the_spared_block_is_at_an_end_of_what_was_measured_or_not(measured, said, unsaid) -> None:
    found = RunRecord(allocation=(0.4, 0.5, 0.6), recipe=OWL, measured=measured)
    expect(allocation.sparsity_per_block(found), said, unsaid)


def test_clipped_blocks_are_named_and_a_search_shows_its_best_candidate() -> None:
    found = RunRecord(allocation=(0.4, 0.99), clipped=(1,), recipe=Recipe.build(allocation="neuroal"))
    expect(allocation.sparsity_per_block(found), ["The sparsity of block 1 was clipped"], [])
    searching = RunRecord(search=(tried(0.1, 2.0, ratios=(0.3, 0.7)),), recipe=found.recipe)
    expect(
        allocation.sparsity_per_block(searching),
        ["With the best candidate so far, block step, λ = 0.1, block 0"],
        [],
    )
    expect(
        allocation.sparsity_per_block(RunRecord(measured={0: 1.0}, recipe=OWL)),
        ["1 block measured so far"],
        [],
    )


def spread(name: str, width: float, consumer: str | None) -> RowSpread:
    middle = 0.5
    levels = dict(zip(QUANTILES, [middle] * len(QUANTILES), strict=True)) | {
        0.1: middle - width / 2,
        0.9: middle + width / 2,
    }
    return RowSpread(name=name, consumer=consumer, quantiles=tuple(levels.values()))


def test_rows_differ_or_not() -> None:
    uneven = ((spread("a", 0.1, "c"), spread("b", 0.3, "c")), (spread("a", 0.2, "c"), spread("c", 0.0, None)))
    expect(
        allocation.sparsity_per_row(RunRecord(rows=uneven)),
        [
            "Rows differ most in b of block 0",
            "30.0 percentage points",
            "is 20.0 percentage points",
            "In 1 of 4 linears",
        ],
        [],
    )
    even = ((spread("a", 0.0, "c"),),)
    expect(
        allocation.sparsity_per_row(RunRecord(rows=even)), ["All rows of a linear lose the same"], ["differ"]
    )


UNIFORM = tried(0.0, 10.0, "uniform", block_objectives=(5.0, 5.0))


@pytest.mark.parametrize(
    ("search_", "said", "unsaid"),
    [
        ([], ["No candidate has been tried yet."], []),
        ([UNIFORM], ["Only the uniform allocation is measured yet"], ["best"]),
        (
            [UNIFORM, tried(0.01, 9.0, chosen=True), tried(0.1, 12.0), tried(0.2, 14.0)],
            [
                "The best candidate is block step, λ = 0.01; its objective is 10.0 % lower than uniform's.",
                "the weakest that was tried, λ = 0.01",
            ],
            ["flat", "inside", "strongest"],
        ),
        (
            [UNIFORM, tried(0.01, 12.0), tried(0.1, 9.0, chosen=True), tried(0.2, 14.0)],
            ["inside the tried range, from 0.01 to 0.2"],
            ["flat", "weakest"],
        ),
        (
            [UNIFORM, tried(0.01, 12.0), tried(0.1, 11.0), tried(0.2, 10.5, chosen=True)],
            ["5.0 % higher than uniform's", "the strongest that was tried"],
            ["lower"],
        ),
        (
            [UNIFORM, tried(0.01, 9.0, chosen=True), tried(0.1, 9.1), tried(0.2, 9.15)],
            ["flat", "2 %"],
            ["tried range", "weakest"],
        ),
        ([UNIFORM, tried(0.01, 10.0, chosen=True)], ["its objective equals uniform's"], ["flat", "range"]),
        (
            [UNIFORM, tried(0.01, 9.0, chosen=True), tried(0.1, 9.5, stopped=True)],
            ["1 candidate was stopped early"],
            ["flat"],
        ),
        (
            [UNIFORM, tried(0.01, 9.0), tried(0.1, 8.0), tried(0.2, 9.0)],
            ["So far, the best candidate"],
            ["range"],
        ),
        ([UNIFORM, tried(0.01, inf)], ["So far"], ["inf", "%"]),
        (
            [UNIFORM, *(tried(g, 8.0 - g, "evolution", chosen=g == 3) for g in (1, 2, 3))],
            ["From generation 1 to generation 3 the objective fell by 28.6 %."],
            ["λ"],
        ),
        (
            [UNIFORM, *(tried(g, 7.0, "evolution", chosen=g == 3) for g in (1, 2, 3))],
            ["did not fall"],
            ["fell by"],
        ),
    ],
)
def test_the_search_found_something_or_not(search_, said, unsaid) -> None:
    expect(search.objective(RunRecord(search=tuple(search_))), said, unsaid)


@pytest.mark.parametrize(
    ("parts", "said", "unsaid"),
    [
        (
            (3.0, 5.5),
            [
                "in 1 of 2 blocks",
                "15.0 % lower",
                "gains most in block 0 (2.00",
                "loses most in block 1 (0.500)",
            ],
            [],
        ),
        ((3.0, 4.0), ["in 2 of 2 blocks", "gains most in block 0"], ["loses"]),
        ((6.0, 7.0), ["in 0 of 2 blocks", "30.0 % higher", "loses most in block 1"], ["gains"]),
        ((5.0, 5.0), ["equals uniform's"], ["gains", "loses"]),
        ((nan, inf), ["no finite distances"], ["nan", "inf"]),
    ],
)
def test_the_best_candidate_is_better_in_some_blocks(parts, said, unsaid) -> None:
    best = tried(0.1, sum(parts), block_objectives=parts, chosen=True)
    expect(search.against_uniform(RunRecord(search=(UNIFORM, best))), said, unsaid)
    expect(search.against_uniform(RunRecord(search=(UNIFORM,))), ["no candidate yet"], [])


def test_the_coverage_counts_all_weights() -> None:
    found = run([block(0, linear("a", removed=300))])
    said = [
        "50.0 % of the prunable weights are zero",
        "only 60.0 %",
        "30.0 % of all weights",
        "embeddings, 30.0 %",
    ]
    expect(weights.coverage(found), said, ["were pruned"])
    expect(
        weights.coverage(run([block(0)], total=3, state="failed")), ["Only 1 of 3 blocks were pruned."], []
    )
    expect(weights.coverage(RunRecord()), ["not loaded"], [])
    expect(weights.coverage_ahead(0, 0, {}), ["no weights that can be pruned"], [])
    expect(weights.coverage_ahead(1, 2, {"norms": 0}), ["will be zero"], ["never pruned"])


@pytest.mark.parametrize("chart", OF_RUNS)
def test_numbers_that_are_not_finite_are_left_out(chart) -> None:
    found = infinite(record(5, allocation="neuroal", refinement="dsnot", score="wanda", update="obs"))
    expect(OF_RUNS[chart](found), [], ["nan", "inf", "none is"])


def test_an_explanation_has_one_to_three_sentences() -> None:
    assert explanation(["", "a.", ""]).sentences == ("A.",)
    for count in (0, MOST + 1):
        with pytest.raises(AssertionError):
            explanation(["a."] * count)


def expect(found: Any, said: list[str], unsaid: list[str]) -> None:
    """Check what an explanation says, and what it must not say."""
    text = found.text.lower()
    assert [words for words in said if words.lower() not in text] == [], found.text
    assert [words for words in unsaid if words.lower() in text] == [], found.text

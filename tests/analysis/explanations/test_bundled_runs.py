"""The explanations of every chart of every bundled run, against numbers computed another way, and the shares
that are called usual.
"""

from __future__ import annotations

import re
from math import isclose

import numpy as np
import pytest

from engine.analysis.explanations import bundled_runs, corrections, depth, linears, search
from engine.analysis.explanations.explanation import MOST
from engine.analysis.explanations.of_runs import OF_RUNS
from engine.charts.overlay.pair import dense_reference
from engine.charts.run_charts import RESULTS, chart_parts
from engine.numbers import percent
from engine.record import RunRecord
from engine.store.runs import RECORDED, Store


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    store = Store(tmp_path_factory.mktemp("home"))
    return [store.find(path.name).record() for path in sorted(RECORDED.iterdir())]


def charts(record: RunRecord) -> list[str]:
    return [name for makers in chart_parts(record).values() for name in makers]


def test_every_chart_of_every_run_is_explained(records) -> None:
    strange = re.compile(r"\b(nan|inf|None)\b|—|\b-\d|  |\.\.|[;:,]\.|\(\)")
    seen = set()
    for record in records:
        for name in charts(record):
            found = OF_RUNS[name](record)
            seen.add(name)
            assert 1 <= len(found.sentences) <= MOST and found.lesson is not None, name
            for sentence in found.sentences:
                assert sentence.endswith(".") and not sentence[0].islower(), sentence
                assert not strange.search(sentence), sentence
    assert seen == set(OF_RUNS)


def test_a_run_without_an_end_is_explained_at_every_block(records) -> None:
    """Also one whose process ended before the search did."""
    for record in (records[0], next(item for item in records if item.search)):
        for count in range(len(record.blocks) + 1):
            for state in ("running", "failed", "interrupted"):
                part = record.model_copy(update={"blocks": record.blocks[:count], "state": state})
                for name in charts(part):
                    words = OF_RUNS[name](part).text
                    assert "bundled runs" not in words or count == len(record.blocks), words


def test_charts_have_the_explanation_of_their_own_name(records) -> None:
    for record in (
        next(item for item in records if item.rows),
        next(item for item in records if item.recipe.refinement != "none"),
        next(item for item in records if item.recipe.update != "none"),
    ):
        for makers in chart_parts(record).values():
            for name, make in makers.items():
                explain = make(record).explain
                assert explain is not None and explain() == OF_RUNS[name](record), name


def test_two_runs_in_a_chart_are_both_explained(records) -> None:
    one, other = (next(item for item in records if item.recipe.pruner == name) for name in ("wanda", "ria"))
    for makers in chart_parts(one, other=other).values():
        for name, make in makers.items():
            found = make(one).explain()
            for record, sentence in zip((one, other), found.sentences, strict=True):
                assert sentence.startswith(record.recipe.title.partition(" ")[0])
                assert sentence.endswith(OF_RUNS[name](record).sentences[0])
    dense = chart_parts(one, other=dense_reference(one))[RESULTS]
    words = {name: make(one).explain().text for name, make in dense.items()}
    assert "every error is 0" in words["depth"] and "every error is 0" in words["output_error"]


def test_the_largest_output_error_is_the_one_in_the_table(records) -> None:
    for record in records:
        table = np.array([[linear.output_error for linear in block.linears] for block in record.blocks])
        block, place = np.unravel_index(table.argmax(), table.shape)
        name = record.blocks[block].linears[place].name.rpartition(".")[2]
        first = linears.output_errors(record).sentences[0]
        assert f"{percent(table.max())}, in {name} of block {block}" in first
        assert ("alike" in first) == (table.max() < 1.25 * np.median(table))
        means = dict(zip((item.name for item in record.blocks[0].linears), table.mean(0), strict=True))
        if "suffers most" in (second := linears.output_errors(record).sentences[1]):
            assert f"{max(means, key=means.get).rpartition('.')[2]} suffers most" in second


def test_the_error_grows_where_it_does(records) -> None:
    for record in records:
        values = np.array([block.relative_error for block in record.blocks])
        words = depth.error_over_depth(record).text
        assert ("the error grows" in words.lower()) == (values[-1] > 1.05 * values[0])
        assert f"from {percent(values[0])} after block 0 to {percent(values[-1])}" in words
        falls = int((np.diff(values) < 0).sum())
        assert ("falls in no block" in words) <= (falls == 0)
        assert (f"falls in {falls} block" in words) == ("on the way" in words)
        steps = np.diff(values, prepend=0)
        assert f"Block {steps.argmax()} adds most, {100 * steps.max():.1f} percentage points" in words
        assert f"reached after block {np.argmax(values >= values[-1] / 2)}." in words


def test_updates_and_searches_have_the_numbers_of_the_run(records) -> None:
    for record in records:
        if record.recipe.update != "none":
            shares = []
            for block in record.blocks:
                sizes = [linear.rows * linear.columns for linear in block.linears]
                after, before = (
                    np.average([getattr(linear, name) for linear in block.linears], weights=sizes)
                    for name in ("output_error", "error_before_update")
                )
                shares.append(1 - after / before)
            words = corrections.update(record).text
            assert f"removes {percent(float(np.mean(shares)))} of" in words
            assert f"most in block {np.argmax(shares)} ({percent(float(max(shares)))})" in words
        if record.search:
            last = [item for item in record.search if item.chosen][-1]
            change = last.objective / record.search[0].objective - 1
            side = "lower" if change < 0 else "higher"
            assert f"{percent(abs(change))} {side} than uniform's" in search.objective(record).text


def test_what_is_called_usual_is(records) -> None:
    """Counted again; if the bundled runs have changed, put the new shares into `bundled_runs`."""
    refined = [record for record in records if record.recipe.refinement != "none"]
    for share, shown, runs in (
        (bundled_runs.FIRST_BLOCK_WORST, lambda record: record.worst[0] == 0, records),
        (bundled_runs.VALUE_WORST, lambda record: linears.is_value(record.worst[1]), records),
        (
            bundled_runs.FIRST_STEP_LARGEST,
            lambda record: depth.largest_step(depth.known_errors(record))[0] == 0,
            records,
        ),
        (
            bundled_runs.REFINED_BETTER,
            lambda record: "removes" in corrections.refinement(record).sentences[0],
            refined,
        ),
    ):
        assert share == pytest.approx(np.mean([shown(record) for record in runs]), abs=0.02)
    assert all(record.blocks[-1].relative_error > record.blocks[0].relative_error for record in records)
    removed = [
        float(re.search(r"update removes ([\d.]+) %", corrections.update(record).text)[1]) / 100
        for record in records
        if record.recipe.update != "none"
    ]
    for end, known in zip((min(removed), max(removed)), bundled_runs.UPDATE_REMOVES, strict=True):
        assert isclose(end, known, abs_tol=0.01)

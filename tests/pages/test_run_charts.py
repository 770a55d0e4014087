"""Which charts a run has, and what its progress bar says, from the first candidate to the end."""

from __future__ import annotations

import pytest

from engine.charts.run_charts import allocation_charts, is_deciding, result_charts
from engine.jobs.views import RunView
from engine.recipe import Recipe
from engine.record import RunRecord
from pages.widgets.explore import run_charts
from pages.widgets.progress import progress_words, share
from tests.charts.records import NEUROAL, record, undecided
from tests.pages.conftest import healthy, words
from tests.pages.decisions import deciding
from tests.pages.fakes import BLOCKS, deciding_view, run_view

WANDA, OTHER = Recipe.build(), Recipe.build(pruner="magnitude")
NEURONS, OUTLIERS = record(0, **NEUROAL).recipe, record(0, allocation="owl").recipe
PLAIN = ["sparsity", "output_error", "alignment", "depth"]


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        ({}, [], PLAIN),
        ({"pruner": "sparsegpt"}, [], [*PLAIN, "recovery"]),
        ({"refinement": "dsnot"}, [], [*PLAIN, "swaps", "refinement"]),
        (
            {"score": "wanda", "update": "obs", "refinement": "dsnot"},
            [],
            [*PLAIN, "swaps", "refinement", "recovery"],
        ),
        ({"allocation": "owl"}, ["allocation"], PLAIN),
        (NEUROAL, ["search", "allocation", "alignment_uniform", "rows"], PLAIN),
        (
            {**NEUROAL, "settings": {"neuroal.step": "block"}},
            ["search", "allocation", "alignment_uniform"],
            PLAIN,
        ),
        ({"pattern": "2:4"}, [], PLAIN),
    ],
)
def test_charts_are_those_that_the_methods_give_a_meaning(fields, before, after):
    found = record(3, **fields)
    assert list(allocation_charts(found)) == before
    assert list(result_charts(found)) == after
    assert list(result_charts(record(BLOCKS, **fields))) == [*after, "coverage"]


@pytest.mark.parametrize("fields", [NEUROAL, {"allocation": "owl"}, {"allocation": "alphapruning"}])
def test_while_it_is_decided_that_part_stands_alone(fields):
    for steps in (0, 1, 4):
        found = undecided(steps, **fields)
        assert is_deciding(found) and allocation_charts(found) and not result_charts(found)
    assert not is_deciding(record(0, **fields)) and result_charts(record(0, **fields))


def test_nothing_is_drawn_of_a_record_that_knows_nothing():
    assert not allocation_charts(RunRecord()) and not result_charts(RunRecord())


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (0, "Searching: uniform, the reference"),
        (1, "Searching: first candidates"),
        (6, "Searching: block step, candidate 5 done · best so far λ = 0.05"),
        (16, "Searching: block step done, 14 candidates · λ = 0.1 chosen"),
        (18, "Searching: row step, candidate 2 done · best so far λ = 0.01"),
    ],
)
def test_the_bar_says_how_far_the_search_is(steps, sentence):
    assert progress_words(RunView(undecided(steps, **NEUROAL), "running")) == sentence


def test_the_bar_says_what_is_measured():
    words = [
        progress_words(RunView(undecided(steps, allocation="owl"), "running")) for steps in (0, 3, BLOCKS)
    ]
    assert [sentence.partition(":")[0] for sentence in words] == [
        "Measuring block 1 of 8",
        "Measuring block 4 of 8",
        "Measuring block 8 of 8",
    ]
    assert all("outliers" in sentence for sentence in words)


@pytest.mark.parametrize("fields", [{}, NEUROAL, {"allocation": "owl"}])
def test_the_bar_never_goes_back(fields):
    steps = len(deciding(record(0, **fields).recipe, BLOCKS))
    found = [
        *(undecided(count, **fields) for count in range(steps + 1)),
        *(record(blocks, **fields) for blocks in range(BLOCKS + 1)),
    ]
    shares = [share(RunView(each, "running")) for each in found]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1


def test_the_page_shows_the_search_while_it_goes_on(open_app, engine):
    recipe = record(0, **NEUROAL).recipe
    engine.views[recipe.key] = deciding_view(recipe, 6)
    app = open_app(run=recipe.key)
    assert "candidate 5 done" in app.get("progress")[0].proto.text
    assert len(app.get("plotly_chart")) == 3
    assert "Search: objective over strength" in words(app) and "Error over depth" not in words(app)
    engine.views[recipe.key] = deciding_view(recipe, 12)
    assert "Best so far: block step, λ = 0.1" in words(app.run())


def test_what_moves_is_on_top_once_blocks_are_pruned(open_app, engine):
    recipe = record(0, **NEUROAL).recipe
    engine.views[recipe.key] = run_view(recipe, "running", 2)
    app = open_app(run=recipe.key)
    text = words(app)
    assert len(app.get("plotly_chart")) == 8
    assert text.index("Results per block") < text.index("Sparsity allocation")


def figures(app):
    return [node.proto.spec for node in app.get("plotly_chart")]


@pytest.mark.parametrize(
    "states",
    [
        [
            deciding_view(NEURONS, 6),
            deciding_view(NEURONS, 12),
            *(run_view(NEURONS, "running", n) for n in (0, 2, 3)),
        ],
        [deciding_view(OUTLIERS, 3), deciding_view(OUTLIERS), run_view(OUTLIERS, "running", 0)],
        [run_view(OTHER, "running", 1), run_view(OTHER, "cancelled", 1)],
    ],
    ids=["search", "measurement", "end"],
)
def test_a_tab_that_watches_a_run_shows_the_same_charts_as_a_new_one(open_app, engine, states):
    first, *later = states
    engine.views[key := first.record.key] = first
    app = open_app(run=key)
    for view in later:
        engine.views[key] = view
        assert figures(healthy(app.run())) == figures(open_app(run=key)) != []


def test_the_charts_of_a_finished_run_follow_the_second_one(open_app, engine):
    both = {"run": WANDA.key, "with": OTHER.key}
    engine.views |= {WANDA.key: run_view(WANDA, "finished"), OTHER.key: run_view(OTHER, "running", 1)}
    before = figures(app := open_app(**both))
    engine.views[OTHER.key] = run_view(OTHER, "running", 2)
    assert before != figures(healthy(app.run())) == figures(open_app(**both))


def test_one_part_alone_needs_no_heading(open_app, engine):
    recipe = record(0).recipe
    engine.views[recipe.key] = run_view(recipe, "finished")
    assert "Results per block" not in words(open_app(run=recipe.key))


@pytest.mark.usefixtures("new_charts")
def test_the_charts_of_a_finished_run_are_built_once_for_all_tabs(open_app, engine, monkeypatch):
    built, parts = [], run_charts.chart_parts

    def counted(*given, **more):
        def note(name, make):
            return lambda record: built.append(name) or make(record)

        return {
            title: {name: note(name, make) for name, make in makers.items()}
            for title, makers in parts(*given, **more).items()
        }

    monkeypatch.setattr(run_charts, "chart_parts", counted)
    view = run_view(Recipe.build(), "finished")
    engine.views[view.record.key] = view
    first, second = open_app(run=view.record.key), open_app(run=view.record.key)
    assert set(PLAIN) <= set(built) and len(built) == len(set(built))
    assert len(first.get("plotly_chart")) == len(second.get("plotly_chart")) == len(built)

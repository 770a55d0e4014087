"""Compare in every state: nothing there, the recorded runs, a sweep that goes on and one that failed, two runs, and nonsense in the address."""

from __future__ import annotations

import pytest

from engine.comparison.overlap import LinearOverlap
from engine.jobs.store import Store
from engine.jobs.views import OverlapView
from engine.pin import pin
from engine.recipe import Recipe
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

RUNS = [
    pin(Recipe.build(pruner=pruner, **shape))
    for pruner in ("wanda", "magnitude")
    for shape in ({"sparsity": 0.5}, {"sparsity": 0.6}, {"sparsity": 0.7}, {"pattern": "2:4"})
]
SECTIONS = ("Curves", "Sweep", "Two runs", "Leaderboard", "Table")


@pytest.fixture
def some(engine):
    for recipe in RUNS:
        engine.views[recipe.key] = run_view(recipe, "finished")
    return engine


@pytest.fixture
def compare(open_app):
    """Opens the page at one of its sections."""

    def open_at(section="Curves", **parameters):
        app = open_app()
        app.query_params["section"] = section
        for name, value in parameters.items():
            app.query_params[name] = value
        return healthy(app.switch_page("pages/compare.py").run())

    return open_at


@pytest.mark.parametrize("section", ["Curves", "Leaderboard", "Table"])
def test_without_runs_it_says_what_to_do(compare, section):
    assert "Prune something on Explore, or start a sweep" in words(compare(section))


def test_two_runs_are_wanted_where_there_are_none(compare):
    assert "Two finished runs are needed" in words(compare("Two runs"))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_on_the_recorded_runs(compare, engine, tmp_path, section):
    recorded = Store(tmp_path / "home").recorded
    engine.runs = lambda: list(recorded)
    app = compare(section)
    assert app.title[0].value == "Compare"
    assert not app.error


def test_the_curves_are_those_that_are_chosen(compare, some):
    app = compare()
    assert app.multiselect(key="families").value == ["Magnitude", "Wanda"]
    assert "8 runs of demo in float32 on stories" in words(app)
    app = healthy(app.multiselect(key="families").set_value(["Wanda"]).run())
    assert len(app.get("plotly_chart")) == 1
    app = healthy(app.multiselect(key="families").set_value([]).run())
    assert "Choose a pruner above" in words(app) and not app.get("plotly_chart")


def test_a_point_has_links(compare, some):
    app = compare()
    app = healthy(app.selectbox(key="compare.point").set_value("Wanda 60%").run())
    assert len(app.get("page_link")) >= 3


def test_runs_of_another_protocol_are_kept_apart(compare, some):
    other = pin(Recipe.build(pruner="ria", samples=8))
    some.views[other.key] = run_view(other, "finished")
    app = compare()
    assert "RIA" not in app.multiselect(key="families").options
    box = app.selectbox(key="protocol")
    app = healthy(box.set_value(box.options[1]).run())
    assert app.multiselect(key="families").options == ["RIA"]


def test_the_leaderboard_ranks_at_one_budget(compare, some):
    app = compare("Leaderboard", budget="50 %")
    assert "At 50 %, the best first" in words(app)


def test_the_table_is_filtered(compare, some):
    app = compare("Table")
    assert "8 of 8 points" in words(app)
    app = healthy(app.text_input(key="rows").set_value("wanda 2:4").run())
    assert "1 of 8 points" in words(app)
    app = healthy(app.text_input(key="rows").set_value("recorded").run())
    assert "0 of 8 points" in words(app)


@pytest.mark.parametrize(
    "parameters", [{"section": "Nonsense"}, {"families": "Nobody"}, {"scale": "cubic"}, {"budget": "7 %", "section": "Leaderboard"}]
)
def test_nonsense_in_the_address_is_the_usual_page(compare, some, parameters):
    assert compare(**parameters).title[0].value == "Compare"


class TestTwoRuns:
    def test_what_differs_and_what_the_masks_share(self, compare, some):
        found = (LinearOverlap(block=0, linear="mlp.up_proj", kept=0.8, removed=0.7, chance=0.33, both=80, either=100),)
        some.overlapping = OverlapView("done", found)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        assert len(app.get("plotly_chart")) == 4
        assert "Over the whole model 80.0 %" in words(app)

    def test_while_it_is_counted_there_is_a_place_for_it(self, compare, some):
        assert "being laid over one another" in words(compare("Two runs", one=RUNS[1].key, other=RUNS[5].key))

    def test_masks_that_cannot_be_compared_are_a_sentence(self, compare, some):
        some.overlapping = OverlapView("failed", message="The two runs have different blocks, so their masks cannot be laid over one another.")
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        assert "different blocks" in words(app)

    def test_a_run_without_masks_is_computed_by_one_click(self, compare, some):
        some.views[RUNS[5].key] = run_view(RUNS[5], "finished", recorded=True)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        app.button(key="compute.pair").click().run()
        assert some.submitted == [RUNS[5]]

    def test_the_same_run_twice_is_said(self, compare, some):
        assert "Both are the same run" in words(compare("Two runs", one=RUNS[1].key, other=RUNS[1].key))

    def test_a_run_that_is_not_there_is_said(self, compare, some):
        assert "asks for the run nowhere" in words(compare("Two runs", one="nowhere"))


class TestSweep:
    def test_before_the_click_it_says_what_is_missing_and_what_that_takes(self, compare, some):
        app = compare("Sweep", seeds="1")
        assert "**9 runs**, 6 of them there already" in words(app)
        assert "The other 3 take about" in words(app)

    def test_only_what_is_missing_is_started(self, compare, some):
        app = compare("Sweep", seeds="1")
        app.button(key="sweep.start").click().run()
        assert [recipe.pruner for recipe in some.submitted] == ["sparsegpt"] * 3

    def test_cells_fill_and_the_rest_can_be_cancelled(self, compare, some):
        keys = [pin(Recipe.build(pruner="sparsegpt", sparsity=sparsity)) for sparsity in (0.5, 0.6, 0.7)]
        some.views[keys[0].key] = run_view(keys[0], "running", blocks=3)
        some.views[keys[1].key] = run_view(keys[1], "queued", place=1)
        some.views[keys[2].key] = run_view(keys[2], "failed")
        app = compare("Sweep", seeds="1")
        grid = app.dataframe[0].value
        assert list(grid.loc["SparseGPT"]) == ["▶ 3/8", "…", "✗"]
        assert grid.loc["Wanda", "0.5"].startswith("✓")
        healthy(app.button(key="sweep.cancel").click().run())
        assert some.cancelled == [keys[1].key, keys[0].key], "the last first"

    def test_what_is_impossible_says_why(self, compare, some):
        app = compare("Sweep", seeds="1")
        app = healthy(app.multiselect(key="sweep.pruners").set_value(["apt-mm"]).run())
        assert "3 cells are impossible" in str(app.expander) or any("impossible" in item.label for item in app.expander)
        assert "needs an N:M pattern" in words(app)

    def test_an_empty_choice_is_a_sentence(self, compare, some):
        app = compare("Sweep", seeds="1")
        app = healthy(app.multiselect(key="sweep.pruners").set_value([]).run())
        assert "at least one pruner" in words(app)

    def test_several_seeds_share_a_cell(self, compare, some):
        app = compare("Sweep", seeds="2")
        assert "**18 runs**" in words(app)

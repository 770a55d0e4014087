"""Compare in every state: no runs, the recorded runs, active and failed sweeps, two runs, and nonsense in the
address.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.analysis.comparison.overlap import LinearOverlap, Shared
from engine.errors import StoreError
from engine.jobs.questions import Answer
from engine.jobs.views import RunView
from engine.recipe import Recipe, pin
from engine.store.runs import Store
from tests.pages.conftest import healthy, words
from tests.pages.fakes import run_view

RUNS = [
    pin(Recipe.build(pruner=pruner, **shape))
    for pruner in ("wanda", "magnitude")
    for shape in ({"sparsity": 0.5}, {"sparsity": 0.6}, {"sparsity": 0.7}, {"pattern": "2:4"})
]


def shared(both):
    return Shared(both=both, either=100, blind_both=33, blind_either=100)


SECTIONS = ("Curves", "Sweep", "Two runs", "Leaderboard", "Table")


@pytest.fixture
def some(engine):
    for recipe in RUNS:
        engine.views[recipe.key] = run_view(recipe, "finished")
    return engine


@pytest.fixture
def compare(open_app):
    """Return a function that opens the page at a section."""

    def open_at(section="Curves", **parameters):
        return open_app("compare", section=section, **parameters)

    return open_at


@pytest.mark.parametrize("section", ["Curves", "Leaderboard", "Table"])
def test_without_runs_the_page_says_so(compare, section):
    assert "No finished runs yet" in words(compare(section))


def test_comparing_needs_two_runs(compare):
    assert "Comparing needs two finished runs" in words(compare("Two runs"))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_on_the_recorded_runs(compare, engine, tmp_path, section):
    store = Store(tmp_path / "home")
    engine.runs = lambda: list(store.recorded)
    engine.view = lambda key: RunView(store.find(key).record(), "finished", recorded=True)
    app = compare(section)
    assert app.title[0].value == "Compare"
    assert not app.error


def test_the_curves_are_those_that_are_chosen(compare, some):
    app = compare()
    assert app.multiselect(key="families").value == ["Magnitude", "Wanda"]
    assert "8 runs of demo in float32 on stories" in words(app)
    app = healthy(app.multiselect(key="families").set_value(["Wanda"]).run())
    assert [chart.proto.id.split("-")[-1] for chart in app.get("plotly_chart")] == [
        "chart.curves",
        "chart.cliffs",
        "chart.patterns",
    ]
    app = healthy(app.multiselect(key="families").set_value([]).run())
    assert "Choose a pruner above" in words(app) and not app.get("plotly_chart")


def test_a_point_has_links_and_becomes_one_of_two_runs(compare, some):
    app = compare()
    app = healthy(app.selectbox(key="compare.point").set_value("Wanda 60%").run())
    assert [link.proto.label for link in app.get("page_link")][-2:] == [
        "Open in Explore",
        "Open in Microscope",
    ]
    app = healthy(app.button(key="point.other").click().run())
    assert (app.segmented_control(key="section").value, app.selectbox(key="pick.other").value) == (
        "Two runs",
        RUNS[1].key,
    )


def test_scale_and_limit_of_the_y_axis(compare, some):
    assert "Perplexity against sparsity**" in words(compare())
    assert "Perplexity against sparsity, logarithmic**" in words(
        compare(scale="Logarithmic", upto="3 × dense")
    )


def test_points_appear_as_runs_finish(compare, some):
    running = pin(Recipe.build(pruner="ria"))
    some.views[running.key] = run_view(running, "running")
    app = compare()
    assert "1 run is active; its point appears" in words(app)
    assert "RIA" not in app.multiselect(key="families").options
    some.views[running.key] = run_view(running, "finished")
    app = healthy(app.run())
    assert "RIA" in app.multiselect(key="families").options and "is active" not in words(app)


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
    assert "Leaderboard at 50 %" in words(app)


def test_the_table_is_filtered(compare, some):
    app = compare("Table")
    assert "8 of 8 points" in words(app)
    app = healthy(app.text_input(key="rows").set_value("wanda 2:4").run())
    assert "1 of 8 points" in words(app)
    app = healthy(app.text_input(key="rows").set_value("recorded").run())
    assert "0 of 8 points" in words(app)
    app = healthy(app.text_input(key="rows").set_value("70% own").run())
    assert list(app.dataframe[0].value["family"]) == ["Magnitude", "Wanda"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"section": "Nonsense"},
        {"families": "Nothing"},
        {"scale": "cubic", "upto": "-1"},
        {"protocol": "nothing"},
        {"budget": "7 %", "section": "Leaderboard"},
        {"most": "many", "rows": "((", "section": "Table"},
        {"pruners": "Nothing", "topups": "Nothing", "seeds": "-3", "section": "Sweep"},
        {"shapes": "much", "samples": "many", "length": "0", "section": "Sweep"},
        {"overlap": "Other", "one": "../..", "section": "Two runs"},
    ],
)
def test_nonsense_in_the_address_is_the_usual_page(compare, some, parameters):
    assert compare(**parameters).title[0].value == "Compare"


class TestTwoRuns:
    def test_differences_and_mask_overlap(self, compare, some):
        found = (LinearOverlap(block=0, linear="mlp.up_proj", kept=shared(80), removed=shared(70)),)
        some.overlapping = Answer(found)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        assert len(app.get("plotly_chart")) == 4
        assert "80.0 % over the whole model" in words(app)

    def test_removed_weights_have_a_map_and_a_linear_links_to_the_microscope(self, compare, some):
        found = (LinearOverlap(block=3, linear="mlp.up_proj", kept=shared(80), removed=shared(70)),)
        some.overlapping = Answer(found)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key, overlap="Removed weights")
        assert "% of the removed weights" in words(app) and "70.0 % over the whole model" in words(app)
        assert app.selectbox(key="overlap.cell").value == "Block 3, mlp.up_proj: 70.0 %"
        links = [link.proto for link in app.get("page_link") if link.proto.page == "microscope"]
        assert [(link.label, link.query_string) for link in links] == [
            (f"{pruner} 60% on demo", f"run={run.key}&block=3&linear=mlp.up_proj")
            for pruner, run in (("Wanda", RUNS[1]), ("Magnitude", RUNS[5]))
        ]

    def test_runs_of_different_models_have_no_overlap(self, compare, some):
        other = pin(Recipe.build(pruner="ria"))
        view = run_view(other, "finished", recorded=True)
        larger = view.record.model.model_copy(
            update={"name": "another", "linears": view.record.model.linears[:4]}
        )
        some.views[other.key] = replace(view, record=view.record.model_copy(update={"model": larger}))
        app = compare("Two runs", one=RUNS[1].key, other=other.key)
        assert "of different models" in words(app)
        assert not [button for button in app.button if button.key == "compute.pair"]

    def test_a_failed_computation_says_why(self, compare, some):
        some.views[RUNS[5].key] = run_view(RUNS[5], "finished", recorded=True)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        listed = some.runs()
        some.runs, some.becomes = (lambda: listed), "failed"
        app = healthy(app.button(key="compute.pair").click().run())
        assert "cannot be factored" in words(app)

    def test_a_placeholder_while_the_masks_are_compared(self, compare, some):
        assert "Comparing the masks" in words(compare("Two runs", one=RUNS[1].key, other=RUNS[5].key))

    def test_masks_that_cannot_be_compared_are_a_message(self, compare, some):
        some.overlapping = Answer(
            message="The two runs have different blocks, so their masks cannot be laid over one another.",
        )
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        assert "different blocks" in words(app)

    def test_a_run_without_masks_is_computed_by_one_click(self, compare, some):
        some.views[RUNS[5].key] = run_view(RUNS[5], "finished", recorded=True)
        app = compare("Two runs", one=RUNS[1].key, other=RUNS[5].key)
        app.button(key="compute.pair").click().run()
        assert some.submitted == [RUNS[5]]

    def test_the_same_run_twice_is_reported(self, compare, some):
        assert "Both sides show the same run" in words(
            compare("Two runs", one=RUNS[1].key, other=RUNS[1].key)
        )

    def test_a_missing_run_is_reported(self, compare, some):
        assert "the run nowhere" in words(compare("Two runs", one="nowhere"))


class TestSweep:
    def test_the_cost_of_missing_runs_before_the_click(self, compare, some):
        app = compare("Sweep", seeds="1")
        assert "**9 runs**, 6 already finished" in words(app)
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
        assert list(grid.loc["SparseGPT"]) == ["▶ 38 %", "…", "✗"]
        assert grid.loc["Wanda", "50 %"] == "✓ 55.03"
        assert "6 of 9 runs finished; they are kept" in app.get("progress")[0].proto.text
        assert "SparseGPT 50% on demo: Block 4 of 8" in app.get("progress")[0].proto.text
        assert "**SparseGPT, 70 %**: The Hessian of block 3" in words(app)
        assert (
            app.button(key="sweep.start").label == "Start missing runs"
            and not app.button(key="sweep.start").disabled
        ), "the one that failed"
        healthy(app.button(key="sweep.cancel").click().run())
        assert some.cancelled == [keys[1].key, keys[0].key], "the last first"

    def test_impossible_cells_say_why(self, compare, some):
        app = compare("Sweep", seeds="1")
        app = healthy(app.multiselect(key="pruners").set_value(["apt-mm"]).run())
        assert "3 cells are impossible" in str(app.expander) or any(
            "impossible" in item.label for item in app.expander
        )
        assert "choose an N:M pattern" in words(app)

    def test_an_empty_choice_is_a_message(self, compare, some):
        app = compare("Sweep", seeds="1")
        app = healthy(app.multiselect(key="pruners").set_value([]).run())
        assert "at least one pruner" in words(app)

    def test_several_seeds_share_a_cell(self, compare, some):
        app = compare("Sweep", seeds="2")
        assert "**18 runs**" in words(app)
        assert app.dataframe[0].value.loc["Wanda", "50 %"] == "· 55.03 (1/2)"

    def test_orders_repeat_each_run_with_the_same_windows(self, compare, some):
        app = compare("Sweep", seeds="1", orders="2", pruners="SparseGPT", shapes="50 %")
        assert "**2 runs**" in words(app)
        app.button(key="sweep.start").click().run()
        assert [(recipe.seed, recipe.order) for recipe in some.submitted] == [(0, 0), (0, 1)]

    def test_the_whole_sweep_is_in_the_address(self, compare, some):
        address = {
            "pruners": "RIA",
            "shapes": "60 %",
            "topups": "OWL",
            "seeds": "1",
            "samples": "8",
            "calibration": "wikitext2",
        }
        app = compare("Sweep", **address)
        assert "calibrated on 8 windows of wikitext2, evaluated on stories" in words(app)
        app.button(key="sweep.start").click().run()
        wanted = {
            "pruner": "ria",
            "sparsity": 0.6,
            "allocation": "owl",
            "samples": 8,
            "calibration": "wikitext2",
        }
        assert some.submitted == [pin(Recipe.build(wanted))]

    def test_an_invalid_base_says_why(self, compare, some):
        app = compare("Sweep", evaluation="nothing.pdf")
        assert ["nothing.pdf" in error.value for error in app.error] == [True] and not app.dataframe

    def test_an_invalid_sparsity_is_an_impossible_cell(self, compare, some):
        app = compare("Sweep", shapes="much", seeds="1")
        assert list(app.dataframe[0].value.loc["Wanda"]) == ["—"]
        assert any("3 cells are impossible" in item.label for item in app.expander)

    def test_the_curves_of_a_sweep_are_below_it(self, compare, some):
        assert len(compare("Sweep", seeds="1").get("plotly_chart")) == 1
        assert "appear here when the first run has finished" in words(compare("Sweep", pruners="RIA"))

    def test_a_full_disk_is_a_message(self, compare, some, monkeypatch):
        def full(recipe):
            raise StoreError("The disk is full.")

        monkeypatch.setattr(some, "submit", full)
        app = compare("Sweep", seeds="1")
        assert "The disk is full." in words(healthy(app.button(key="sweep.start").click().run()))

    def test_a_cancelled_sweep_can_be_resumed(self, compare, some):
        keys = [pin(Recipe.build(pruner="sparsegpt", sparsity=sparsity)) for sparsity in (0.5, 0.6, 0.7)]
        some.views[keys[0].key] = run_view(keys[0], "finished")
        some.views[keys[1].key] = run_view(keys[1], "cancelled")
        app = compare("Sweep", seeds="1")
        assert list(app.dataframe[0].value.loc["SparseGPT"]) == ["✓ 55.03", "■", "·"]
        app.button(key="sweep.start").click().run()
        assert some.submitted == keys[1:]


def test_a_sweep_with_a_formula_has_its_text(compare):
    app = compare("Sweep")
    app = healthy(app.multiselect(key="pruners").set_value(["wanda", "formula"]).run())
    app = healthy(app.text_input(key="formula").set_value("abs(W) * A").run())
    said = " ".join(item.value for item in app.expander[-1].markdown)
    assert "Formula" in said and "the formula contains A" in said
    app = healthy(app.text_input(key="formula").set_value("abs(W) * a ** 2").run())
    assert "the formula contains" not in words(app)
    assert "abs(W)·a^2" in list(app.dataframe[0].value.index)

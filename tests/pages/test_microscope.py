"""The microscope in every state that a run can have, and whatever the address says."""

from __future__ import annotations

from functools import partial

import pytest

from engine.errors import StoreError
from engine.jobs.questions import Answer
from engine.recipe import Recipe
from pages.widgets.block_map import _chosen
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build(sparsity=0.5)
OTHER = Recipe.build(sparsity=0.7)
CARDS = [
    "Weight and mask",
    "Distribution of the Wanda scores",
    "Activation norm against sparsity",
    "Rows with the largest output error",
    "Singular values",
    "Sparsity per row and column",
]


@pytest.fixture
def open_page(open_app):
    """Opens the microscope at an address."""

    return partial(open_app, "microscope")


def shows_all(app):
    text = words(app)
    return all(card in text for card in CARDS)


def test_without_runs_the_page_says_where_to_get_one(open_page):
    app = open_page()
    assert "No finished runs yet" in words(app)
    assert not app.selectbox


def test_the_default_run_has_weights(open_page, engine):
    engine.views[OTHER.key] = run_view(OTHER, "finished", recorded=True)
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page()
    assert address(app)["run"] == WANDA.key
    assert shows_all(app)


def test_it_starts_with_the_linear_whose_output_changed_most(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page()
    index, name = engine.views[WANDA.key].record.worst
    assert (address(app)["block"], address(app)["linear"]) == (str(index), name) == ("7", "mlp.down_proj")
    assert f"Block {index}, {name}" in words(app)


def test_a_link_opens_a_part_of_a_linear(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    asked = {"run": WANDA.key, "block": "3", "linear": "mlp.up_proj", "rows": "32-63", "columns": "0-15"}
    app = open_page(**asked)
    assert "rows 32–63, columns 0–15 of 384 × 128" in words(app)
    assert address(app) == asked
    app = healthy(app.button(key="m.whole").click().run())
    assert "all 384 × 128" in words(app)
    assert set(address(app)) == {"run", "block", "linear"}


def test_zoom_buttons_and_range_sliders(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page(run=WANDA.key, block="0", linear="self_attn.q_proj")
    app = healthy(app.button(key="m.zoom_in").click().run())
    assert (address(app)["rows"], address(app)["columns"]) == ("32-95", "32-95")
    app = healthy(app.slider(key="m.range.Rows.128").set_value((10, 73)).run())
    assert address(app)["rows"] == "10-73" and "rows 10–73, columns 32–95" in words(app)
    for _ in range(3):
        app = (
            healthy(app.button(key="m.zoom_out").click().run())
            if not app.button(key="m.zoom_out").disabled
            else app
        )
    assert "rows" not in address(app)


def test_the_zoom_is_kept_between_linears_of_one_shape(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page(run=WANDA.key, block="0", linear="mlp.gate_proj", rows="8-23")
    app = healthy(app.button_group(key="m.linear").set_value("mlp.up_proj").run())
    assert address(app)["linear"] == "mlp.up_proj" and address(app)["rows"] == "8-23"
    app = healthy(app.button_group(key="m.linear").set_value("mlp.down_proj").run())
    assert "rows" not in address(app)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"run": "nonsense"}, "no finished run with that key"),
        ({"block": "99"}, "names block 99, but this run has the blocks 0 to 7"),
        ({"block": "-1"}, "names block -1"),
        ({"block": "x", "linear": "mlp.up_proj"}, "names block x"),
        (
            {"block": "0", "linear": "mlp.nothing"},
            "names the linear mlp.nothing, but its linears are self_attn.q_proj",
        ),
        (
            {"block": "0", "linear": "mlp.up_proj", "rows": "7-3"},
            "names the rows 7-3, but this linear has the rows 0 to 383",
        ),
        ({"block": "0", "linear": "mlp.up_proj", "columns": "0-128"}, "names the columns 0-128"),
    ],
)
def test_an_invalid_address_gives_a_warning_and_something_valid_is_shown(open_page, engine, wrong, sentence):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page(**{"run": WANDA.key, **wrong})
    assert sentence in words(app)
    assert shows_all(app)


def test_a_bundled_run_is_computed_by_one_click_and_shown_when_finished(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished", recorded=True)
    engine.views[OTHER.key] = run_view(OTHER, "finished")
    app = open_page(run=WANDA.key, block="2", linear="mlp.up_proj")
    assert "without weights" in words(app)
    app = healthy(app.button(key="m.compute").click().run())
    assert engine.submitted == [WANDA]
    assert app.get("progress") and "continues automatically" in words(app)
    assert address(app)["run"] == WANDA.key, "it does not leave the list while it is computed"
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = healthy(app.run())
    assert shows_all(app) and "Block 2, mlp.up_proj" in words(app)


def test_a_failed_computation_is_reported_and_can_be_retried(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished", recorded=True)
    engine.becomes = "failed"
    app = open_page(run=WANDA.key)
    app = healthy(app.button(key="m.compute").click().run())
    assert "cannot be factored" in words(app)
    assert app.button(key="m.compute").label == "Try again"


def test_a_rejected_run_is_reported(open_page, engine, monkeypatch):
    def full(recipe):
        raise StoreError("The disk is full.")

    engine.views[WANDA.key] = run_view(WANDA, "finished", recorded=True)
    monkeypatch.setattr(engine, "submit", full)
    app = open_page(run=WANDA.key)
    assert "The disk is full." in words(healthy(app.button(key="m.compute").click().run()))


def test_pending_answers_have_placeholders(open_page, engine):
    engine.views[WANDA.key], engine.inspected = run_view(WANDA, "finished"), Answer(pending=True)
    app = open_page()
    assert "The weight is being read." in words(app)
    assert "Block 7, mlp.down_proj" in words(app), "what the record knows is there at once"
    engine.inspected = None
    assert shows_all(healthy(app.run()))


def test_a_failed_answer_is_reported(open_page, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    engine.inspected = Answer(
        message="Memory ran out while this linear was looked at. Try again when no run is going on."
    )
    assert "Memory ran out" in words(open_page())


def test_the_groups_of_a_pattern_are_counted(open_page, engine):
    recipe = Recipe.build(pattern="2:4")
    engine.views[recipe.key] = run_view(recipe, "finished")
    app = open_page(run=recipe.key, block="0", linear="self_attn.q_proj", rows="0-15", columns="0-31")
    assert "Groups of 4: at most 2 weights are kept in each" in words(app)
    assert "Of 4,096 groups 4,096 keep 2 of 4. None keeps more than 2." in words(app)


def test_a_large_linear_is_decomposed_only_on_request(open_page, engine, monkeypatch):
    from pages.widgets.microscope import panels

    monkeypatch.setattr(panels, "is_quick", lambda rows, columns: False)
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_page()
    assert "takes a while" in words(app) and "Stable rank" not in words(app)
    assert "Stable rank" in words(healthy(app.button(key="m.decompose").click().run()))


def test_a_finished_run_links_from_explore_to_the_microscope(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    links = [
        link.proto for link in open_app(run=WANDA.key).get("page_link") if "Look inside" in link.proto.label
    ]
    assert len(links) == 2, "beneath both maps"
    assert all("block 7, down_proj" in link.label for link in links)
    engine.views[WANDA.key] = run_view(WANDA, "running")
    assert not [
        link for link in open_app(run=WANDA.key).get("page_link") if "Look inside" in link.proto.label
    ]


def test_a_clicked_cell_opens_its_block_and_linear():
    class Event:
        class selection:
            points = [{"customdata": [3, "mlp.up_proj", 12.5]}]

    assert _chosen(Event) == (3, "mlp.up_proj")
    Event.selection.points = []
    assert _chosen(Event) is None and _chosen(None) is None


@pytest.mark.parametrize(
    ("ahead", "words_shown"),
    [(0, ""), (1, "busy with another question"), (2, "busy with 2 other questions")],
)
def test_a_map_that_waits_for_other_questions_says_so(open_page, engine, ahead, words_shown):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    engine.inspected = Answer(pending=True, ahead=ahead)
    shown = words(open_page())
    assert "The weight is being read" in shown and ("busy with" in shown) == bool(ahead)
    assert words_shown in shown

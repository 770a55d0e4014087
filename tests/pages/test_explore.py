"""The Explore page in every state of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import streamlit as st

from engine import numbers
from engine.charts.report import drawing_bytes
from engine.charts.tables import block_table, linear_table, to_csv
from engine.export.exported_record import exported
from engine.jobs.questions import Answer
from engine.jobs.views import EngineStatus
from engine.recipe import Recipe
from pages.widgets.explore import downloads
from pages.widgets.explore.prompt import PROMPT
from pages.widgets.explore.run_view import CHARTS_POLL, left_of
from pages.widgets.live import POLL
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import run_view

WANDA = Recipe.build()


def labels(app):
    return [button.label for button in app.button]


def shown(app):
    return {metric.label: metric.value for metric in app.metric}


def test_the_first_screen_is_ready_to_run(open_app):
    app = open_app()
    assert app.title[0].value == "Prunescope"
    assert app.selectbox(key="form.pruner").value == "wanda"
    assert app.slider(key="form.sparsity").value == 50
    assert [(button.label, button.disabled) for button in app.button if button.key == "prune"] == [
        ("Prune", False)
    ]
    assert "About" in words(app) and "nothing to download" in words(app)
    assert address(app) == {}


def test_the_cost_waits_for_the_engine(open_app, engine):
    engine.model, engine.status = Answer(pending=True), EngineStatus("starting", "The engine is starting.")
    app = open_app()
    assert "The engine is starting" in words(app)
    assert not app.button(key="prune").disabled


def test_an_engine_that_cannot_start_says_so_once(open_app, engine):
    engine.model, engine.status = (
        Answer(message="No port."),
        EngineStatus("failed", "The engine cannot be started: no port."),
    )
    app = open_app()
    assert [error.value for error in app.error] == ["The engine cannot be started: no port."]


def test_one_click_runs_and_the_address_carries_the_run(open_app, engine):
    app = healthy(open_app().button(key="prune").click().run())
    assert engine.submitted == [WANDA]
    assert address(app)["run"] == WANDA.key
    assert "Wanda 50% on demo" in words(app)
    assert "nearest" not in words(app)


def test_a_click_right_after_a_change_runs_what_the_form_says(open_app, engine):
    app = open_app()
    app.slider(key="form.sparsity").set_value(70)
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].sparsity == 0.7


def test_running_shows_progress_charts_and_cancel(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "running", blocks=3)
    app = open_app(run=WANDA.key)
    bar = app.get("progress")[0]
    assert "Block 4 of 8" in bar.proto.text and "left" in bar.proto.text
    assert len(app.get("plotly_chart")) == 4
    assert shown(app)["Pruned perplexity"] == "—"
    assert shown(app)["Sparsity achieved"] == "50.00 %"
    healthy(app.button(key="cancel").click().run())
    assert engine.cancelled == [WANDA.key]


@pytest.mark.parametrize(("place", "sentence"), [(1, "next in the queue"), (3, "place 3 in the queue")])
def test_a_queued_run_says_its_place(open_app, engine, place, sentence):
    engine.views[WANDA.key] = run_view(WANDA, "queued", place=place)
    app = open_app(run=WANDA.key)
    assert sentence in app.get("progress")[0].proto.text
    assert "Cancel" in labels(app)
    assert set(shown(app).values()) == {"—"}


def test_finished_shows_the_numbers_with_their_protocol(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    assert shown(app) == {
        "Dense perplexity": "48.12",
        "Pruned perplexity": "55.03",
        "Ratio": "× 1.14",
        "Sparsity achieved": "50.00 %",
        "Coverage": "85.6 %",
        "Time": "3.4 s",
    }
    protocol = WANDA.length, "42 windows of 256 tokens of stories"
    assert all(protocol[1] in metric.help for metric in app.metric if "erplexity" in metric.label)
    assert all(metric.help for metric in app.metric)
    assert protocol[1] in words(app)


def test_a_finished_run_has_texts_files_and_the_command_line(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    assert [item.value for item in app.text] == [
        f"{PROMPT} She liked to play in the garden with her dog.",
        f"{PROMPT} She liked to play and the dog was a big and the tree.",
    ]
    assert "Identical for 4 words" in words(app)
    files = [item.proto.label for item in app.get("download_button")]
    size = numbers.size(drawing_bytes())
    assert files[-5:] == [
        "Record (json)",
        "Blocks (csv)",
        "Linears (csv)",
        "Masks (safetensors)",
        f"Report (html, {size})",
    ]
    assert app.button(key="save").label == "Save model as a directory"
    assert app.subheader[-2].value == "Size and speed"


def test_the_command_and_the_protocol_are_made_while_they_are_open(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    assert not app.code and not app.table, "a code block alone has the browser load a highlighter"
    assert [item.label for item in app.main.expander][-2:] == ["On the command line", "How this was measured"]
    app.session_state["take.command"] = app.session_state["take.measured"] = True
    app = healthy(app.run())
    assert app.code[0].value == "python -m engine prune --pruner wanda --sparsity 0.5"
    assert "Calibration" in app.table[0].value.to_string()


def test_the_report_is_made_on_request(open_app, engine, monkeypatch):
    made = []
    monkeypatch.setattr(downloads, "report", lambda record: made.append(record.key) or "page")
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    assert "take.Report" in [item.key for item in app.get("download_button")] and made == []


def test_the_tables_and_the_record_are_there_at_once(open_app, engine, monkeypatch):
    given, view = {}, run_view(WANDA, "finished")
    monkeypatch.setattr(st, "download_button", lambda _, data, name, *__, **___: given.update({name: data}))
    engine.views[WANDA.key] = view
    open_app(run=WANDA.key)
    assert given[f"{WANDA.key}.json"] == exported(view.record).model_dump_json(indent=2)
    for name, table in (("blocks", block_table), ("linears", linear_table)):
        assert given[f"{WANDA.key}-{name}.csv"] == to_csv(table(view.record))


def test_the_prompt_can_be_edited(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    app.text_input(key="prompt").set_value("A cat").run()
    assert app.text[0].value.startswith("A cat")
    engine.written = Answer(message="The prompt has 600 tokens, which is all this model takes. Shorten it.")
    assert "Shorten it" in words(healthy(app.run()))


def test_pending_texts_leave_the_page_usable(open_app, engine):
    engine.views[WANDA.key], engine.written = run_view(WANDA, "finished"), Answer(pending=True)
    app = open_app(run=WANDA.key)
    assert "Both models are generating." in words(app)
    assert "Export" in [item.value for item in app.subheader]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("failed", "The Hessian of block 3 cannot be factored"),
        ("cancelled", "This run was cancelled. 3 of 8 blocks were done"),
        ("interrupted", "was killed. 3 of 8 blocks were done"),
    ],
)
def test_an_unfinished_run_shows_its_blocks(open_app, engine, state, sentence):
    engine.views[WANDA.key] = run_view(WANDA, state)
    app = open_app(run=WANDA.key)
    assert sentence in words(app)
    assert len(app.get("plotly_chart")) == 5
    assert "Cancel" not in labels(app)
    app = healthy(app.button(key="again").click().run())
    assert engine.submitted == [WANDA]
    assert "Cancel" in labels(app)


def test_a_link_opens_the_run_and_fills_the_form(open_app, engine):
    recipe = Recipe.build(pruner="sparsegpt", sparsity=0.625, samples=16, evaluation=None)
    engine.views[recipe.key] = run_view(recipe, "finished")
    app = open_app(run=recipe.key)
    assert app.selectbox(key="form.pruner").value == "sparsegpt"
    assert app.slider(key="form.sparsity").value == 62.5
    assert app.number_input(key="form.samples").value == 16
    assert app.multiselect(key="form.evaluation").value == []
    assert "nearest" not in words(app)
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].key == recipe.key


def test_a_changed_form_decides_what_is_shown_and_survives_a_reload(open_app, engine):
    recipe = Recipe.build(sparsity=0.6)
    engine.views[recipe.key] = run_view(recipe, "finished")
    app = open_app(run=recipe.key)
    app.slider(key="form.sparsity").set_value(50).run()
    assert "the nearest computed sparsity" in words(app) and "run" not in address(app)
    again = open_app(**address(app))
    assert again.slider(key="form.sparsity").value == 50
    assert shown(again)["Pruned perplexity"] == "55.03"


def test_an_unknown_run_is_a_message(open_app):
    app = open_app(run="nonsense", sparsity="0.7")
    assert [error.value for error in app.error] == [
        "There is no run nonsense in this store. It may have been deleted, or computed elsewhere."
    ]
    assert app.slider(key="form.sparsity").value == 70


def test_two_tabs_do_not_disturb_each_other(open_app, engine):
    one, other = open_app(), open_app(sparsity="0.8")
    one.button(key="prune").click().run()
    healthy(other.run())
    assert "run" not in address(other)
    assert other.slider(key="form.sparsity").value == 80
    assert "Running: Wanda 50% on demo" in labels(other)
    app = healthy(other.button(key=f"watch.{WANDA.key}").click().run())
    assert address(app)["run"] == WANDA.key
    assert app.slider(key="form.sparsity").value == 50


def test_a_refusal_of_the_engine_is_below_its_field(open_app, engine, monkeypatch):
    from engine.errors import Fault, RecipeError, StoreError

    def refuse(recipe):
        raise RecipeError(
            [Fault("calibration", "the file a.txt was requested, but it does not exist; check the path.")]
        )

    monkeypatch.setattr(engine, "submit", refuse)
    app = healthy(open_app(calibration="a.txt").button(key="prune").click().run())
    assert [error.value for error in app.error] == [
        "The file a.txt was requested, but it does not exist; check the path."
    ]

    def full(recipe):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(engine, "submit", full)
    app = healthy(open_app().button(key="prune").click().run())
    assert "The disk is full." in words(app)


def test_a_chart_opens_its_table(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    assert not app.main.dataframe
    app.session_state["table.alignment"] = True
    app = healthy(app.run())
    assert list(app.main.dataframe[0].value.columns) == ["block", "alignment", "sparsity"]


@pytest.mark.parametrize(("seconds", "times"), [(0.5, 1), (3.0, 3)])
def test_a_run_of_slow_blocks_is_drawn_less_often(engine, open_app, monkeypatch, seconds, times):
    """The browser draws with the processor that the run computes on."""
    view = run_view(WANDA, "running")
    blocks = tuple(block.model_copy(update={"seconds": seconds}) for block in view.record.blocks)
    engine.views[WANDA.key] = replace(view, record=view.record.model_copy(update={"blocks": blocks}))
    intervals = []
    fragment = st.fragment

    def noting(function=None, *, run_every=None, **more):
        intervals.append(run_every)
        return fragment(function, **more)

    monkeypatch.setattr(st, "fragment", noting)
    open_app(run=WANDA.key)
    assert {POLL * times, CHARTS_POLL * times} <= set(intervals)


def test_a_run_that_turns_out_to_be_slow_redraws_the_page_once():
    view = run_view(WANDA, "running")
    first, *others = view.record.blocks

    def left(*seconds):
        blocks = [
            block.model_copy(update={"seconds": each})
            for block, each in zip((first, *others), seconds, strict=False)
        ]
        return left_of(replace(view, record=view.record.model_copy(update={"blocks": tuple(blocks)})))

    assert left() == left(0.5) != left(9.0) == left(9.0, 0.1)
    assert left_of(run_view(WANDA, "finished")) == 0


def test_nothing_on_a_page_is_animated_while_a_run_computes(open_app):
    """Streamlit fades what is about to be redrawn and lets placeholders pulse, at a fifth of a core."""
    styles = "".join(item.proto.body for item in open_app().get("html"))
    assert "[data-testid='stElementContainer'] { opacity: 1 !important; transition: none" in styles
    assert "[data-testid='stSkeleton'] { animation: none" in styles

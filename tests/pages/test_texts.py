"""Texts, tasks, evaluations, seeds and saving on the page."""

from pathlib import Path

import pytest

from engine.analysis.comparison.seeds import over_seeds
from engine.events import Evaluated, Fetching, Score, TaskProgressed
from engine.jobs.questions import Answer
from engine.jobs.views import RunView, Saved
from engine.recipe import Recipe
from engine.record import RunRecord
from engine.store.runs import Store
from pages.widgets.progress import progress_words, share
from tests.pages.conftest import address, healthy, words
from tests.pages.fakes import BLOCKS, FINISHED, events, run_view

WANDA = Recipe.build()


def view_of(*more):
    return RunView(RunRecord.fold([*events(WANDA, BLOCKS), *more]), "running")


def scored(corpus, dense, pruned, bits=1.0):
    scores = (Score(perplexity=value, nll=1.0, tokens=10, bits_per_byte=bits) for value in (dense, pruned))
    return Evaluated(corpus=corpus, **dict(zip(("dense", "pruned"), scores, strict=True)))


def test_several_texts_are_chosen_and_in_the_address(open_app, engine):
    app = open_app(evaluation="stories,wikitext2")
    assert app.multiselect(key="form.evaluation").value == ["stories", "wikitext2"]
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].evaluations == ("stories", "wikitext2")
    app.multiselect(key="form.evaluation").set_value(["ptb"]).run()
    assert address(healthy(app))["evaluation"] == "ptb"


def test_a_named_corpus_is_described_with_its_size(open_app):
    app = open_app(calibration="c4")
    assert "to download" in words(app) and "C4" in words(app)


def test_no_evaluation_text(open_app, engine):
    app = open_app(evaluation="none")
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].evaluation is None


def test_an_empty_length_is_the_default(open_app, engine):
    app = open_app()
    assert app.number_input(key="form.length").value is None
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].length is None


def test_tasks_with_their_limit(open_app, engine):
    app = open_app(tasks="boolq,rte", task_limit="20")
    assert app.multiselect(key="form.tasks").value == ["boolq", "rte"]
    healthy(app.button(key="prune").click().run())
    assert engine.submitted[0].tasks == ("boolq", "rte") and engine.submitted[0].task_limit == 20


def test_an_unknown_task_is_reported(open_app):
    assert "boolqq" in words(open_app(tasks="boolqq"))


def test_without_lm_eval_the_page_says_how_to_install_it(open_app, monkeypatch):
    monkeypatch.setattr("pages.widgets.explore.text_picker.available", lambda: False)
    app = open_app()
    assert "pip install lm-eval" in words(app) and app.multiselect(key="form.tasks").disabled


def test_a_pasted_text_is_saved_and_selected(open_app, engine, tmp_path):
    engine.store = Store(tmp_path)
    app = open_app()
    app.text_area(key="own.pasted").set_value("A story of my own.\n" * 50)
    app = healthy(next(button for button in app.button if button.label == "Use this text").click().run())
    (path,) = engine.texts.glob("*.txt")
    assert app.selectbox(key="form.calibration").value == str(path)
    assert app.multiselect(key="form.evaluation").value == [str(path)]
    assert path.read_text() == "A story of my own.\n" * 50


def test_an_empty_text_is_refused_with_a_message(open_app, engine, tmp_path):
    engine.store = Store(tmp_path)
    app = open_app()
    app = healthy(next(button for button in app.button if button.label == "Use this text").click().run())
    assert any("text" in item.value for item in app.error) and not engine.texts.exists()


# What a run shows


def test_a_download_fills_the_bar():
    view = RunView(
        RunRecord.fold(
            [
                events(WANDA, 0)[0],
                Fetching(what="some/model", done=1_000_000, total=4_000_000, note="The hub is busy."),
            ]
        ),
        "running",
    )
    assert share(view) == 0.25
    assert progress_words(view) == "Fetching some/model: 1 MB of 4 MB. The hub is busy."


def test_a_download_of_unknown_size_has_no_amount():
    unpacking = Fetching(what="a.gguf", done=0, total=9_000_000, doing="unpacking")
    started = [events(WANDA, 0)[0], unpacking]
    assert progress_words(RunView(RunRecord.fold(started), "running")) == "Unpacking a.gguf: 0 MB of 9 MB."
    started = [events(WANDA, 0)[0], Fetching(what="the examples of RTE", done=0, total=None)]
    assert progress_words(RunView(RunRecord.fold(started), "running")) == "Fetching the examples of RTE."


def test_the_bar_names_the_current_task():
    assert progress_words(view_of(TaskProgressed(which="pruned", task="boolq", done=3, total=9))).endswith(
        "pruned model on BoolQ: 3 of 9 examples"
    )
    assert "fetching its examples" in progress_words(
        view_of(TaskProgressed(which="dense", task="rte", done=0, total=0))
    )


def test_one_text_has_a_line_and_several_have_a_table(open_app, engine):
    engine.views[WANDA.key] = RunView(
        RunRecord.fold([*events(WANDA, BLOCKS), scored("stories", 40, 50), FINISHED]), "finished"
    )
    app = open_app(run=WANDA.key)
    assert "Bits per byte: 1.000 dense" in words(app) and not app.main.dataframe
    both = [*events(WANDA, BLOCKS), scored("stories", 40, 50), scored("/a/tale.txt", 30, 60), FINISHED]
    engine.views[WANDA.key] = RunView(RunRecord.fold(both), "finished")
    table = open_app(run=WANDA.key).main.dataframe[0].value
    assert list(table["corpus"]) == ["stories", "tale.txt"] and list(table["pruned perplexity"]) == [50, 60]


def test_a_run_over_seeds(open_app, engine):
    engine.views[WANDA.key] = run_view(WANDA, "finished")
    app = open_app(run=WANDA.key)
    healthy(app.button(key="spread").click().run())
    assert [recipe.seed for recipe in engine.submitted] == [1, 2, 3, 4]
    for recipe in over_seeds(WANDA, 5):
        engine.views[recipe.key] = run_view(recipe, "finished")
    app = open_app(run=WANDA.key)
    assert "5 of 5 runs finished" in words(app) and "55.03 ± 0.00" in words(app)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(pending=True), "Saving the model"),
        (Answer(message="The disk is full."), "The disk is full."),
        (Answer(Saved("/runs/x/model", 7_000_000)), "7 MB"),
        (Answer(Saved("/runs/x/model", 7_000_000, "It has no tokenizer.")), "It has no tokenizer."),
    ],
)
def test_saving_a_model(open_app, engine, answer, message):
    engine.views[WANDA.key], engine.saved = run_view(WANDA, "finished"), answer
    app = open_app(run=WANDA.key)
    assert message in words(healthy(app.button(key="save").click().run()))


def test_a_path_is_shown_by_its_name(open_app):
    app = open_app(calibration=str(Path("/somewhere/long/tale.txt")))
    assert app.selectbox(key="form.calibration").value == "/somewhere/long/tale.txt"
